//! From syntax to something that runs: names become slots, constants are folded in, and what cannot run is refused
//! with its place.
//!
//! What is checked before a script runs: every name exists; calls of known functions give every required argument, no
//! unknown one, and no value of an obviously wrong type; operands of operators whose types are known fit together;
//! imports exist; `return` stands in a function. Full type inference comes later.

mod check;
mod ir;
mod resolve;

pub(crate) use ir::{Call, Ir, Lambda, LambdaDefault, Piece, Step};
pub(crate) use resolve::resolve;
