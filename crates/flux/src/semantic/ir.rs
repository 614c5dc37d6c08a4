//! The resolved form of a script. Variables are (functions outward, slot), so nothing is looked up by name at run time
//! except fields of records and columns of rows; those remember where they were found last.

use std::cell::Cell;
use std::rc::Rc;

use crate::syntax::Span;
use crate::syntax::ast::BinaryOperator;
use crate::value::Value;

/// A script, ready to run.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    /// Number of variables at the top.
    pub(crate) slots: usize,
}

/// A statement.
#[derive(Debug)]
pub(crate) enum Step {
    Let(usize, Ir),
    /// `option name = ...`: the variable, and the option by name.
    Option(Rc<str>, usize, Ir),
    Eval(Ir),
    Return(Ir),
}

/// An expression.
#[derive(Debug)]
pub(crate) enum Ir {
    Const(Value),
    Var {
        hops: usize,
        slot: usize,
    },
    /// A field by name; the cell remembers the index at which it was found last.
    Member(Box<Ir>, Rc<str>, Cell<usize>),
    Index(Box<Ir>, Box<Ir>),
    Call(Box<Call>),
    Function(Rc<Lambda>),
    Record(Option<Box<Ir>>, Vec<(Rc<str>, Ir)>),
    Array(Vec<Ir>),
    Dict(Vec<(Ir, Ir)>),
    If(Box<[Ir; 3]>),
    And(Vec<Ir>),
    Or(Vec<Ir>),
    Not(Box<Ir>),
    Exists(Box<Ir>),
    Minus(Box<Ir>),
    Binary(Box<Ir>, Vec<(BinaryOperator, Ir)>),
    Text(Vec<Piece>),
}

/// A part of an interpolated string.
#[derive(Debug)]
pub(crate) enum Piece {
    Text(Rc<str>),
    Value(Ir),
}

/// A call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) callee: Ir,
    /// The function as the script names it, for messages.
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) arguments: Vec<(Rc<str>, Ir)>,
    /// What is piped in.
    pub(crate) piped: Option<Ir>,
}

/// A function of the script. Parameters have the first slots.
#[derive(Debug)]
pub(crate) struct Lambda {
    pub(crate) parameters: Vec<(Rc<str>, LambdaDefault)>,
    pub(crate) slots: usize,
    pub(crate) body: Vec<Step>,
}

/// What a parameter is when no argument is given.
#[derive(Debug)]
pub(crate) enum LambdaDefault {
    Required,
    Pipe,
    Value(Ir),
}

impl Lambda {
    /// The body when it is one expression.
    pub(crate) fn expression(&self) -> Option<&Ir> {
        match self.body.as_slice() {
            [Step::Return(ir)] => Some(ir),
            _ => None,
        }
    }
}
