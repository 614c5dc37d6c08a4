//! The protobuf messages of the catalog, numbers beside fields. Never reuse or renumber a tag.
//!
//! Ids are `fixed64` because they are random; 128-bit ids are 16 bytes, big-endian. Optional fields say with
//! their presence whether a command changes something.

use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(super) struct Org {
    #[prost(fixed64, tag = "1")]
    pub(super) id: u64,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    pub(super) description: String,
    #[prost(sfixed64, tag = "4")]
    pub(super) created_at: i64,
    #[prost(sfixed64, tag = "5")]
    pub(super) updated_at: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Bucket {
    #[prost(fixed64, tag = "1")]
    pub(super) id: u64,
    #[prost(fixed64, tag = "2")]
    pub(super) org: u64,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(string, tag = "4")]
    pub(super) description: String,
    /// 1 user, 2 system.
    #[prost(uint32, tag = "5")]
    pub(super) kind: u32,
    #[prost(int64, optional, tag = "6")]
    pub(super) retention_ns: Option<i64>,
    #[prost(int64, tag = "7")]
    pub(super) shard_duration_ns: i64,
    #[prost(sfixed64, tag = "8")]
    pub(super) created_at: i64,
    #[prost(sfixed64, tag = "9")]
    pub(super) updated_at: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct User {
    #[prost(fixed64, tag = "1")]
    pub(super) id: u64,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(string, optional, tag = "3")]
    pub(super) password_hash: Option<String>,
    /// 1 active, 2 inactive.
    #[prost(uint32, tag = "4")]
    pub(super) status: u32,
    #[prost(fixed64, repeated, tag = "5")]
    pub(super) owner_of: Vec<u64>,
    #[prost(sfixed64, tag = "6")]
    pub(super) created_at: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Permission {
    /// 1 read, 2 write.
    #[prost(uint32, tag = "1")]
    pub(super) action: u32,
    /// See `ResourceType::code`.
    #[prost(uint32, tag = "2")]
    pub(super) resource: u32,
    #[prost(fixed64, optional, tag = "3")]
    pub(super) id: Option<u64>,
    #[prost(fixed64, optional, tag = "4")]
    pub(super) org: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Authorization {
    #[prost(fixed64, tag = "1")]
    pub(super) id: u64,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) token_hash: Vec<u8>,
    #[prost(fixed64, tag = "3")]
    pub(super) org: u64,
    #[prost(fixed64, tag = "4")]
    pub(super) user: u64,
    #[prost(string, tag = "5")]
    pub(super) description: String,
    #[prost(uint32, tag = "6")]
    pub(super) status: u32,
    #[prost(message, repeated, tag = "7")]
    pub(super) permissions: Vec<Permission>,
    #[prost(sfixed64, tag = "8")]
    pub(super) created_at: i64,
    #[prost(sfixed64, tag = "9")]
    pub(super) updated_at: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Dbrp {
    #[prost(fixed64, tag = "1")]
    pub(super) id: u64,
    #[prost(fixed64, tag = "2")]
    pub(super) org: u64,
    #[prost(string, tag = "3")]
    pub(super) database: String,
    #[prost(string, tag = "4")]
    pub(super) retention_policy: String,
    #[prost(bool, tag = "5")]
    pub(super) default: bool,
    #[prost(fixed64, tag = "6")]
    pub(super) bucket: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ContinuousQuery {
    #[prost(fixed64, tag = "1")]
    pub(super) id: u64,
    #[prost(fixed64, tag = "2")]
    pub(super) org: u64,
    #[prost(string, tag = "3")]
    pub(super) database: String,
    #[prost(string, tag = "4")]
    pub(super) name: String,
    #[prost(string, tag = "5")]
    pub(super) text: String,
    #[prost(sfixed64, tag = "6")]
    pub(super) created_at: i64,
    #[prost(sfixed64, optional, tag = "7")]
    pub(super) last_run: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeInfo {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) uuid: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(super) address: String,
    #[prost(string, tag = "3")]
    pub(super) zone: String,
    #[prost(string, tag = "4")]
    pub(super) version: String,
    #[prost(uint32, tag = "5")]
    pub(super) level: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ClusterNode {
    #[prost(fixed64, tag = "1")]
    pub(super) id: u64,
    #[prost(message, optional, tag = "2")]
    pub(super) info: Option<NodeInfo>,
    /// 1 active, 2 lost, 3 draining, 4 decommissioned.
    #[prost(uint32, tag = "3")]
    pub(super) state: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Cluster {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) id: Vec<u8>,
    #[prost(uint32, tag = "2")]
    pub(super) partitions: u32,
    #[prost(uint32, tag = "3")]
    pub(super) replication: u32,
    #[prost(uint64, tag = "4")]
    pub(super) next_node: u64,
    #[prost(uint64, tag = "5")]
    pub(super) next_replica: u64,
    #[prost(uint32, tag = "6")]
    pub(super) level: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Placement {
    /// `GroupId::number`.
    #[prost(uint32, tag = "1")]
    pub(super) group: u32,
    #[prost(message, repeated, tag = "2")]
    pub(super) replicas: Vec<Replica>,
    #[prost(uint64, tag = "3")]
    pub(super) generation: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Replica {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(fixed64, tag = "2")]
    pub(super) node: u64,
    /// 1 voter, 2 joining, 3 leaving, 4 copy.
    #[prost(uint32, tag = "3")]
    pub(super) role: u32,
    /// Of one that joins.
    #[prost(uint64, optional, tag = "4")]
    pub(super) replaces: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Field {
    /// See `FieldType::code`.
    #[prost(uint32, tag = "1")]
    pub(super) field_type: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Position {
    #[prost(uint64, tag = "1")]
    pub(super) index: u64,
    #[prost(uint64, tag = "2")]
    pub(super) term: u64,
    #[prost(uint64, tag = "3")]
    pub(super) leader: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyValue {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

/// A snapshot of the state: the records of the store, without position and membership.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Snapshot {
    #[prost(message, repeated, tag = "1")]
    pub(super) records: Vec<KeyValue>,
}

/// A command of the log.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Command {
    #[prost(
        oneof = "Kind",
        tags = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32"
    )]
    pub(super) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Kind {
    #[prost(message, tag = "1")]
    Bootstrap(Bootstrap),
    #[prost(message, tag = "2")]
    Setup(Setup),
    #[prost(message, tag = "3")]
    CreateOrg(CreateOrg),
    #[prost(message, tag = "4")]
    UpdateOrg(UpdateOrg),
    #[prost(fixed64, tag = "5")]
    DeleteOrg(u64),
    #[prost(message, tag = "6")]
    CreateBucket(Bucket),
    #[prost(message, tag = "7")]
    UpdateBucket(UpdateBucket),
    #[prost(fixed64, tag = "8")]
    DeleteBucket(u64),
    #[prost(message, tag = "9")]
    CreateUser(User),
    #[prost(message, tag = "10")]
    SetPassword(SetPassword),
    #[prost(fixed64, tag = "11")]
    DeleteUser(u64),
    #[prost(message, tag = "12")]
    CreateAuthorization(Authorization),
    #[prost(message, tag = "13")]
    UpdateAuthorization(UpdateAuthorization),
    #[prost(fixed64, tag = "14")]
    DeleteAuthorization(u64),
    #[prost(message, tag = "15")]
    CreateDbrp(Dbrp),
    #[prost(fixed64, tag = "16")]
    DeleteDbrp(u64),
    #[prost(message, tag = "17")]
    RegisterFields(RegisterFields),
    #[prost(message, tag = "18")]
    ForgetMeasurements(ForgetMeasurements),
    #[prost(message, tag = "19")]
    RegisterNode(NodeInfo),
    #[prost(message, tag = "20")]
    AddReplica(AddReplica),
    #[prost(message, tag = "21")]
    ChangeVotes(ChangeVotes),
    #[prost(message, tag = "22")]
    RemoveReplica(GroupReplica),
    #[prost(message, tag = "23")]
    PreferLeader(GroupReplica),
    #[prost(message, tag = "24")]
    SetNodeState(SetNodeState),
    #[prost(uint32, tag = "25")]
    SetReplication(u32),
    #[prost(uint32, tag = "27")]
    RaiseLevel(u32),
    #[prost(message, tag = "26")]
    Recover(Recover),
    #[prost(message, tag = "28")]
    ChangePermissions(ChangePermissions),
    #[prost(message, tag = "29")]
    ChangeOwner(ChangeOwner),
    #[prost(message, tag = "30")]
    CreateContinuousQuery(ContinuousQuery),
    #[prost(fixed64, tag = "31")]
    DeleteContinuousQuery(u64),
    #[prost(message, tag = "32")]
    NoteContinuousRun(NoteContinuousRun),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Recover {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) cluster_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub(super) next_node: u64,
    #[prost(uint64, tag = "3")]
    pub(super) next_replica: u64,
    #[prost(message, repeated, tag = "4")]
    pub(super) nodes: Vec<ClusterNode>,
    #[prost(fixed64, repeated, tag = "5")]
    pub(super) lost: Vec<u64>,
    #[prost(message, repeated, tag = "6")]
    pub(super) placements: Vec<Placement>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct AddReplica {
    /// `GroupId::number`.
    #[prost(uint32, tag = "1")]
    pub(super) group: u32,
    #[prost(fixed64, tag = "2")]
    pub(super) node: u64,
    #[prost(uint64, optional, tag = "3")]
    pub(super) replaces: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ChangeVotes {
    /// `GroupId::number`.
    #[prost(uint32, tag = "1")]
    pub(super) group: u32,
    #[prost(uint64, repeated, tag = "2")]
    pub(super) gain: Vec<u64>,
    #[prost(uint64, repeated, tag = "3")]
    pub(super) lose: Vec<u64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct GroupReplica {
    /// `GroupId::number`.
    #[prost(uint32, tag = "1")]
    pub(super) group: u32,
    #[prost(uint64, tag = "2")]
    pub(super) replica: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct SetNodeState {
    #[prost(fixed64, tag = "1")]
    pub(super) node: u64,
    /// As in `ClusterNode`.
    #[prost(uint32, tag = "2")]
    pub(super) state: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Bootstrap {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) cluster_id: Vec<u8>,
    #[prost(uint32, tag = "2")]
    pub(super) replication: u32,
    #[prost(message, repeated, tag = "3")]
    pub(super) nodes: Vec<NodeInfo>,
    /// By partition.
    #[prost(message, repeated, tag = "4")]
    pub(super) placements: Vec<Places>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Places {
    /// A position in the list of nodes, one byte for each replica.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) nodes: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Setup {
    #[prost(message, optional, tag = "1")]
    pub(super) user: Option<User>,
    #[prost(message, optional, tag = "2")]
    pub(super) org: Option<Org>,
    #[prost(message, repeated, tag = "3")]
    pub(super) buckets: Vec<Bucket>,
    #[prost(message, optional, tag = "4")]
    pub(super) authorization: Option<Authorization>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CreateOrg {
    #[prost(message, optional, tag = "1")]
    pub(super) org: Option<Org>,
    #[prost(message, repeated, tag = "2")]
    pub(super) buckets: Vec<Bucket>,
    #[prost(fixed64, optional, tag = "3")]
    pub(super) owner: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct UpdateOrg {
    #[prost(fixed64, tag = "1")]
    pub(super) id: u64,
    #[prost(string, optional, tag = "2")]
    pub(super) name: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(super) description: Option<String>,
    #[prost(sfixed64, tag = "4")]
    pub(super) at: i64,
}

/// A retention to set: absent value keeps points for ever.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Retention {
    #[prost(int64, optional, tag = "1")]
    pub(super) ns: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct UpdateBucket {
    #[prost(fixed64, tag = "1")]
    pub(super) id: u64,
    #[prost(string, optional, tag = "2")]
    pub(super) name: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(super) description: Option<String>,
    #[prost(message, optional, tag = "4")]
    pub(super) retention: Option<Retention>,
    #[prost(int64, optional, tag = "5")]
    pub(super) shard_duration_ns: Option<i64>,
    #[prost(sfixed64, tag = "6")]
    pub(super) at: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SetPassword {
    #[prost(fixed64, tag = "1")]
    pub(super) user: u64,
    #[prost(string, tag = "2")]
    pub(super) hash: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct UpdateAuthorization {
    #[prost(fixed64, tag = "1")]
    pub(super) id: u64,
    /// 1 active, 2 inactive.
    #[prost(uint32, optional, tag = "2")]
    pub(super) status: Option<u32>,
    #[prost(string, optional, tag = "3")]
    pub(super) description: Option<String>,
    #[prost(sfixed64, tag = "4")]
    pub(super) at: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ChangePermissions {
    #[prost(fixed64, tag = "1")]
    pub(super) id: u64,
    #[prost(message, repeated, tag = "2")]
    pub(super) add: Vec<Permission>,
    #[prost(message, repeated, tag = "3")]
    pub(super) remove: Vec<Permission>,
    #[prost(sfixed64, tag = "4")]
    pub(super) at: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct ChangeOwner {
    #[prost(fixed64, tag = "1")]
    pub(super) user: u64,
    #[prost(fixed64, tag = "2")]
    pub(super) org: u64,
    #[prost(bool, tag = "3")]
    pub(super) owns: bool,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct NoteContinuousRun {
    #[prost(fixed64, tag = "1")]
    pub(super) id: u64,
    #[prost(sfixed64, tag = "2")]
    pub(super) at: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RegisterFields {
    #[prost(fixed64, tag = "1")]
    pub(super) bucket: u64,
    #[prost(message, repeated, tag = "2")]
    pub(super) fields: Vec<FieldSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ForgetMeasurements {
    #[prost(fixed64, tag = "1")]
    pub(super) bucket: u64,
    #[prost(string, repeated, tag = "2")]
    pub(super) measurements: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FieldSpec {
    #[prost(string, tag = "1")]
    pub(super) measurement: String,
    #[prost(string, tag = "2")]
    pub(super) field: String,
    /// See `FieldType::code`.
    #[prost(uint32, tag = "3")]
    pub(super) field_type: u32,
}

/// The answer to a command.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Response {
    #[prost(oneof = "Answer", tags = "1,2,3")]
    pub(super) answer: Option<Answer>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Answer {
    #[prost(message, tag = "1")]
    Done(Nothing),
    #[prost(message, tag = "2")]
    Fields(Fields),
    #[prost(message, tag = "3")]
    Refused(Refused),
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Nothing {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Fields {
    #[prost(message, repeated, tag = "1")]
    pub(super) outcomes: Vec<FieldOutcome>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct FieldOutcome {
    /// 1 it has a type, 2 no bucket, 3 no room.
    #[prost(uint32, tag = "1")]
    pub(super) kind: u32,
    /// See `FieldType::code`.
    #[prost(uint32, tag = "2")]
    pub(super) field_type: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Refused {
    /// 1 conflict, 2 not found, 3 invalid, 4 forbidden, 5 unprocessable.
    #[prost(uint32, tag = "1")]
    pub(super) code: u32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}
