//! Queries: lowering of the languages to scans, execution, limits.

pub mod source;
