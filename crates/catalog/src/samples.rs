//! Records and commands for tests: fixed ones, and random ones from a seed.

use model::{
    AuthorizationId, BucketId, ContinuousQueryId, DbrpId, FieldType, GroupId, LogPosition, NodeId, OrgId,
    PartitionId, ReplicaId, Timestamp, UserId,
};

use crate::auth;
use crate::command::{Command, FieldSpec};
use crate::level::Level;
use crate::resources::{
    Authorization, Bucket, BucketKind, ClusterNode, ContinuousQuery, Dbrp, NodeInfo, NodeState, Org,
    Permission, Placement, Replica, Role, Status, User,
};
use crate::{Action, ResourceType};

pub(crate) const AT: Timestamp = Timestamp(1_700_000_000_000_000_000);

pub(crate) fn org_id(raw: u64) -> OrgId {
    OrgId::new(raw).unwrap()
}

pub(crate) fn bucket_id(raw: u64) -> BucketId {
    BucketId::new(raw).unwrap()
}

pub(crate) fn user_id(raw: u64) -> UserId {
    UserId::new(raw).unwrap()
}

pub(crate) fn authorization_id(raw: u64) -> AuthorizationId {
    AuthorizationId::new(raw).unwrap()
}

pub(crate) fn dbrp_id(raw: u64) -> DbrpId {
    DbrpId::new(raw).unwrap()
}

pub(crate) fn position(index: u64) -> LogPosition {
    LogPosition { index, term: 1 + index / 7, leader: ReplicaId(3) }
}

pub(crate) fn org(id: u64, name: &str) -> Org {
    let description = format!("the organization {name}");
    Org { id: org_id(id), name: name.to_owned(), description, created_at: AT, updated_at: AT }
}

pub(crate) fn bucket(id: u64, org: u64, name: &str) -> Bucket {
    Bucket {
        id: bucket_id(id),
        org: org_id(org),
        name: name.to_owned(),
        description: String::new(),
        kind: BucketKind::User,
        retention_ns: None,
        shard_duration_ns: 0,
        created_at: AT,
        updated_at: AT,
    }
}

pub(crate) fn user(id: u64, name: &str) -> User {
    User {
        id: user_id(id),
        name: name.to_owned(),
        password_hash: None,
        status: Status::Active,
        owner_of: Vec::new(),
        created_at: AT,
    }
}

pub(crate) fn authorization(id: u64, org: u64, user: u64, token: &str) -> Authorization {
    Authorization {
        id: authorization_id(id),
        token_hash: auth::hash_token(token),
        org: org_id(org),
        user: user_id(user),
        description: format!("token {id}"),
        status: Status::Active,
        permissions: vec![
            Permission { action: Action::Read, resource: ResourceType::Buckets, id: Some(7), org: None },
            Permission {
                action: Action::Write,
                resource: ResourceType::Tasks,
                id: None,
                org: Some(org_id(org)),
            },
        ],
        created_at: AT,
        updated_at: AT,
    }
}

pub(crate) fn dbrp(id: u64, org: u64, bucket: u64, database: &str, policy: &str, default: bool) -> Dbrp {
    Dbrp {
        id: dbrp_id(id),
        org: org_id(org),
        database: database.to_owned(),
        retention_policy: policy.to_owned(),
        default,
        bucket: bucket_id(bucket),
    }
}

pub(crate) fn continuous_query(id: u64, org: u64, database: &str, name: &str) -> ContinuousQuery {
    let text = format!(
        "CREATE CONTINUOUS QUERY {name} ON {database} BEGIN SELECT mean(f) INTO n FROM m GROUP BY time(1m) END"
    );
    ContinuousQuery {
        id: ContinuousQueryId::new(id).unwrap(),
        org: org_id(org),
        database: database.to_owned(),
        name: name.to_owned(),
        text,
        created_at: AT,
        last_run: None,
    }
}

pub(crate) fn field(measurement: &str, field: &str, field_type: FieldType) -> FieldSpec {
    FieldSpec { measurement: measurement.to_owned(), field: field.to_owned(), field_type }
}

/// Node `n`, at the address `n-n:8088` in zone `n`.
pub(crate) fn node(n: u8) -> NodeInfo {
    NodeInfo {
        uuid: u128::MAX - u128::from(n),
        address: format!("n-{n}:8088"),
        zone: n.to_string(),
        version: "1".to_owned(),
        level: Level::FIRST,
    }
}

pub(crate) fn bootstrap() -> Command {
    let placements = (0..16).map(|p| vec![p % 3, (p + 1) % 3]).collect();
    let nodes = (0..3).map(node).collect();
    Command::Bootstrap { cluster_id: 1 << 100, replication: 2, nodes, placements }
}

/// User 1 "ann", organization 1 "acme", bucket 1 "metrics", the system buckets 2 and 3, authorization 1 "secret".
pub(crate) fn set_up() -> Command {
    let mut buckets = vec![bucket(1, 1, "metrics")];
    buckets.extend(Bucket::system_buckets(org_id(1), AT, bucket_id(2), bucket_id(3)));
    Command::Setup {
        user: user(1, "ann"),
        org: org(1, "acme"),
        buckets,
        authorization: authorization(1, 1, 1, "secret"),
    }
}

/// Random commands over few ids and names, so that they often meet.
#[derive(Debug)]
pub(crate) struct Commands(u64);

impl Commands {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn random(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.random() >> 33) % n
    }

    fn id(&mut self) -> u64 {
        1 + self.below(9)
    }

    fn pick<'a>(&mut self, names: &[&'a str]) -> &'a str {
        names[usize::try_from(self.below(names.len() as u64)).unwrap()]
    }

    fn name(&mut self) -> &'static str {
        self.pick(&["a", "b", "a/rp", "b/autogen", "", "_reserved", "c", "d", "grün", "q\"q"])
    }

    fn maybe<T>(&mut self, value: T) -> Option<T> {
        (self.below(2) == 0).then_some(value)
    }

    fn duration(&mut self) -> i64 {
        const HOUR: i64 = model::time::HOUR_NS;
        [0, 1, HOUR, 24 * HOUR, 72 * HOUR, 400 * 24 * HOUR][usize::try_from(self.below(6)).unwrap()]
    }

    fn bucket(&mut self) -> Bucket {
        let mut made = bucket(self.id(), self.id(), self.name());
        let retention = self.duration();
        made.retention_ns = self.maybe(retention);
        made.shard_duration_ns = self.duration();
        if self.below(4) == 0 {
            made.kind = BucketKind::System;
        }
        made
    }

    fn authorization(&mut self) -> Authorization {
        let token = self.pick(&["t1", "t2", "t3", "t4", "t5"]);
        authorization(self.id(), self.id(), self.id(), token)
    }

    fn fields(&mut self) -> Vec<FieldSpec> {
        let types = [FieldType::Float, FieldType::Integer, FieldType::String, FieldType::Boolean];
        let count = self.below(6);
        (0..count)
            .map(|_| {
                let field_type = types[usize::try_from(self.below(4)).unwrap()];
                field(self.pick(&["cpu", "mem", "disk", ""]), self.pick(&["f1", "f2", "ü", ""]), field_type)
            })
            .collect()
    }

    /// Of the few that fit together now and then.
    fn group(&mut self) -> GroupId {
        match self.below(3) {
            0 => GroupId::Meta,
            partition => GroupId::Data(PartitionId(u16::try_from(partition).unwrap())),
        }
    }

    fn replica(&mut self) -> ReplicaId {
        ReplicaId(1 + self.below(40))
    }

    fn node_id(&mut self) -> NodeId {
        NodeId::new(1 + self.below(8)).unwrap()
    }

    /// A recovery that names nodes and replicas at random; most do not fit.
    fn recover(&mut self) -> Command {
        let role = [Role::Voter, Role::Copy, Role::Joining { replaces: None }, Role::Leaving];
        let nodes = (0..self.below(3)).map(|_| {
            let info = node(u8::try_from(self.id()).unwrap());
            ClusterNode { id: self.node_id(), info, state: NodeState::Active }
        });
        let nodes = nodes.collect();
        let placements = (0..self.below(3)).map(|_| {
            let (id, node) = (self.replica(), self.node_id());
            let role = role[usize::try_from(self.below(4)).unwrap()];
            let replicas = vec![Replica { id, node, role }];
            Placement { group: self.group(), replicas, generation: self.below(9) }
        });
        let placements = placements.collect();
        let (next_node, next_replica) = (self.below(99), self.below(99));
        let lost = vec![self.node_id()];
        let cluster_id = u128::from(self.below(9)) + 1;
        Command::Recover { cluster_id, next_node, next_replica, nodes, lost, placements }
    }

    /// The next command. Every kind comes.
    pub(crate) fn next(&mut self) -> Command {
        let name = self.name().to_owned();
        let text = self.pick(&["", "text"]).to_owned();
        match self.below(37) {
            0 => bootstrap(),
            23 => Command::RegisterNode { node: node(u8::try_from(self.id()).unwrap()) },
            24 => {
                let replaces = self.replica();
                Command::AddReplica {
                    group: self.group(),
                    node: self.node_id(),
                    replaces: self.maybe(replaces),
                }
            }
            25 => {
                let mut some = || (0..self.below(3)).map(|_| self.replica()).collect();
                let (gain, lose) = (some(), some());
                Command::ChangeVotes { group: self.group(), gain, lose }
            }
            26 => Command::RemoveReplica { group: self.group(), replica: self.replica() },
            27 => Command::PreferLeader { group: self.group(), replica: self.replica() },
            28 => {
                use NodeState::{Active, Decommissioned, Draining, Lost};
                let at = usize::try_from(self.below(4)).unwrap();
                let state = [Active, Draining, Lost, Decommissioned][at];
                Command::SetNodeState { node: self.node_id(), state }
            }
            30 => self.recover(),
            31 => {
                let to = u16::try_from(1 + self.below(3)).unwrap();
                Command::RaiseLevel { to: Level::new(to).unwrap() }
            }
            32 => {
                let some = self.authorization().permissions;
                let (add, remove) = (some.clone(), some.into_iter().take(1).collect());
                let id = authorization_id(self.id());
                match self.below(2) {
                    0 => Command::ChangePermissions { id, add, remove: Vec::new(), at: AT },
                    _ => Command::ChangePermissions { id, add: Vec::new(), remove, at: AT },
                }
            }
            33 => {
                let owns = self.below(2) == 0;
                Command::ChangeOwner { user: user_id(self.id()), org: org_id(self.id()), owns }
            }
            34 => {
                let (database, name) = (self.pick(&["db", ""]), self.pick(&["q", "r", "grün", ""]));
                Command::CreateContinuousQuery {
                    query: continuous_query(self.id(), self.id(), database, name),
                }
            }
            35 => Command::DeleteContinuousQuery { id: ContinuousQueryId::new(self.id()).unwrap() },
            36 => {
                let at = Timestamp(AT.0 + i64::try_from(self.below(9)).unwrap());
                Command::NoteContinuousRun { id: ContinuousQueryId::new(self.id()).unwrap(), at }
            }
            29 => {
                let replicas = [1, 3, 5][usize::try_from(self.below(3)).unwrap()];
                Command::SetReplication { replicas }
            }
            1 => set_up(),
            2 | 3 => {
                let id = self.id();
                let owner = user_id(self.id());
                let first = Bucket { org: org_id(id), ..self.bucket() };
                let buckets = self.maybe(first).into_iter().collect();
                Command::CreateOrg { org: org(id, &name), buckets, owner: self.maybe(owner) }
            }
            4 => Command::UpdateOrg {
                id: org_id(self.id()),
                name: self.maybe(name),
                description: self.maybe(text),
                at: AT,
            },
            5 => Command::DeleteOrg { id: org_id(self.id()) },
            6..=8 => Command::CreateBucket { bucket: self.bucket() },
            9 => {
                let (retention, shard) = (self.duration(), self.duration());
                let retention = self.maybe(retention);
                Command::UpdateBucket {
                    id: bucket_id(self.id()),
                    name: self.maybe(name),
                    description: self.maybe(text),
                    retention_ns: self.maybe(retention),
                    shard_duration_ns: self.maybe(shard),
                    at: AT,
                }
            }
            10 => Command::DeleteBucket { id: bucket_id(self.id()) },
            11 | 12 => Command::CreateUser { user: user(self.id(), &name) },
            13 => Command::SetPassword { user: user_id(self.id()), hash: text },
            14 => Command::DeleteUser { id: user_id(self.id()) },
            15 => Command::CreateAuthorization { authorization: self.authorization() },
            16 => {
                let status = [Status::Active, Status::Inactive][usize::try_from(self.below(2)).unwrap()];
                Command::UpdateAuthorization {
                    id: authorization_id(self.id()),
                    status: self.maybe(status),
                    description: self.maybe(text),
                    at: AT,
                }
            }
            17 => Command::DeleteAuthorization { id: authorization_id(self.id()) },
            18 | 19 => {
                let database = self.pick(&["db", "telegraf", ""]);
                let policy = self.pick(&["rp", "autogen", "30d"]);
                let default = self.below(3) == 0;
                Command::CreateDbrp { dbrp: dbrp(self.id(), self.id(), self.id(), database, policy, default) }
            }
            20 => Command::DeleteDbrp { id: dbrp_id(self.id()) },
            21 => Command::ForgetMeasurements {
                bucket: bucket_id(self.id()),
                measurements: vec![self.pick(&["cpu", "mem", "none", ""]).to_owned()],
            },
            _ => Command::RegisterFields { bucket: bucket_id(self.id()), fields: self.fields() },
        }
    }
}
