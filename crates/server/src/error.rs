//! Why a node ends with an error.

use std::io;
use std::path::PathBuf;

/// Why a node did not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another process has the data directory.
    #[error("another tidemark runs on {}", .0.display())]
    InUse(PathBuf),
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}: {source}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The operating system refuses threads, signals or sockets.
    #[error("the operating system refuses: {0}")]
    Runtime(#[source] io::Error),
    /// The catalog's store does not open.
    #[error("the catalog does not open: {}", with_causes(.0))]
    Catalog(#[source] catalog::StoreError),
    /// The node cannot take up its part in the cluster.
    #[error("{}", with_causes(.0))]
    Cluster(#[from] cluster::OpenError),
    /// A task panicked while the node opened.
    #[error("opening the node failed unexpectedly: {0}")]
    Panicked(#[source] tokio::task::JoinError),
    /// The set-up that the configuration asks for was refused.
    #[error("the configured first set-up was refused: {0}")]
    Init(String),
    /// Logging or tracing cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] crate::telemetry::TelemetryError),
    /// The cluster has given the node up.
    #[error(
        "the cluster has given this node up as lost: what it had is made anew elsewhere. It cannot come back as it is; with an empty data directory it joins as a new node"
    )]
    GivenUp,
    /// Durable state is in doubt; the node stopped rather than go on.
    #[error("this node had to stop: {0}")]
    Fatal(String),
}

/// An error with everything that led to it, in one line.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
