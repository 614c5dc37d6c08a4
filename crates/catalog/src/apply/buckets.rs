//! Buckets and the mappings of 1.x databases to them.

use model::{BucketId, DbrpId, OrgId, Timestamp};

use super::checks::{self, Checked, conflict, id_taken, invalid, not_found, unprocessable};
use crate::change::Change;
use crate::limits::Limits;
use crate::resources::{Bucket, BucketKind, Dbrp};
use crate::state::State;

/// A bucket as it will be stored, when everything about it that needs no state is right.
pub(super) fn checked(bucket: &Bucket, limits: &Limits) -> Checked<Bucket> {
    checks::bucket_name(&bucket.name, bucket.kind, limits)?;
    checks::description(&bucket.description, limits)?;
    let (retention_ns, shard_duration_ns) =
        checks::durations(bucket.retention_ns, bucket.shard_duration_ns, limits)?;
    if retention_ns.is_some_and(|r| r < shard_duration_ns) {
        return Err(unprocessable("retention policy duration must be greater than the shard duration"));
    }
    Ok(Bucket { retention_ns, shard_duration_ns, ..bucket.clone() })
}

pub(super) fn create(state: &State, bucket: &Bucket, limits: &Limits) -> Checked<Vec<Change>> {
    if state.org(bucket.org).is_none() {
        return Err(not_found("organization not found"));
    }
    let bucket = checked(bucket, limits)?;
    if state.bucket_by_name(bucket.org, &bucket.name).is_some() {
        return Err(conflict(format!("bucket with name {} already exists", bucket.name)));
    }
    if state.bucket(bucket.id).is_some() {
        return Err(id_taken());
    }
    Ok(vec![Change::PutBucket(bucket)])
}

/// What to change of a bucket.
pub(super) struct Update<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) description: Option<&'a str>,
    pub(super) retention_ns: Option<Option<i64>>,
    pub(super) shard_duration_ns: Option<i64>,
    pub(super) at: Timestamp,
}

pub(super) fn update(
    state: &State,
    id: BucketId,
    update: &Update<'_>,
    limits: &Limits,
) -> Checked<Vec<Change>> {
    let mut bucket = state.bucket(id).ok_or_else(|| not_found("bucket not found"))?.clone();
    if let Some(name) = update.name
        && name != bucket.name
    {
        if bucket.kind == BucketKind::System {
            return Err(invalid("system buckets cannot be renamed"));
        }
        checks::bucket_name(name, bucket.kind, limits)?;
        if state.bucket_by_name(bucket.org, name).is_some() {
            return Err(conflict("bucket name is not unique"));
        }
        name.clone_into(&mut bucket.name);
    }
    if let Some(description) = update.description {
        checks::description(description, limits)?;
        description.clone_into(&mut bucket.description);
    }
    let retention_ns = update.retention_ns.unwrap_or(bucket.retention_ns);
    let shard_duration_ns = update.shard_duration_ns.unwrap_or(bucket.shard_duration_ns);
    (bucket.retention_ns, bucket.shard_duration_ns) =
        checks::durations(retention_ns, shard_duration_ns, limits)?;
    if bucket.retention_ns.is_some_and(|r| r < bucket.shard_duration_ns) {
        return Err(unprocessable(
            "shard-group duration must also be updated to be smaller than new retention duration",
        ));
    }
    bucket.updated_at = update.at;
    Ok(vec![Change::PutBucket(bucket)])
}

pub(super) fn delete(state: &State, id: BucketId) -> Checked<Vec<Change>> {
    let bucket = state.bucket(id).ok_or_else(|| not_found("bucket not found"))?;
    if bucket.kind == BucketKind::System {
        return Err(invalid("system buckets cannot be deleted"));
    }
    let gone: Vec<DbrpId> = state.dbrps(bucket.org).filter(|d| d.bucket == id).map(|d| d.id).collect();
    let mut changes = drop_dbrps(state, bucket.org, &gone);
    changes.push(Change::DropBucket(id));
    Ok(changes)
}

pub(super) fn create_dbrp(state: &State, dbrp: &Dbrp, limits: &Limits) -> Checked<Vec<Change>> {
    let too_long = |text: &str| text.len() > limits.name_bytes;
    if dbrp.database.is_empty() || dbrp.retention_policy.is_empty() {
        return Err(invalid("DBRP provided is invalid"));
    }
    if too_long(&dbrp.database) || too_long(&dbrp.retention_policy) {
        return Err(invalid(format!("name is longer than {} bytes", limits.name_bytes)));
    }
    if state.org(dbrp.org).is_none() {
        return Err(not_found("organization not found"));
    }
    if state.bucket(dbrp.bucket).is_none_or(|b| b.org != dbrp.org) {
        return Err(not_found("bucket not found"));
    }
    if state.dbrp(dbrp.id).is_some() {
        return Err(conflict(
            "dbrp already exist for this particular ID. If you are trying an update use the right function .Update",
        ));
    }
    let others: Vec<&Dbrp> = state.dbrps(dbrp.org).filter(|d| d.database == dbrp.database).collect();
    if others.iter().any(|d| d.retention_policy == dbrp.retention_policy) {
        return Err(conflict("another DBRP mapping with same orgID, db, and rp exists"));
    }
    let mut dbrp = dbrp.clone();
    dbrp.default |= others.is_empty();
    let mut changes = Vec::new();
    if dbrp.default {
        let before = others.into_iter().filter(|d| d.default);
        changes.extend(before.map(|d| Change::PutDbrp(Dbrp { default: false, ..d.clone() })));
    }
    changes.push(Change::PutDbrp(dbrp));
    Ok(changes)
}

/// Deleting what is not there is done, as in InfluxDB.
pub(super) fn delete_dbrp(state: &State, id: DbrpId) -> Vec<Change> {
    state.dbrp(id).map_or_else(Vec::new, |d| drop_dbrps(state, d.org, &[id]))
}

/// Drops mappings; where a database loses its default, its first remaining mapping comes to be it.
fn drop_dbrps(state: &State, org: OrgId, gone: &[DbrpId]) -> Vec<Change> {
    let mut changes: Vec<Change> = gone.iter().map(|id| Change::DropDbrp(*id)).collect();
    for lost in gone.iter().filter_map(|id| state.dbrp(*id)).filter(|d| d.default) {
        let heir = state.dbrps(org).find(|d| d.database == lost.database && !gone.contains(&d.id));
        changes.extend(heir.map(|d| Change::PutDbrp(Dbrp { default: true, ..d.clone() })));
    }
    changes
}
