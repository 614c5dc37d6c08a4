//! Gathers what checks judge: asks servers, reads files. Nothing is changed, and nothing waits for ever.

pub(crate) mod http;
pub(crate) mod machine;
pub(crate) mod node;
pub(crate) mod prometheus;
