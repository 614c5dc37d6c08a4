//! Limits on what clients can put into the catalog. They decide what `apply` answers, so every node must hold
//! the same: they are constants of the format, not configuration.

/// Limits that `apply` enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Fields in one measurement of one bucket.
    pub fields_per_measurement: usize,
    /// Measurements in one bucket.
    pub measurements_per_bucket: usize,
    /// Bytes of the name of an organization, bucket, user, database or retention policy.
    pub name_bytes: usize,
    /// Bytes of the name of a measurement or field.
    pub key_bytes: usize,
    /// Bytes of a description.
    pub description_bytes: usize,
    /// Permissions of one authorization.
    pub permissions: usize,
    /// Continuous queries of all organizations: one node runs them.
    pub continuous_queries: usize,
    /// Nodes of a cluster, those included that are lost.
    pub nodes: usize,
    /// Shortest time shard, and shortest retention, in nanoseconds.
    pub shard_duration_ns_min: i64,
    /// Longest time shard, in nanoseconds.
    pub shard_duration_ns_max: i64,
}

impl Limits {
    /// The limits of this format.
    pub const FORMAT: Self = Self {
        fields_per_measurement: 65_536,
        measurements_per_bucket: 1 << 20,
        name_bytes: 1024,
        key_bytes: 65_535,
        description_bytes: 65_536,
        permissions: 4096,
        continuous_queries: 4096,
        nodes: 4096,
        shard_duration_ns_min: model::time::HOUR_NS,
        shard_duration_ns_max: 100 * 365 * model::time::DAY_NS,
    };
}
