//! Judges: from what was gathered to what is found. They ask nobody and read no clock.

pub(crate) mod cluster;
pub(crate) mod kubernetes;
pub(crate) mod machine;
pub(crate) mod node;
pub(crate) mod prometheus;
pub(crate) mod you;

#[cfg(test)]
mod tests;
