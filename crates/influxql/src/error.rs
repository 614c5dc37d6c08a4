//! Parse errors, in the texts that InfluxDB's clients and tests know.

use std::fmt;

/// Where a token begins: line and character, both counted from 0 and printed from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Character in the line.
    pub character: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, char {}", self.line + 1, self.character + 1)
    }
}

/// Why a text is not InfluxQL. Printed without InfluxDB's prefix `error parsing query: `.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// One token was found where others are allowed.
    #[error("found {found}, expected {} at {position}", expected.join(", "))]
    Unexpected {
        /// The token's text.
        found: String,
        /// What would have been right.
        expected: Vec<&'static str>,
        /// Where.
        position: Position,
    },
    /// A token is wrong in itself.
    #[error("{message} at {position}")]
    At {
        /// What is wrong.
        message: String,
        /// Where.
        position: Position,
    },
    /// A clause makes no sense; InfluxDB gives no position.
    #[error("{0}")]
    Clause(String),
    /// Expressions or subqueries are nested too deeply, or one expression is too long.
    #[error("query is too deeply nested: limit is {limit} {what} ({name})")]
    TooDeep {
        /// The limit's name.
        name: &'static str,
        /// What is counted.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
}
