//! Merging files of a shard: `plan` decides and touches nothing, `run` does and decides nothing.

pub(crate) mod plan;
pub(crate) mod run;

#[cfg(test)]
mod tests;
