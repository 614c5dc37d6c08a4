//! Flux: lexer, parser, checks and interpreter of the language as of v0.200, over a [`Source`] of its own.
//!
//! [`run`] takes a script to result frames in three steps: `syntax` makes a tree with positions, `semantic` resolves
//! names and refuses what cannot run, `interpret` evaluates statements to lazy streams of tables, which are then
//! pulled one table at a time into the caller's sink. `table` holds the columnar tables and what transforms them,
//! `stdlib` the functions that scripts see. Nothing here knows of sockets, tasks or storage, and no script can make it
//! panic: what a script controls is bounded by [`Limits`].

mod error;
mod interpret;
mod semantic;
mod source;
mod stdlib;
pub mod syntax;
mod table;
mod value;

pub use error::{Class, FluxError};
pub use interpret::{Environment, Limits, Stopped, run};
pub use source::{Blocks, BucketInfo, BucketRef, Source, SourceError};
pub use syntax::{Diagnostic, Position, Span};
pub use value::Duration;

#[cfg(test)]
mod test_source;

/// Parses a script without running it.
///
/// # Errors
/// [`FluxError::Compile`] with every syntax error.
pub fn parse(script: &str) -> Result<syntax::ast::File, FluxError> {
    let (file, errors) = syntax::parse(script);
    if errors.is_empty() { Ok(file) } else { Err(FluxError::Compile(errors)) }
}

#[cfg(test)]
mod tests;
