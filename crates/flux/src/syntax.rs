//! The language's surface: positions, tokens, lexer, syntax tree and parser of Flux v0.200.
//!
//! Parsing never fails outright and never panics: [`parse`] returns the tree and every error found, in the order of
//! the text. A tree with errors is only good for editors; [`crate::parse`] refuses it.

pub mod ast;
mod lexer;
mod parser;
pub mod position;
mod print;
mod strings;
mod token;

pub use parser::{NESTING_MAX, SCRIPT_BYTES_MAX, parse};
pub use position::{Diagnostic, Position, Span};

/// Reads a duration as a literal is written.
pub(crate) fn read_duration(text: &str) -> Option<crate::Duration> {
    if text.is_empty() { None } else { strings::duration(text) }
}

/// Reads a date or date-time as a literal is written.
pub(crate) fn read_time(text: &str) -> Option<i64> {
    strings::time(text)
}

#[cfg(test)]
mod tests;
