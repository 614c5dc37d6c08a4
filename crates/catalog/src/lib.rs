//! The catalog: replicated metadata as a pure function, (state, command) -> (state, response).
//!
//! Applying reads no clock, no randomness and no network: ids, times, hashes are chosen by whoever proposes.

pub mod command;
pub mod resources;

pub use command::{CatalogError, Command, ErrorCode, FieldOutcome, FieldSpec, Response};
pub use resources::{
    Action, Authorization, Bucket, BucketKind, Dbrp, Org, Permission, ResourceType, Status, User,
};
