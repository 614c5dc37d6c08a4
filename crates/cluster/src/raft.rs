//! The seam to openraft: the only modules that name it. Nothing of it is stored, sent or shown beyond them.

mod acknowledged;
pub(crate) mod config;
pub(crate) mod inbound;
pub(crate) mod log_store;
pub(crate) mod machine;
pub(crate) mod network;
pub(crate) mod snapshot;
pub(crate) mod types;
mod wire;

#[cfg(test)]
mod tests;
