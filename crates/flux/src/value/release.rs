//! Dropping values that hold values, without recursion: a script can nest values as deeply as it has statements, and
//! the stack must not grow with it.
//!
//! What a container holds is not dropped inside the container's own drop, but put aside and dropped by the outermost
//! drop on this thread, one after the other.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ops::Deref;

use super::Value;

thread_local! {
    static PENDING: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// Drops something that may hold values that hold values.
pub(crate) fn release(garbage: impl Any) {
    PENDING.with_borrow_mut(|pending| pending.push(Box::new(garbage)));
    if RUNNING.replace(true) {
        return;
    }
    // The borrow ends before the drop, which may put more aside.
    while let Some(next) = PENDING.with_borrow_mut(Vec::pop) {
        drop(next);
    }
    RUNNING.set(false);
}

impl Value {
    /// Whether the value may hold others.
    pub(crate) const fn is_container(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Record(_) | Self::Dict(_) | Self::Closure(_) | Self::Stream(_))
    }
}

/// The values of an array.
#[derive(Clone, Default)]
pub(crate) struct List(Vec<Value>);

impl List {
    pub(crate) const fn new(items: Vec<Value>) -> Self {
        Self(items)
    }
}

impl Deref for List {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.0
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if self.0.iter().any(Value::is_container) {
            release(std::mem::take(&mut self.0));
        }
    }
}

/// The pairs of a dictionary.
#[derive(Clone, Default)]
pub(crate) struct Pairs(Vec<(Value, Value)>);

impl Pairs {
    pub(crate) const fn new(pairs: Vec<(Value, Value)>) -> Self {
        Self(pairs)
    }
}

impl Deref for Pairs {
    type Target = [(Value, Value)];

    fn deref(&self) -> &[(Value, Value)] {
        &self.0
    }
}

impl Drop for Pairs {
    fn drop(&mut self) {
        if self.0.iter().any(|(key, value)| key.is_container() || value.is_container()) {
            release(std::mem::take(&mut self.0));
        }
    }
}
