//! Commands of the log.

use model::{FieldType, GroupId, ReplicaId, Timestamp};

use super::messages::{self as m, Kind};
use super::{DecodeError, convert, open, seal};
use crate::command::{Command, FieldSpec};

impl Command {
    /// The bytes of the command for the log.
    pub fn encode(&self) -> Vec<u8> {
        seal(&m::Command { kind: Some(kind(self)) })
    }

    /// Reads what [`Command::encode`] wrote. Any bytes give a command or an error.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message: m::Command = open("command", bytes)?;
        command(message.kind.ok_or(DecodeError::Missing("command"))?)
    }
}

fn kind(command: &Command) -> Kind {
    match command {
        Command::Bootstrap { cluster_id, replication, nodes, placements } => Kind::Bootstrap(m::Bootstrap {
            cluster_id: cluster_id.to_be_bytes().to_vec(),
            replication: (*replication).into(),
            nodes: nodes.iter().map(Into::into).collect(),
            placements: placements.iter().map(|nodes| m::Places { nodes: nodes.clone() }).collect(),
        }),
        Command::Recover { cluster_id, next_node, next_replica, nodes, lost, placements } => {
            Kind::Recover(m::Recover {
                cluster_id: cluster_id.to_be_bytes().to_vec(),
                next_node: *next_node,
                next_replica: *next_replica,
                nodes: nodes.iter().map(Into::into).collect(),
                lost: lost.iter().map(|node| node.get()).collect(),
                placements: placements.iter().map(Into::into).collect(),
            })
        }
        Command::RegisterNode { node } => Kind::RegisterNode(node.into()),
        Command::AddReplica { group, node, replaces } => {
            let replaces = replaces.map(|replaced| replaced.0);
            Kind::AddReplica(m::AddReplica { group: group.number(), node: node.get(), replaces })
        }
        Command::ChangeVotes { group, gain, lose } => Kind::ChangeVotes(m::ChangeVotes {
            group: group.number(),
            gain: gain.iter().map(|replica| replica.0).collect(),
            lose: lose.iter().map(|replica| replica.0).collect(),
        }),
        Command::RemoveReplica { group, replica } => Kind::RemoveReplica(group_replica(*group, *replica)),
        Command::PreferLeader { group, replica } => Kind::PreferLeader(group_replica(*group, *replica)),
        Command::SetReplication { replicas } => Kind::SetReplication((*replicas).into()),
        Command::RaiseLevel { to } => Kind::RaiseLevel(to.get().into()),
        Command::SetNodeState { node, state } => {
            Kind::SetNodeState(m::SetNodeState { node: node.get(), state: convert::node_state_code(*state) })
        }
        Command::Setup { user, org, buckets, authorization } => Kind::Setup(m::Setup {
            user: Some(user.into()),
            org: Some(org.into()),
            buckets: buckets.iter().map(Into::into).collect(),
            authorization: Some(authorization.into()),
        }),
        Command::CreateOrg { org, buckets, owner } => Kind::CreateOrg(m::CreateOrg {
            org: Some(org.into()),
            buckets: buckets.iter().map(Into::into).collect(),
            owner: owner.map(model::UserId::get),
        }),
        Command::UpdateOrg { id, name, description, at } => Kind::UpdateOrg(m::UpdateOrg {
            id: id.get(),
            name: name.clone(),
            description: description.clone(),
            at: at.0,
        }),
        Command::DeleteOrg { id } => Kind::DeleteOrg(id.get()),
        Command::CreateBucket { bucket } => Kind::CreateBucket(bucket.into()),
        Command::UpdateBucket { id, name, description, retention_ns, shard_duration_ns, at } => {
            Kind::UpdateBucket(m::UpdateBucket {
                id: id.get(),
                name: name.clone(),
                description: description.clone(),
                retention: retention_ns.map(|ns| m::Retention { ns }),
                shard_duration_ns: *shard_duration_ns,
                at: at.0,
            })
        }
        Command::DeleteBucket { id } => Kind::DeleteBucket(id.get()),
        Command::CreateUser { user } => Kind::CreateUser(user.into()),
        Command::SetPassword { user, hash } => {
            Kind::SetPassword(m::SetPassword { user: user.get(), hash: hash.clone() })
        }
        Command::DeleteUser { id } => Kind::DeleteUser(id.get()),
        Command::CreateAuthorization { authorization } => Kind::CreateAuthorization(authorization.into()),
        Command::UpdateAuthorization { id, status, description, at } => {
            Kind::UpdateAuthorization(m::UpdateAuthorization {
                id: id.get(),
                status: status.map(convert::status_code),
                description: description.clone(),
                at: at.0,
            })
        }
        Command::ChangePermissions { id, add, remove, at } => Kind::ChangePermissions(m::ChangePermissions {
            id: id.get(),
            add: add.iter().map(Into::into).collect(),
            remove: remove.iter().map(Into::into).collect(),
            at: at.0,
        }),
        Command::ChangeOwner { user, org, owns } => {
            Kind::ChangeOwner(m::ChangeOwner { user: user.get(), org: org.get(), owns: *owns })
        }
        Command::CreateContinuousQuery { query } => Kind::CreateContinuousQuery(query.into()),
        Command::DeleteContinuousQuery { id } => Kind::DeleteContinuousQuery(id.get()),
        Command::NoteContinuousRun { id, at } => {
            Kind::NoteContinuousRun(m::NoteContinuousRun { id: id.get(), at: at.0 })
        }
        Command::DeleteAuthorization { id } => Kind::DeleteAuthorization(id.get()),
        Command::CreateDbrp { dbrp } => Kind::CreateDbrp(dbrp.into()),
        Command::DeleteDbrp { id } => Kind::DeleteDbrp(id.get()),
        Command::RegisterFields { bucket, fields } => Kind::RegisterFields(m::RegisterFields {
            bucket: bucket.get(),
            fields: fields.iter().map(field_spec).collect(),
        }),
        Command::ForgetMeasurements { bucket, measurements } => {
            Kind::ForgetMeasurements(m::ForgetMeasurements {
                bucket: bucket.get(),
                measurements: measurements.clone(),
            })
        }
    }
}

const fn group_replica(group: GroupId, replica: ReplicaId) -> m::GroupReplica {
    m::GroupReplica { group: group.number(), replica: replica.0 }
}

fn field_spec(spec: &FieldSpec) -> m::FieldSpec {
    m::FieldSpec {
        measurement: spec.measurement.clone(),
        field: spec.field.clone(),
        field_type: spec.field_type.code().into(),
    }
}

fn command(kind: Kind) -> Result<Command, DecodeError> {
    Ok(match kind {
        Kind::Bootstrap(b) => Command::Bootstrap {
            cluster_id: convert::uuid("cluster id", &b.cluster_id)?,
            replication: convert::replication(b.replication)?,
            nodes: all(b.nodes)?,
            placements: b.placements.into_iter().map(|places| places.nodes).collect(),
        },
        Kind::Recover(r) => Command::Recover {
            cluster_id: convert::uuid("cluster id", &r.cluster_id)?,
            next_node: r.next_node,
            next_replica: r.next_replica,
            nodes: all(r.nodes)?,
            lost: r.lost.into_iter().map(convert::node_id).collect::<Result<_, _>>()?,
            placements: all(r.placements)?,
        },
        Kind::RegisterNode(node) => Command::RegisterNode { node: node.try_into()? },
        Kind::AddReplica(a) => Command::AddReplica {
            group: convert::group_id(a.group)?,
            node: convert::node_id(a.node)?,
            replaces: a.replaces.map(ReplicaId),
        },
        Kind::ChangeVotes(c) => Command::ChangeVotes {
            group: convert::group_id(c.group)?,
            gain: c.gain.into_iter().map(ReplicaId).collect(),
            lose: c.lose.into_iter().map(ReplicaId).collect(),
        },
        Kind::SetReplication(replicas) => {
            Command::SetReplication { replicas: convert::replication(replicas)? }
        }
        Kind::RaiseLevel(to) => Command::RaiseLevel { to: convert::level(to)? },
        Kind::RemoveReplica(r) => {
            Command::RemoveReplica { group: convert::group_id(r.group)?, replica: ReplicaId(r.replica) }
        }
        Kind::PreferLeader(r) => {
            Command::PreferLeader { group: convert::group_id(r.group)?, replica: ReplicaId(r.replica) }
        }
        Kind::SetNodeState(s) => {
            Command::SetNodeState { node: convert::node_id(s.node)?, state: convert::node_state(s.state)? }
        }
        Kind::Setup(s) => Command::Setup {
            user: s.user.ok_or(DecodeError::Missing("user"))?.try_into()?,
            org: s.org.ok_or(DecodeError::Missing("organization"))?.try_into()?,
            buckets: all(s.buckets)?,
            authorization: s.authorization.ok_or(DecodeError::Missing("authorization"))?.try_into()?,
        },
        Kind::CreateOrg(c) => Command::CreateOrg {
            org: c.org.ok_or(DecodeError::Missing("organization"))?.try_into()?,
            buckets: all(c.buckets)?,
            owner: c.owner.map(convert::user_id).transpose()?,
        },
        Kind::UpdateOrg(u) => Command::UpdateOrg {
            id: convert::org_id(u.id)?,
            name: u.name,
            description: u.description,
            at: Timestamp(u.at),
        },
        Kind::DeleteOrg(id) => Command::DeleteOrg { id: convert::org_id(id)? },
        Kind::CreateBucket(bucket) => Command::CreateBucket { bucket: bucket.try_into()? },
        Kind::UpdateBucket(u) => Command::UpdateBucket {
            id: convert::bucket_id(u.id)?,
            name: u.name,
            description: u.description,
            retention_ns: u.retention.map(|r| r.ns),
            shard_duration_ns: u.shard_duration_ns,
            at: Timestamp(u.at),
        },
        Kind::DeleteBucket(id) => Command::DeleteBucket { id: convert::bucket_id(id)? },
        Kind::CreateUser(user) => Command::CreateUser { user: user.try_into()? },
        Kind::SetPassword(s) => Command::SetPassword { user: convert::user_id(s.user)?, hash: s.hash },
        Kind::DeleteUser(id) => Command::DeleteUser { id: convert::user_id(id)? },
        Kind::CreateAuthorization(a) => Command::CreateAuthorization { authorization: a.try_into()? },
        Kind::UpdateAuthorization(u) => Command::UpdateAuthorization {
            id: convert::authorization_id(u.id)?,
            status: u.status.map(convert::status).transpose()?,
            description: u.description,
            at: Timestamp(u.at),
        },
        Kind::ChangePermissions(c) => Command::ChangePermissions {
            id: convert::authorization_id(c.id)?,
            add: all(c.add)?,
            remove: all(c.remove)?,
            at: Timestamp(c.at),
        },
        Kind::ChangeOwner(c) => Command::ChangeOwner {
            user: convert::user_id(c.user)?,
            org: convert::org_id(c.org)?,
            owns: c.owns,
        },
        Kind::CreateContinuousQuery(query) => Command::CreateContinuousQuery { query: query.try_into()? },
        Kind::DeleteContinuousQuery(id) => {
            Command::DeleteContinuousQuery { id: convert::continuous_query_id(id)? }
        }
        Kind::NoteContinuousRun(n) => {
            Command::NoteContinuousRun { id: convert::continuous_query_id(n.id)?, at: Timestamp(n.at) }
        }
        Kind::DeleteAuthorization(id) => Command::DeleteAuthorization { id: convert::authorization_id(id)? },
        Kind::CreateDbrp(dbrp) => Command::CreateDbrp { dbrp: dbrp.try_into()? },
        Kind::DeleteDbrp(id) => Command::DeleteDbrp { id: convert::dbrp_id(id)? },
        Kind::RegisterFields(r) => {
            Command::RegisterFields { bucket: convert::bucket_id(r.bucket)?, fields: all(r.fields)? }
        }
        Kind::ForgetMeasurements(f) => Command::ForgetMeasurements {
            bucket: convert::bucket_id(f.bucket)?,
            measurements: f.measurements,
        },
    })
}

fn all<M, T: TryFrom<M, Error = DecodeError>>(messages: Vec<M>) -> Result<Vec<T>, DecodeError> {
    messages.into_iter().map(T::try_from).collect()
}

impl TryFrom<m::FieldSpec> for FieldSpec {
    type Error = DecodeError;
    fn try_from(spec: m::FieldSpec) -> Result<Self, DecodeError> {
        let field_type: FieldType = convert::field_type(spec.field_type)?;
        Ok(Self { measurement: spec.measurement, field: spec.field, field_type })
    }
}
