//! The catalog's state in memory: the records, their indexes, and the questions that others ask.
//!
//! Invariants: every index agrees with its records; every bucket, authorization and mapping belongs to an
//! organization that exists; every schema belongs to a bucket that exists. `apply` keeps them, `State::check`
//! tests them on whatever was loaded from disk or taken from another node.

use std::collections::{BTreeMap, HashMap};

use model::{
    AuthorizationId, BucketId, ContinuousQueryId, DbrpId, FieldType, GroupId, NodeId, OrgId, ReplicaId,
    UserId,
};

use crate::change::Change;
use crate::level::Level;
use crate::resources::{
    Authorization, Bucket, BucketKind, Cluster, ClusterNode, ContinuousQuery, Dbrp, Org, Placement, Role,
    User,
};

/// Fields and their types, of one measurement.
pub type Fields = BTreeMap<String, FieldType>;

/// The state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    cluster: Option<Cluster>,
    nodes: BTreeMap<NodeId, ClusterNode>,
    placements: BTreeMap<GroupId, Placement>,
    orgs: BTreeMap<OrgId, Org>,
    org_names: BTreeMap<String, OrgId>,
    buckets: BTreeMap<BucketId, Bucket>,
    bucket_names: BTreeMap<OrgId, BTreeMap<String, BucketId>>,
    users: BTreeMap<UserId, User>,
    user_names: BTreeMap<String, UserId>,
    authorizations: BTreeMap<AuthorizationId, Authorization>,
    token_hashes: HashMap<[u8; 32], AuthorizationId>,
    dbrps: BTreeMap<DbrpId, Dbrp>,
    continuous_queries: BTreeMap<ContinuousQueryId, ContinuousQuery>,
    schema: BTreeMap<BucketId, BTreeMap<String, Fields>>,
}

/// What is wrong with records that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistent {
    /// Two records claim one name or one token.
    #[error("two {0} records claim the same name")]
    Duplicate(&'static str),
    /// A record belongs to something that is not there.
    #[error("{kind} {id:016x} belongs to something that does not exist")]
    Orphan {
        /// The kind of record.
        kind: &'static str,
        /// Its id.
        id: u64,
    },
}

impl State {
    /// Whether the first user exists, so that set-up is over. An organization may exist before: open 1.x routes need
    /// one. The last user cannot be deleted, so that set-up is never open again.
    pub fn is_set_up(&self) -> bool {
        !self.users.is_empty()
    }

    /// The cluster, once bootstrapped.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// What the cluster may use; the first level before bootstrap.
    pub fn level(&self) -> Level {
        self.cluster.as_ref().map_or(Level::FIRST, |cluster| cluster.level)
    }

    /// The newest level that all nodes understand.
    pub fn level_of_all(&self) -> Level {
        let nodes = self.nodes().filter(|node| !node.state.is_out());
        nodes.map(|node| node.info.level).min().unwrap_or_else(|| self.level())
    }

    /// Number of partitions, a power of two; `None` before bootstrap.
    pub fn partitions(&self) -> Option<u16> {
        self.cluster.as_ref().map(|c| c.partitions)
    }

    /// All nodes, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &ClusterNode> {
        self.nodes.values()
    }

    /// The node with an id.
    pub fn node(&self, id: NodeId) -> Option<&ClusterNode> {
        self.nodes.get(&id)
    }

    /// The node of a data directory.
    pub fn node_by_uuid(&self, uuid: u128) -> Option<&ClusterNode> {
        self.nodes.values().find(|node| node.info.uuid == uuid)
    }

    /// Where the replicas of a group are.
    pub fn placement(&self, group: GroupId) -> Option<&Placement> {
        self.placements.get(&group)
    }

    /// The places of all groups, the meta group first.
    pub fn placements(&self) -> impl Iterator<Item = &Placement> {
        self.placements.values()
    }

    /// The replica of a group on a node.
    pub fn replica_on(&self, group: GroupId, node: NodeId) -> Option<ReplicaId> {
        let replicas = &self.placements.get(&group)?.replicas;
        replicas.iter().find(|replica| replica.node == node).map(|replica| replica.id)
    }

    /// The groups of which a node has what must go elsewhere before it may leave: replicas of partitions, and a vote in
    /// the meta group, which counts until the group has taken it away.
    pub fn held_by(&self, node: NodeId) -> impl Iterator<Item = GroupId> {
        let holds = move |placement: &Placement| {
            let replica = placement.on(node)?;
            let counts = replica.is_voter() || replica.role == Role::Leaving;
            (placement.group != GroupId::Meta || counts).then_some(placement.group)
        };
        self.placements.values().filter_map(holds)
    }

    /// The organization with an id.
    pub fn org(&self, id: OrgId) -> Option<&Org> {
        self.orgs.get(&id)
    }

    /// The organization with a name.
    pub fn org_by_name(&self, name: &str) -> Option<&Org> {
        self.orgs.get(self.org_names.get(name)?)
    }

    /// All organizations, by name.
    pub fn orgs(&self) -> impl Iterator<Item = &Org> {
        self.org_names.values().filter_map(|id| self.orgs.get(id))
    }

    /// The bucket with an id.
    pub fn bucket(&self, id: BucketId) -> Option<&Bucket> {
        self.buckets.get(&id)
    }

    /// The bucket of an organization with a name.
    pub fn bucket_by_name(&self, org: OrgId, name: &str) -> Option<&Bucket> {
        self.buckets.get(self.bucket_names.get(&org)?.get(name)?)
    }

    /// The buckets of an organization, by name.
    pub fn buckets_of(&self, org: OrgId) -> impl Iterator<Item = &Bucket> {
        let names = self.bucket_names.get(&org);
        names.into_iter().flat_map(BTreeMap::values).filter_map(|id| self.buckets.get(id))
    }

    /// All buckets, by id.
    pub fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.buckets.values()
    }

    /// The user with an id.
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.users.get(&id)
    }

    /// The user with a name.
    pub fn user_by_name(&self, name: &str) -> Option<&User> {
        self.users.get(self.user_names.get(name)?)
    }

    /// All users, by name.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.user_names.values().filter_map(|id| self.users.get(id))
    }

    /// The authorization with an id.
    pub fn authorization(&self, id: AuthorizationId) -> Option<&Authorization> {
        self.authorizations.get(&id)
    }

    /// The authorization of a token, by the token's hash (see [`crate::auth::hash_token`]).
    pub fn authorization_by_hash(&self, hash: &[u8; 32]) -> Option<&Authorization> {
        self.authorizations.get(self.token_hashes.get(hash)?)
    }

    /// All authorizations, by id.
    pub fn authorizations(&self) -> impl Iterator<Item = &Authorization> {
        self.authorizations.values()
    }

    /// The mapping with an id.
    pub fn dbrp(&self, id: DbrpId) -> Option<&Dbrp> {
        self.dbrps.get(&id)
    }

    /// The explicit mappings of an organization, by id.
    pub fn dbrps(&self, org: OrgId) -> impl Iterator<Item = &Dbrp> {
        self.dbrps.values().filter(move |d| d.org == org)
    }

    /// The continuous query with an id.
    pub fn continuous_query(&self, id: ContinuousQueryId) -> Option<&ContinuousQuery> {
        self.continuous_queries.get(&id)
    }

    /// All continuous queries, by id.
    pub fn continuous_queries(&self) -> impl Iterator<Item = &ContinuousQuery> {
        self.continuous_queries.values()
    }

    /// The continuous query of a database with a name.
    pub fn continuous_query_by_name(
        &self,
        org: OrgId,
        database: &str,
        name: &str,
    ) -> Option<&ContinuousQuery> {
        self.continuous_queries().find(|q| q.org == org && q.database == database && q.name == name)
    }

    /// The bucket behind a 1.x database and retention policy, as InfluxDB 2.x resolves it: explicit mappings win
    /// (the default one when no policy is named); else every bucket is mapped virtually, `db/rp` by its name and
    /// a name without slash as that database with the policy `autogen`. When no policy is named and no bucket
    /// has the database's name, the first bucket `db/…` answers.
    pub fn resolve_dbrp(&self, org: OrgId, database: &str, policy: Option<&str>) -> Option<BucketId> {
        let policy = policy.filter(|p| !p.is_empty());
        let explicit = self
            .dbrps(org)
            .find(|d| d.database == database && policy.map_or(d.default, |p| d.retention_policy == p));
        if let Some(mapping) = explicit {
            return Some(mapping.bucket);
        }
        if let Some(policy) = policy
            && let Some(bucket) = self.bucket_by_name(org, &format!("{database}/{policy}"))
        {
            return Some(bucket.id);
        }
        match policy {
            None | Some("autogen") => {
                let named = self.bucket_by_name(org, database);
                named.or_else(|| self.first_policy_of(org, database, policy)).map(|b| b.id)
            }
            Some(_) => None,
        }
    }

    /// The first bucket `db/…`, when the request names no policy.
    fn first_policy_of(&self, org: OrgId, database: &str, policy: Option<&str>) -> Option<&Bucket> {
        if policy.is_some() {
            return None;
        }
        let prefix = format!("{database}/");
        let names = self.bucket_names.get(&org)?;
        let (name, id) = names.range(prefix.clone()..).next()?;
        if name.starts_with(&prefix) { self.buckets.get(id) } else { None }
    }

    /// The 1.x databases of an organization with their buckets: those mapped, and those named after a database.
    pub fn databases(&self, org: OrgId) -> BTreeMap<&str, Vec<BucketId>> {
        let mut found: BTreeMap<&str, Vec<BucketId>> = BTreeMap::new();
        let mapped = self.dbrps(org).map(|dbrp| (dbrp.database.as_str(), dbrp.bucket));
        let own = self.buckets_of(org).filter(|bucket| bucket.kind == BucketKind::User);
        let named = own.map(|bucket| (bucket.database_and_policy().0, bucket.id));
        for (database, bucket) in mapped.chain(named) {
            let buckets = found.entry(database).or_default();
            if !buckets.contains(&bucket) {
                buckets.push(bucket);
            }
        }
        found
    }

    /// The type of a field; `None` when no writer has fixed it.
    pub fn field_type(&self, bucket: BucketId, measurement: &str, field: &str) -> Option<FieldType> {
        self.schema.get(&bucket)?.get(measurement)?.get(field).copied()
    }

    /// The fields of a measurement with their types, by name.
    pub fn fields_of(
        &self,
        bucket: BucketId,
        measurement: &str,
    ) -> impl Iterator<Item = (&str, FieldType)> + use<'_> {
        let fields = self.schema.get(&bucket).and_then(|m| m.get(measurement));
        fields.into_iter().flatten().map(|(name, field_type)| (name.as_str(), *field_type))
    }

    /// The measurements of a bucket, by name.
    pub fn measurements(&self, bucket: BucketId) -> impl Iterator<Item = &str> {
        self.schema.get(&bucket).into_iter().flat_map(BTreeMap::keys).map(String::as_str)
    }

    /// Whether a measurement of a bucket has any field.
    pub fn has_measurement(&self, bucket: BucketId, measurement: &str) -> bool {
        self.schema.get(&bucket).is_some_and(|m| m.contains_key(measurement))
    }

    /// Number of measurements of a bucket.
    pub fn measurement_count(&self, bucket: BucketId) -> usize {
        self.schema.get(&bucket).map_or(0, BTreeMap::len)
    }

    /// Number of fields of a measurement.
    pub fn field_count(&self, bucket: BucketId, measurement: &str) -> usize {
        self.schema.get(&bucket).and_then(|m| m.get(measurement)).map_or(0, BTreeMap::len)
    }

    /// The whole schema of a bucket: measurement -> fields.
    pub fn schema(&self, bucket: BucketId) -> Option<&BTreeMap<String, Fields>> {
        self.schema.get(&bucket)
    }

    /// Every record, as the changes that build this state from an empty one.
    pub fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        let fields = self.schema.iter().flat_map(|(bucket, measurements)| {
            measurements.iter().flat_map(move |(measurement, fields)| {
                fields.iter().map(move |(field, field_type)| Change::PutField {
                    bucket: *bucket,
                    measurement: measurement.clone(),
                    field: field.clone(),
                    field_type: *field_type,
                })
            })
        });
        (self.cluster.iter().cloned().map(Change::PutCluster))
            .chain(self.nodes.values().cloned().map(Change::PutNode))
            .chain(self.placements.values().cloned().map(Change::PutPlacement))
            .chain(self.orgs.values().cloned().map(Change::PutOrg))
            .chain(self.buckets.values().cloned().map(Change::PutBucket))
            .chain(self.users.values().cloned().map(Change::PutUser))
            .chain(self.authorizations.values().cloned().map(Change::PutAuthorization))
            .chain(self.dbrps.values().cloned().map(Change::PutDbrp))
            .chain(self.continuous_queries.values().cloned().map(Change::PutContinuousQuery))
            .chain(fields)
    }

    /// Makes one change. Records may come in any order.
    pub(crate) fn make(&mut self, change: Change) {
        match change {
            Change::PutCluster(cluster) => self.cluster = Some(cluster),
            Change::PutNode(node) => {
                self.nodes.insert(node.id, node);
            }
            Change::PutPlacement(placement) => {
                self.placements.insert(placement.group, placement);
            }
            Change::PutOrg(org) => {
                self.forget_org_name(org.id);
                self.org_names.insert(org.name.clone(), org.id);
                self.orgs.insert(org.id, org);
            }
            Change::DropOrg(id) => {
                self.forget_org_name(id);
                self.orgs.remove(&id);
            }
            Change::PutBucket(bucket) => {
                self.forget_bucket_name(bucket.id);
                self.bucket_names.entry(bucket.org).or_default().insert(bucket.name.clone(), bucket.id);
                self.buckets.insert(bucket.id, bucket);
            }
            Change::DropBucket(id) => {
                self.forget_bucket_name(id);
                self.buckets.remove(&id);
                self.schema.remove(&id);
            }
            Change::PutUser(user) => {
                self.forget_user_name(user.id);
                self.user_names.insert(user.name.clone(), user.id);
                self.users.insert(user.id, user);
            }
            Change::DropUser(id) => {
                self.forget_user_name(id);
                self.users.remove(&id);
            }
            Change::PutAuthorization(authorization) => {
                self.forget_token_hash(authorization.id);
                self.token_hashes.insert(authorization.token_hash, authorization.id);
                self.authorizations.insert(authorization.id, authorization);
            }
            Change::DropAuthorization(id) => {
                self.forget_token_hash(id);
                self.authorizations.remove(&id);
            }
            Change::PutDbrp(dbrp) => {
                self.dbrps.insert(dbrp.id, dbrp);
            }
            Change::DropDbrp(id) => {
                self.dbrps.remove(&id);
            }
            Change::PutContinuousQuery(query) => {
                self.continuous_queries.insert(query.id, query);
            }
            Change::DropContinuousQuery(id) => {
                self.continuous_queries.remove(&id);
            }
            Change::DropMeasurement { bucket, measurement } => {
                if let Some(measurements) = self.schema.get_mut(&bucket) {
                    measurements.remove(&measurement);
                    if measurements.is_empty() {
                        self.schema.remove(&bucket);
                    }
                }
            }
            Change::PutField { bucket, measurement, field, field_type } => {
                let measurements = self.schema.entry(bucket).or_default();
                measurements.entry(measurement).or_default().insert(field, field_type);
            }
        }
    }

    /// Tests the invariants that records from elsewhere could break.
    pub(crate) fn check(&self) -> Result<(), Inconsistent> {
        for (kind, records, names) in [
            ("organization", self.orgs.len(), self.org_names.len()),
            ("bucket", self.buckets.len(), self.bucket_names.values().map(BTreeMap::len).sum()),
            ("user", self.users.len(), self.user_names.len()),
            ("authorization", self.authorizations.len(), self.token_hashes.len()),
        ] {
            if records != names {
                return Err(Inconsistent::Duplicate(kind));
            }
        }
        let orphan = |kind, id: u64| Err(Inconsistent::Orphan { kind, id });
        let mut uuids: Vec<_> = self.nodes.values().map(|node| node.info.uuid).collect();
        uuids.sort_unstable();
        let mut replicas: Vec<_> =
            self.placements.values().flat_map(|p| &p.replicas).map(|replica| replica.id).collect();
        replicas.sort_unstable();
        for (kind, is_twice) in [
            ("node", uuids.windows(2).any(|pair| pair[0] == pair[1])),
            ("replica", replicas.windows(2).any(|pair| pair[0] == pair[1])),
        ] {
            if is_twice {
                return Err(Inconsistent::Duplicate(kind));
            }
        }
        let mut replicas = self.placements.values().flat_map(|p| &p.replicas);
        if let Some(replica) = replicas.find(|replica| !self.nodes.contains_key(&replica.node)) {
            return orphan("replica", replica.id.0);
        }
        if let Some(bucket) = self.buckets.values().find(|b| !self.orgs.contains_key(&b.org)) {
            return orphan("bucket", bucket.id.get());
        }
        let owned = |a: &Authorization| self.orgs.contains_key(&a.org) && self.users.contains_key(&a.user);
        if let Some(authorization) = self.authorizations.values().find(|a| !owned(a)) {
            return orphan("authorization", authorization.id.get());
        }
        if let Some(dbrp) = self.dbrps.values().find(|d| !self.buckets.contains_key(&d.bucket)) {
            return orphan("DBRP mapping", dbrp.id.get());
        }
        if let Some(query) = self.continuous_queries().find(|q| !self.orgs.contains_key(&q.org)) {
            return orphan("continuous query", query.id.get());
        }
        if let Some(bucket) = self.schema.keys().find(|b| !self.buckets.contains_key(b)) {
            return orphan("schema of bucket", bucket.get());
        }
        Ok(())
    }

    fn forget_org_name(&mut self, id: OrgId) {
        if let Some(old) = self.orgs.get(&id)
            && self.org_names.get(&old.name) == Some(&id)
        {
            self.org_names.remove(&old.name);
        }
    }

    fn forget_user_name(&mut self, id: UserId) {
        if let Some(old) = self.users.get(&id)
            && self.user_names.get(&old.name) == Some(&id)
        {
            self.user_names.remove(&old.name);
        }
    }

    fn forget_token_hash(&mut self, id: AuthorizationId) {
        if let Some(old) = self.authorizations.get(&id)
            && self.token_hashes.get(&old.token_hash) == Some(&id)
        {
            self.token_hashes.remove(&old.token_hash);
        }
    }

    fn forget_bucket_name(&mut self, id: BucketId) {
        let Some(old) = self.buckets.get(&id) else { return };
        let Some(names) = self.bucket_names.get_mut(&old.org) else { return };
        if names.get(&old.name) == Some(&id) {
            names.remove(&old.name);
        }
        if names.is_empty() {
            self.bucket_names.remove(&old.org);
        }
    }
}
