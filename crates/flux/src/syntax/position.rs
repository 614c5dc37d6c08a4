//! Places in a script: lines and columns, as Flux prints them in its messages.

use std::fmt;

/// One place. Lines and columns count from 1; columns count bytes, as Flux does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
}

/// A half-open stretch of a script.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte inside.
    pub start: Position,
    /// First byte after.
    pub end: Position,
}

impl Span {
    /// The smallest span that holds both; `self` starts first.
    #[must_use]
    pub const fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}-{}:{}", self.start.line, self.start.column, self.end.line, self.end.column)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One error in a script, at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where.
    pub span: Span,
    /// What is wrong, without the place.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error @{}: {}", self.span, self.message)
    }
}
