//! Databases and retention policies of InfluxQL: a policy is a bucket, `database/policy`, or one that a mapping names; the
//! bucket `database` is the policy `autogen`.

use catalog::{Bucket, BucketKind, Command, Dbrp, ErrorCode, Response, State};
use influxql::ast::{CreateDatabase, RetentionPolicy};
use model::time::HOUR_NS;
use model::{BucketId, DbrpId, OrgId};

use super::{QueryAdapter, policy};

/// What InfluxDB says of a duration that is too short.
const TOO_SHORT: &str = "retention policy duration must be at least 1h0m0s";

impl QueryAdapter {
    /// A database is a bucket; with a named retention policy it is the bucket `database/policy`, mapped as the
    /// database's default. One that exists is left as it is, and must be as the statement says.
    pub(super) fn create_database(&self, org: OrgId, statement: &CreateDatabase) -> Result<(), String> {
        let policy = statement.policy.as_ref();
        let named = policy.and_then(|p| p.name.as_deref());
        let name = match named {
            Some(policy) => format!("{}/{policy}", statement.name),
            None => statement.name.clone(),
        };
        if policy.and_then(|p| p.duration).is_some_and(|ns| 0 < ns && ns < HOUR_NS) {
            return Err(TOO_SHORT.to_owned());
        }
        {
            let state = self.cluster.catalog().read();
            match (policy::default_of(&state, org, &statement.name), policy) {
                (Some((name, bucket)), Some(wanted)) if !policy::is_as_wanted(wanted, name, bucket) => {
                    return Err("retention policy conflicts with an existing policy".to_owned());
                }
                (Some(_), _) => return Ok(()),
                // A bucket that no policy of the database is the default of.
                (None, _) if state.resolve_dbrp(org, &statement.name, named).is_some() => return Ok(()),
                (None, _) => {}
            }
        }
        let retention_ns = policy.and_then(|p| p.duration).filter(|ns| *ns > 0);
        let shard_duration_ns = policy
            .and_then(|p| p.shard_duration)
            .filter(|ns| *ns > 0)
            .unwrap_or_else(|| Bucket::default_shard_duration_ns(retention_ns));
        let bucket = self.create_bucket(org, name, retention_ns, shard_duration_ns)?;
        if let Some(policy) = named {
            let dbrp = Dbrp {
                id: random_id(DbrpId::new)?,
                org,
                database: statement.name.clone(),
                retention_policy: policy.to_owned(),
                default: true,
                bucket,
            };
            self.propose(Command::CreateDbrp { dbrp })?;
        }
        Ok(())
    }

    /// Drops the buckets that are named after a database, with all that they hold, and its other mappings.
    pub(super) fn drop_database(&self, org: OrgId, name: &str) -> Result<(), String> {
        let (buckets, mappings) = {
            let state = self.cluster.catalog().read();
            let own = state.buckets_of(org).filter(|b| b.is_of_database(name));
            let buckets: Vec<BucketId> = own.map(|b| b.id).collect();
            let others = state.dbrps(org).filter(|d| d.database == name && !buckets.contains(&d.bucket));
            let mappings: Vec<DbrpId> = others.map(|d| d.id).collect();
            (buckets, mappings)
        };
        self.drop_continuous_queries_of(org, name)?;
        for id in mappings {
            self.propose(Command::DeleteDbrp { id })?;
        }
        buckets.into_iter().try_for_each(|id| self.drop_bucket(id))
    }

    /// Creates the bucket of a policy. One that exists must be as the statement says.
    pub(super) fn create_policy(&self, org: OrgId, wanted: &RetentionPolicy) -> Result<(), String> {
        let retention_ns = wanted.duration.filter(|ns| *ns > 0);
        if retention_ns.is_some_and(|ns| ns < HOUR_NS) {
            return Err(TOO_SHORT.to_owned());
        }
        let shard_duration_ns = match wanted.shard_duration.filter(|ns| *ns > 0) {
            Some(ns) => ns.max(HOUR_NS),
            None => Bucket::default_shard_duration_ns(retention_ns),
        };
        if retention_ns.is_some_and(|ns| ns < shard_duration_ns) {
            return Err("retention policy duration must be greater than the shard duration".to_owned());
        }
        {
            let state = self.cluster.catalog().read();
            known_database(&state, org, &wanted.database)?;
            if let Some(bucket) = bucket_of(&state, org, &wanted.database, &wanted.name) {
                let is_default = policy::default_of(&state, org, &wanted.database)
                    .is_some_and(|(_, default)| default.id == bucket.id);
                return match (bucket.retention_ns, bucket.shard_duration_ns)
                    == (retention_ns, shard_duration_ns)
                {
                    false => Err("retention policy already exists".to_owned()),
                    true if wanted.default && !is_default => {
                        Err("retention policy conflicts with an existing policy".to_owned())
                    }
                    true => Ok(()),
                };
            }
        }
        let name = format!("{}/{}", wanted.database, wanted.name);
        let bucket = self.create_bucket(org, name, retention_ns, shard_duration_ns)?;
        self.grant_new_policy(org, &wanted.database, bucket)?;
        if wanted.default { self.make_default(org, wanted, bucket) } else { Ok(()) }
    }

    /// Changes what the statement names.
    pub(super) fn alter_policy(&self, org: OrgId, wanted: &RetentionPolicy) -> Result<(), String> {
        let bucket = {
            let state = self.cluster.catalog().read();
            known_database(&state, org, &wanted.database)?;
            let found = bucket_of(&state, org, &wanted.database, &wanted.name);
            found.ok_or_else(|| format!("retention policy not found: {}", wanted.name))?.clone()
        };
        let retention_ns = wanted.duration.map(|ns| Some(ns).filter(|ns| *ns > 0));
        if retention_ns.flatten().is_some_and(|ns| ns < HOUR_NS) {
            return Err(TOO_SHORT.to_owned());
        }
        let shard_duration_ns = match wanted.shard_duration {
            Some(0) => Some(Bucket::default_shard_duration_ns(retention_ns.unwrap_or(bucket.retention_ns))),
            other => other.map(|ns| ns.max(HOUR_NS)),
        };
        let (kept, shard) = (
            retention_ns.unwrap_or(bucket.retention_ns),
            shard_duration_ns.unwrap_or(bucket.shard_duration_ns),
        );
        if kept.is_some_and(|ns| ns < shard) {
            return Err("retention policy duration must be greater than the shard duration".to_owned());
        }
        if retention_ns.is_some() || shard_duration_ns.is_some() {
            self.propose(Command::UpdateBucket {
                id: bucket.id,
                name: None,
                description: None,
                retention_ns,
                shard_duration_ns,
                at: self.clock.now(),
            })?;
        }
        if wanted.default { self.make_default(org, wanted, bucket.id) } else { Ok(()) }
    }

    /// Drops the bucket of a policy, with all that it holds, if there is one.
    pub(super) fn drop_policy(&self, org: OrgId, database: &str, name: &str) -> Result<(), String> {
        let bucket = {
            let state = self.cluster.catalog().read();
            bucket_of(&state, org, database, name).map(|bucket| bucket.id)
        };
        bucket.map_or(Ok(()), |id| self.drop_bucket(id))
    }

    /// Makes a policy the one that is meant where none is named.
    fn make_default(&self, org: OrgId, policy: &RetentionPolicy, bucket: BucketId) -> Result<(), String> {
        let mapping = {
            let state = self.cluster.catalog().read();
            let own = |d: &&Dbrp| d.database == policy.database && d.retention_policy == policy.name;
            state.dbrps(org).find(own).map(|d| (d.id, d.default))
        };
        match mapping {
            Some((_, true)) => return Ok(()),
            // Its name stands for the bucket until it is mapped again.
            Some((id, false)) => self.propose(Command::DeleteDbrp { id })?,
            None => {}
        }
        let dbrp = Dbrp {
            id: random_id(DbrpId::new)?,
            org,
            database: policy.database.clone(),
            retention_policy: policy.name.clone(),
            default: true,
            bucket,
        };
        self.propose(Command::CreateDbrp { dbrp })
    }

    fn create_bucket(
        &self,
        org: OrgId,
        name: String,
        retention_ns: Option<i64>,
        shard_duration_ns: i64,
    ) -> Result<BucketId, String> {
        let (id, now) = (random_id(BucketId::new)?, self.clock.now());
        let bucket = Bucket {
            id,
            org,
            name,
            description: String::new(),
            kind: BucketKind::User,
            retention_ns,
            shard_duration_ns,
            created_at: now,
            updated_at: now,
        };
        self.propose(Command::CreateBucket { bucket })?;
        Ok(id)
    }

    fn drop_bucket(&self, id: BucketId) -> Result<(), String> {
        self.propose(Command::DeleteBucket { id })?;
        self.forget_grants(id)?;
        // What this misses, maintenance finds.
        if let Err(error) = host::wait(&self.runtime, self.deletes.router.drop_bucket(id)) {
            tracing::warn!(bucket = %id, %error, "the data of a dropped bucket is dropped later");
        }
        Ok(())
    }

    /// Proposes a command; somebody else having made the same thing meanwhile is no error.
    pub(super) fn propose(&self, command: Command) -> Result<(), String> {
        match host::wait(&self.runtime, self.cluster.propose_catalog(command)) {
            Ok(Response::Refused(refusal)) if refusal.code != ErrorCode::Conflict => Err(refusal.message),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Refuses a database that has no policy.
fn known_database(state: &State, org: OrgId, database: &str) -> Result<(), String> {
    let mapped = state.dbrps(org).any(|d| d.database == database);
    let is_known = mapped || state.resolve_dbrp(org, database, None).is_some();
    if is_known { Ok(()) } else { Err(format!("database not found: {database}")) }
}

/// The bucket of a policy.
fn bucket_of<'a>(state: &'a State, org: OrgId, database: &str, policy: &str) -> Option<&'a Bucket> {
    state.resolve_dbrp(org, database, Some(policy)).and_then(|id| state.bucket(id))
}

pub(super) fn random_id<T>(make: impl Fn(u64) -> Option<T>) -> Result<T, String> {
    loop {
        let raw = getrandom::u64().map_err(|error| error.to_string())?;
        if let Some(id) = make(raw) {
            return Ok(id);
        }
    }
}
