//! The server: configuration, telemetry, and the wiring of cluster, storage, queries and gateway into one node.
//!
//! Nothing is decided here that a part could decide itself. Each adapter turns one part's words into another's; data
//! flows from the gateway inwards, and no part knows who calls it.

mod admission;
mod answers;
mod ballast;
pub mod config;
mod deletes;
mod environment;
mod error;
mod fragment;
mod frugality;
mod lock;
mod machine;
mod maintenance;
mod metrics;
mod node;
mod offline;
mod parallel;
mod partitions;
mod ports;
mod queries;
pub mod recover;
mod replica;
mod serve;
mod slow;
mod source;
mod survey;
pub mod telemetry;
mod vitals;

pub use cluster::{Fate, GroupFate};
pub use environment::{Environment, OpenStore};
pub use error::{ServeError, with_causes};
pub use frugality::BeFrugal;
pub use host::set_up_failpoints;
pub use node::Node;
pub use offline::{Verified, inspect_tsm, verify};
pub use serve::{Print, serve};
pub use storage::Inspection;
