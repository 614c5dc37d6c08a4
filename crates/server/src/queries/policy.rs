//! What CREATE DATABASE ... WITH says of a retention policy, compared with the one that a database has.

use catalog::{Bucket, State};
use influxql::ast::PolicyOptions;
use model::OrgId;
use model::time::HOUR_NS;

#[cfg(test)]
mod tests;

/// The retention policy that answers when a request names the database alone: its name and its bucket.
pub(super) fn default_of<'a>(state: &'a State, org: OrgId, database: &str) -> Option<(&'a str, &'a Bucket)> {
    let bucket = state.bucket(state.resolve_dbrp(org, database, None)?)?;
    let mapped = state.dbrps(org).find(|dbrp| dbrp.database == database && dbrp.default);
    let (_, by_name) = bucket.database_and_policy();
    Some((mapped.map_or(by_name, |dbrp| &dbrp.retention_policy), bucket))
}

/// Whether a statement that says `wanted` leaves the policy `name` of this bucket as it is. As in InfluxDB, what it
/// does not say is right, but for the shard duration, which is then the standard one of the policy's duration.
pub(super) fn is_as_wanted(wanted: &PolicyOptions, name: &str, bucket: &Bucket) -> bool {
    let shard_duration_ns = match wanted.shard_duration {
        None | Some(0) => Bucket::default_shard_duration_ns(bucket.retention_ns),
        Some(ns) => ns.max(HOUR_NS),
    };
    wanted.name.as_deref().is_none_or(|wanted| wanted == name)
        && wanted.duration.is_none_or(|ns| ns == bucket.retention_ns.unwrap_or(0))
        && wanted.replication.is_none_or(|copies| copies == 1)
        && shard_duration_ns == bucket.shard_duration_ns
}
