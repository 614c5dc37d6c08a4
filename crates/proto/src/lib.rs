//! The messages of `proto/`, generated, and their conversions to and from the words of `model`.
//!
//! Everything that is stored in a log or sent between nodes is one of these messages: explicit field numbers,
//! a format number where a reader must know before it acts.

pub mod entry;
pub mod scan;
pub mod summary;

/// Messages of the Raft log and of its lanes (`tidemark.log.v1`).
pub mod log {
    include!(concat!(env!("OUT_DIR"), "/tidemark.log.v1.rs"));
}

/// What nodes say to one another (`tidemark.peer.v1`): messages, client and server.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::clone_on_ref_ptr,
    unused_qualifications,
    reason = "generated"
)]
pub mod peer {
    include!(concat!(env!("OUT_DIR"), "/tidemark.peer.v1.rs"));
}

pub use entry::{ENTRY_FORMAT, EntryError, decode_op, encode_catalog, encode_op};
