//! Variables at run time: one scope per call, linked outward, read by slot.

use std::cell::RefCell;
use std::rc::Rc;

use crate::semantic::Lambda;
use crate::value::Value;
use crate::value::release::release;

/// The variables of one call of a function, or of the script.
pub(crate) struct Scope {
    slots: RefCell<Vec<Value>>,
    outer: Option<Rc<Self>>,
}

/// A function of the script with the scope it was made in.
pub(crate) struct Closure {
    pub(crate) lambda: Rc<Lambda>,
    pub(crate) scope: Rc<Scope>,
}

impl Drop for Scope {
    fn drop(&mut self) {
        let slots = self.slots.get_mut();
        if slots.iter().any(Value::is_container) {
            release(std::mem::take(slots));
        }
    }
}

impl Scope {
    pub(crate) fn new(slots: usize, outer: Option<Rc<Self>>) -> Rc<Self> {
        Rc::new(Self { slots: RefCell::new(vec![Value::Null; slots]), outer })
    }

    pub(crate) fn set(&self, slot: usize, value: Value) {
        if let Some(place) = self.slots.borrow_mut().get_mut(slot) {
            *place = value;
        }
    }

    pub(crate) fn get(self: &Rc<Self>, hops: usize, slot: usize) -> Value {
        let mut scope = self;
        for _ in 0..hops {
            scope = scope.outer.as_ref().expect("the resolver counted the scopes");
        }
        scope.slots.borrow()[slot].clone()
    }
}
