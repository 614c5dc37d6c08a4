//! The 1.x routes: `/write` and `/query`, with 1.11's parameters, texts and formats.

pub(crate) mod format;
pub(crate) mod json;
pub(crate) mod msgpack;
pub(crate) mod query;
pub(crate) mod write;
