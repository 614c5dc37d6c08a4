//! InfluxQL 1.11: scanner, parser and syntax tree.
//!
//! [`parse`] takes any text and answers a list of statements or one error in InfluxDB's own words with its
//! position. Nothing here panics on input: nesting and expression sizes are bounded. Printing a statement gives
//! canonical InfluxQL that parses to the same statement again. The crate knows nothing of data or schemas.

pub mod ast;
mod display;
pub mod duration;
mod error;
pub mod params;
mod parser;
mod redact;
mod scanner;
pub mod timeliteral;
mod token;

pub use ast::{Expr, Select, Source, Statement};
pub use display::{quote_ident, quote_string};
pub use error::ParseError;
pub use params::Param;
pub use parser::{parse, parse_expression};
pub use redact::redact;

#[cfg(test)]
mod tests;
