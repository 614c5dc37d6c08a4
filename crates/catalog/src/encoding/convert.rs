//! Between the catalog's types and their messages; the way back checks every value.

use model::{
    AuthorizationId, BucketId, ContinuousQueryId, DbrpId, FieldType, GroupId, NodeId, OrgId, ReplicaId,
    Timestamp, UserId,
};

use super::DecodeError;
use super::messages as m;
use crate::level::Level;
use crate::resources::{
    Action, Authorization, Bucket, BucketKind, Cluster, ClusterNode, ContinuousQuery, Dbrp, NodeInfo,
    NodeState, Org, Permission, Placement, Replica, ResourceType, Role, Status, User,
};

type Decoded<T> = Result<T, DecodeError>;

pub(super) fn org_id(raw: u64) -> Decoded<OrgId> {
    OrgId::new(raw).ok_or(DecodeError::Impossible("organization id"))
}

pub(super) fn bucket_id(raw: u64) -> Decoded<BucketId> {
    BucketId::new(raw).ok_or(DecodeError::Impossible("bucket id"))
}

pub(super) fn user_id(raw: u64) -> Decoded<UserId> {
    UserId::new(raw).ok_or(DecodeError::Impossible("user id"))
}

pub(super) fn authorization_id(raw: u64) -> Decoded<AuthorizationId> {
    AuthorizationId::new(raw).ok_or(DecodeError::Impossible("authorization id"))
}

pub(super) fn dbrp_id(raw: u64) -> Decoded<DbrpId> {
    DbrpId::new(raw).ok_or(DecodeError::Impossible("DBRP id"))
}

pub(super) fn continuous_query_id(raw: u64) -> Decoded<ContinuousQueryId> {
    ContinuousQueryId::new(raw).ok_or(DecodeError::Impossible("continuous query id"))
}

pub(super) fn node_id(raw: u64) -> Decoded<NodeId> {
    NodeId::new(raw).ok_or(DecodeError::Impossible("node id"))
}

pub(super) fn uuid(what: &'static str, bytes: &[u8]) -> Decoded<u128> {
    let bytes: [u8; 16] = bytes.try_into().map_err(|_length| DecodeError::Impossible(what))?;
    Ok(u128::from_be_bytes(bytes))
}

pub(super) fn replication(raw: u32) -> Decoded<u8> {
    u8::try_from(raw).map_err(|_range| DecodeError::Impossible("replicas of a partition"))
}

pub(super) fn field_type(code: u32) -> Decoded<FieldType> {
    let code = u8::try_from(code).ok().and_then(FieldType::from_code);
    code.ok_or(DecodeError::Impossible("field type"))
}

pub(super) const fn status_code(status: Status) -> u32 {
    match status {
        Status::Active => 1,
        Status::Inactive => 2,
    }
}

pub(super) const fn status(code: u32) -> Decoded<Status> {
    match code {
        1 => Ok(Status::Active),
        2 => Ok(Status::Inactive),
        _ => Err(DecodeError::Impossible("status")),
    }
}

impl From<&Org> for m::Org {
    fn from(org: &Org) -> Self {
        Self {
            id: org.id.get(),
            name: org.name.clone(),
            description: org.description.clone(),
            created_at: org.created_at.0,
            updated_at: org.updated_at.0,
        }
    }
}

impl TryFrom<m::Org> for Org {
    type Error = DecodeError;
    fn try_from(org: m::Org) -> Decoded<Self> {
        Ok(Self {
            id: org_id(org.id)?,
            name: org.name,
            description: org.description,
            created_at: Timestamp(org.created_at),
            updated_at: Timestamp(org.updated_at),
        })
    }
}

impl From<&Bucket> for m::Bucket {
    fn from(bucket: &Bucket) -> Self {
        Self {
            id: bucket.id.get(),
            org: bucket.org.get(),
            name: bucket.name.clone(),
            description: bucket.description.clone(),
            kind: match bucket.kind {
                BucketKind::User => 1,
                BucketKind::System => 2,
            },
            retention_ns: bucket.retention_ns,
            shard_duration_ns: bucket.shard_duration_ns,
            created_at: bucket.created_at.0,
            updated_at: bucket.updated_at.0,
        }
    }
}

impl TryFrom<m::Bucket> for Bucket {
    type Error = DecodeError;
    fn try_from(bucket: m::Bucket) -> Decoded<Self> {
        Ok(Self {
            id: bucket_id(bucket.id)?,
            org: org_id(bucket.org)?,
            name: bucket.name,
            description: bucket.description,
            kind: match bucket.kind {
                1 => BucketKind::User,
                2 => BucketKind::System,
                _ => return Err(DecodeError::Impossible("bucket kind")),
            },
            retention_ns: bucket.retention_ns,
            shard_duration_ns: bucket.shard_duration_ns,
            created_at: Timestamp(bucket.created_at),
            updated_at: Timestamp(bucket.updated_at),
        })
    }
}

impl From<&User> for m::User {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.get(),
            name: user.name.clone(),
            password_hash: user.password_hash.clone(),
            status: status_code(user.status),
            owner_of: user.owner_of.iter().map(|org| org.get()).collect(),
            created_at: user.created_at.0,
        }
    }
}

impl TryFrom<m::User> for User {
    type Error = DecodeError;
    fn try_from(user: m::User) -> Decoded<Self> {
        Ok(Self {
            id: user_id(user.id)?,
            name: user.name,
            password_hash: user.password_hash,
            status: status(user.status)?,
            owner_of: user.owner_of.into_iter().map(org_id).collect::<Decoded<_>>()?,
            created_at: Timestamp(user.created_at),
        })
    }
}

impl From<&Permission> for m::Permission {
    fn from(permission: &Permission) -> Self {
        Self {
            action: match permission.action {
                Action::Read => 1,
                Action::Write => 2,
            },
            resource: permission.resource.code(),
            id: permission.id,
            org: permission.org.map(OrgId::get),
        }
    }
}

impl TryFrom<m::Permission> for Permission {
    type Error = DecodeError;
    fn try_from(permission: m::Permission) -> Decoded<Self> {
        Ok(Self {
            action: match permission.action {
                1 => Action::Read,
                2 => Action::Write,
                _ => return Err(DecodeError::Impossible("action")),
            },
            resource: ResourceType::from_code(permission.resource)
                .ok_or(DecodeError::Impossible("resource type"))?,
            id: permission.id,
            org: permission.org.map(org_id).transpose()?,
        })
    }
}

impl From<&Authorization> for m::Authorization {
    fn from(authorization: &Authorization) -> Self {
        Self {
            id: authorization.id.get(),
            token_hash: authorization.token_hash.to_vec(),
            org: authorization.org.get(),
            user: authorization.user.get(),
            description: authorization.description.clone(),
            status: status_code(authorization.status),
            permissions: authorization.permissions.iter().map(Into::into).collect(),
            created_at: authorization.created_at.0,
            updated_at: authorization.updated_at.0,
        }
    }
}

impl TryFrom<m::Authorization> for Authorization {
    type Error = DecodeError;
    fn try_from(authorization: m::Authorization) -> Decoded<Self> {
        let token_hash = authorization.token_hash.as_slice().try_into();
        Ok(Self {
            id: authorization_id(authorization.id)?,
            token_hash: token_hash.map_err(|_length| DecodeError::Impossible("token hash"))?,
            org: org_id(authorization.org)?,
            user: user_id(authorization.user)?,
            description: authorization.description,
            status: status(authorization.status)?,
            permissions: authorization
                .permissions
                .into_iter()
                .map(TryInto::try_into)
                .collect::<Decoded<_>>()?,
            created_at: Timestamp(authorization.created_at),
            updated_at: Timestamp(authorization.updated_at),
        })
    }
}

impl From<&Dbrp> for m::Dbrp {
    fn from(dbrp: &Dbrp) -> Self {
        Self {
            id: dbrp.id.get(),
            org: dbrp.org.get(),
            database: dbrp.database.clone(),
            retention_policy: dbrp.retention_policy.clone(),
            default: dbrp.default,
            bucket: dbrp.bucket.get(),
        }
    }
}

impl TryFrom<m::Dbrp> for Dbrp {
    type Error = DecodeError;
    fn try_from(dbrp: m::Dbrp) -> Decoded<Self> {
        Ok(Self {
            id: dbrp_id(dbrp.id)?,
            org: org_id(dbrp.org)?,
            database: dbrp.database,
            retention_policy: dbrp.retention_policy,
            default: dbrp.default,
            bucket: bucket_id(dbrp.bucket)?,
        })
    }
}

impl From<&ContinuousQuery> for m::ContinuousQuery {
    fn from(query: &ContinuousQuery) -> Self {
        Self {
            id: query.id.get(),
            org: query.org.get(),
            database: query.database.clone(),
            name: query.name.clone(),
            text: query.text.clone(),
            created_at: query.created_at.0,
            last_run: query.last_run.map(|at| at.0),
        }
    }
}

impl TryFrom<m::ContinuousQuery> for ContinuousQuery {
    type Error = DecodeError;
    fn try_from(query: m::ContinuousQuery) -> Decoded<Self> {
        Ok(Self {
            id: continuous_query_id(query.id)?,
            org: org_id(query.org)?,
            database: query.database,
            name: query.name,
            text: query.text,
            created_at: Timestamp(query.created_at),
            last_run: query.last_run.map(Timestamp),
        })
    }
}

impl From<&Cluster> for m::Cluster {
    fn from(cluster: &Cluster) -> Self {
        Self {
            id: cluster.id.to_be_bytes().to_vec(),
            partitions: cluster.partitions.into(),
            replication: cluster.replication.into(),
            next_node: cluster.next_node,
            next_replica: cluster.next_replica,
            level: cluster.level.get().into(),
        }
    }
}

impl TryFrom<m::Cluster> for Cluster {
    type Error = DecodeError;
    fn try_from(cluster: m::Cluster) -> Decoded<Self> {
        let partitions = u16::try_from(cluster.partitions).ok().filter(|count| count.is_power_of_two());
        if cluster.next_node == 0 {
            return Err(DecodeError::Impossible("next node id"));
        }
        Ok(Self {
            id: uuid("cluster id", &cluster.id)?,
            partitions: partitions.ok_or(DecodeError::Impossible("number of partitions"))?,
            replication: replication(cluster.replication)?,
            next_node: cluster.next_node,
            next_replica: cluster.next_replica,
            level: level(cluster.level)?,
        })
    }
}

impl From<&NodeInfo> for m::NodeInfo {
    fn from(info: &NodeInfo) -> Self {
        Self {
            uuid: info.uuid.to_be_bytes().to_vec(),
            address: info.address.clone(),
            zone: info.zone.clone(),
            version: info.version.clone(),
            level: info.level.get().into(),
        }
    }
}

impl TryFrom<m::NodeInfo> for NodeInfo {
    type Error = DecodeError;
    fn try_from(info: m::NodeInfo) -> Decoded<Self> {
        let m::NodeInfo { uuid: bytes, address, zone, version, level: number } = info;
        Ok(Self { uuid: uuid("node uuid", &bytes)?, address, zone, version, level: level(number)? })
    }
}

/// A level, of whatever version.
pub(super) fn level(number: u32) -> Decoded<Level> {
    let level = u16::try_from(number).ok().and_then(Level::new);
    level.ok_or(DecodeError::Impossible("feature level"))
}

impl From<&ClusterNode> for m::ClusterNode {
    fn from(node: &ClusterNode) -> Self {
        Self { id: node.id.get(), info: Some((&node.info).into()), state: node_state_code(node.state) }
    }
}

pub(super) const fn node_state_code(state: NodeState) -> u32 {
    match state {
        NodeState::Active => 1,
        NodeState::Lost => 2,
        NodeState::Draining => 3,
        NodeState::Decommissioned => 4,
    }
}

pub(super) const fn node_state(code: u32) -> Decoded<NodeState> {
    Ok(match code {
        1 => NodeState::Active,
        2 => NodeState::Lost,
        3 => NodeState::Draining,
        4 => NodeState::Decommissioned,
        _ => return Err(DecodeError::Impossible("state of a node")),
    })
}

pub(super) fn group_id(number: u32) -> Decoded<GroupId> {
    GroupId::from_number(number).ok_or(DecodeError::Impossible("group"))
}

impl TryFrom<m::ClusterNode> for ClusterNode {
    type Error = DecodeError;
    fn try_from(node: m::ClusterNode) -> Decoded<Self> {
        let state = node_state(node.state)?;
        let info = node.info.ok_or(DecodeError::Missing("node's description"))?.try_into()?;
        Ok(Self { id: node_id(node.id)?, info, state })
    }
}

impl From<&Placement> for m::Placement {
    fn from(placement: &Placement) -> Self {
        let replica = |r: &Replica| m::Replica {
            id: r.id.0,
            node: r.node.get(),
            role: match r.role {
                Role::Voter => 1,
                Role::Joining { .. } => 2,
                Role::Leaving => 3,
                Role::Copy => 4,
            },
            replaces: r.replaces().map(|replaced| replaced.0),
        };
        Self {
            group: placement.group.number(),
            replicas: placement.replicas.iter().map(replica).collect(),
            generation: placement.generation,
        }
    }
}

impl TryFrom<m::Placement> for Placement {
    type Error = DecodeError;
    fn try_from(placement: m::Placement) -> Decoded<Self> {
        let replica = |r: m::Replica| {
            let role = match (r.role, r.replaces.map(ReplicaId)) {
                (1, None) => Role::Voter,
                (2, replaces) => Role::Joining { replaces },
                (3, None) => Role::Leaving,
                (4, None) => Role::Copy,
                _ => return Err(DecodeError::Impossible("role of a replica")),
            };
            Ok(Replica { id: ReplicaId(r.id), node: node_id(r.node)?, role })
        };
        Ok(Self {
            group: group_id(placement.group)?,
            replicas: placement.replicas.into_iter().map(replica).collect::<Decoded<_>>()?,
            generation: placement.generation,
        })
    }
}
