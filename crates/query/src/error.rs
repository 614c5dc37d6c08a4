//! Why a query failed, for the whole request and for one statement.

use crate::source::ScanError;

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not InfluxQL: the whole request fails.
    #[error("error parsing query: {0}")]
    Parse(#[from] influxql::ParseError),
    /// A statement makes no sense, in InfluxDB's words.
    #[error("{0}")]
    Invalid(String),
    /// Something the query names does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The caller's rights do not suffice.
    #[error("{0}")]
    Forbidden(String),
    /// A limit was reached.
    #[error("query limit {name} reached: more than {limit}")]
    Limit {
        /// The limit's name in the configuration.
        name: &'static str,
        /// Its value.
        limit: String,
    },
    /// All queries together hold as much memory as they may; the same query may succeed later.
    #[error("{0}; the query can be tried again")]
    Memory(#[from] memory::Exhausted),
    /// A Flux script is wrong or failed; [`flux::FluxError::class`] tells whose fault it is.
    #[error(transparent)]
    Flux(flux::FluxError),
    /// Reading failed.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A fault of ours.
    #[error("{0}")]
    Internal(String),
    /// The client went away or the deadline passed.
    #[error("query interrupted")]
    Cancelled,
    /// The receiver of the results wants no more.
    #[error("the receiver of the results went away")]
    Stopped,
}

impl Error {
    pub(crate) fn limit(name: &'static str, limit: String) -> Self {
        Self::Limit { name, limit }
    }

    pub(crate) fn invalid<T>(message: impl Into<String>) -> Result<T, Self> {
        Err(Self::Invalid(message.into()))
    }
}

/// The receiver of results refuses more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl From<Stopped> for Error {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}
