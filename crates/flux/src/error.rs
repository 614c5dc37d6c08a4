//! Why a script did not run, or stopped.

use crate::source::SourceError;
use crate::syntax::{Diagnostic, Span};

/// Whose fault an error is and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The script is wrong: running it again will fail again.
    Invalid,
    /// Something that the script names does not exist.
    NotFound,
    /// A limit was reached.
    LimitReached,
    /// Something is out of reach, or all queries together hold as much memory as they may: later it may succeed.
    Busy,
    /// The source failed, or we did.
    Internal,
    /// The caller stopped it.
    Cancelled,
}

/// Why a script did not run, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum FluxError {
    /// The script is refused before it runs. One line per error, each with its place.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Compile(Vec<Diagnostic>),
    /// A call in the script failed.
    #[error("error calling function \"{function}\" @{span}: {cause}")]
    Call {
        /// The function.
        function: String,
        /// The call.
        span: Span,
        /// Why it failed.
        #[source]
        cause: Box<FluxError>,
    },
    /// An operation of the script failed on the values it met.
    #[error("{0}")]
    Invalid(String),
    /// A bucket does not exist.
    #[error("could not find bucket \"{0}\"")]
    BucketNotFound(String),
    /// A function of Flux that is not there yet.
    #[error("function {0} is not implemented yet")]
    NotImplemented(String),
    /// A limit was reached.
    #[error("limit {name} reached: {limit}")]
    Limit {
        /// The limit's name.
        name: &'static str,
        /// Its value.
        limit: u64,
    },
    /// All queries together hold as much memory as they may.
    #[error("{0}; the query can be tried again")]
    Memory(#[from] memory::Exhausted),
    /// Data or names cannot be reached now.
    #[error("{0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The data could not be read.
    #[error("{0}")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The caller cancelled the query, or its sink takes no more.
    #[error("query cancelled")]
    Cancelled,
}

impl FluxError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            Self::Compile(_) | Self::Invalid(_) | Self::NotImplemented(_) => Class::Invalid,
            Self::Call { cause, .. } => cause.class(),
            Self::BucketNotFound(_) => Class::NotFound,
            Self::Limit { .. } => Class::LimitReached,
            Self::Memory(_) | Self::Unavailable(_) => Class::Busy,
            Self::Source(_) => Class::Internal,
            Self::Cancelled => Class::Cancelled,
        }
    }

    /// The place of the first error in the script, when it has one.
    pub fn span(&self) -> Option<Span> {
        match self {
            Self::Compile(errors) => errors.first().map(|e| e.span),
            Self::Call { span, .. } => Some(*span),
            _ => None,
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }
}

impl From<SourceError> for FluxError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Cancelled => Self::Cancelled,
            SourceError::Memory(full) => Self::Memory(full),
            SourceError::Unavailable(cause) => Self::Unavailable(cause),
            SourceError::Failed(cause) => Self::Source(cause),
        }
    }
}

/// What the interpreter's functions return.
pub(crate) type Result<T, E = FluxError> = std::result::Result<T, E>;
