//! The catalog: replicated metadata as a pure function, (state, command) -> (state, response).
//!
//! Applying reads no clock, no randomness and no network: ids, times, hashes are chosen by whoever proposes.
//! A command becomes a list of [`Change`]s (`apply`); the same changes alter the [`State`] in memory and the
//! records of the store, so what is loaded after a restart equals what was in memory before it.

pub mod apply;
pub mod auth;
pub mod catalog;
pub mod change;
pub mod command;
pub mod encoding;
mod level;
pub mod limits;
pub mod resources;
#[cfg(test)]
mod samples;
pub mod state;
pub mod store;

pub use apply::apply;
pub use catalog::{Catalog, ReadGuard, Snapshot};
pub use change::Change;
pub use command::{CatalogError, Command, ErrorCode, FieldOutcome, FieldSpec, Response};
pub use encoding::DecodeError;
pub use level::Level;
pub use resources::{
    Action, Authorization, Bucket, BucketKind, Cluster, ClusterNode, ContinuousQuery, Dbrp, NodeInfo,
    NodeState, Org, Permission, Placement, Replica, ResourceType, Role, Status, User,
};
pub use state::State;
#[cfg(feature = "rocksdb")]
pub use store::RocksStore;
pub use store::{MemoryStore, Nowhere, Store, StoreError};
