//! What goes wrong on the command line, and the exit code that says so.

use std::path::PathBuf;

use crate::output;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The arguments do not make sense together.
    #[error("{0}")]
    Usage(String),
    /// The server answered with an error.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// Part of the data was refused, the rest is written.
    #[error("{refused} of {batches} batches were refused or refused in part; the first: {first}")]
    RefusedInPart {
        /// Batches with a refusal.
        refused: u64,
        /// Batches sent.
        batches: u64,
        /// The server's words for the first.
        first: String,
    },
    /// No answer.
    #[error("cannot reach {url}: {source}. Is the server running? Start one with `tidemark serve`")]
    Unreachable {
        /// The server.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// A file could not be read or written.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A profile file does not parse.
    #[error("{}: {reason}", path.display())]
    Profile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The answer is not what the protocol promises.
    #[error("unexpected answer from the server: {0}")]
    Answer(String),
    /// Standard input or output failed.
    #[error("{0}")]
    Stream(std::io::Error),
    /// A file cannot be looked at.
    #[error("{}", server::with_causes(.0.as_ref()))]
    Unreadable(Box<dyn std::error::Error + Send + Sync>),
    /// A cluster is not recovered.
    #[error("{}", server::with_causes(.0))]
    Recover(#[from] server::recover::RecoverError),
    /// Replicas do not hold the same, as was printed.
    #[error("the replicas of {0} partitions do not hold the same, or not all of them can say")]
    Different(usize),
    /// A look found damage, which was printed.
    #[error("{}", output::findings(*.0))]
    Damaged(u64),
    /// Checks did not pass, as was printed.
    #[error("{0}")]
    NotPassed(String),
    /// Whoever read our output has closed it: nothing is wrong.
    #[error("output closed")]
    OutputClosed,
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] server::config::ConfigError),
    /// The server stopped with an error.
    #[error(transparent)]
    Serve(#[from] server::ServeError),
}

impl CliError {
    /// See the module's documentation of the binary.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config(_) => 2,
            Self::Refused { status: 404, .. } => 3,
            Self::RefusedInPart { .. } => 4,
            Self::Refused { status: 408 | 429 | 503 | 504, .. } | Self::Unreachable { .. } => 5,
            _ => 1,
        }
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe { Self::OutputClosed } else { Self::Stream(error) }
    }
}
