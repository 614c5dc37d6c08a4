//! Who speaks to whom: the address on every call between members, and the refusals of those who are not meant.

use std::sync::Arc;

use bytes::Bytes;
use catalog::NodeState;
use model::{GroupId, ReplicaId};
use prost::Message as _;
use proto::peer;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Status};

use super::myself::Myself;
use crate::group::Group;
use crate::replicas::Replicas;

/// The metadata that carries the route.
const ROUTE: &str = "tidemark-route-bin";
/// The metadata that names a refusal.
const REFUSAL: &str = "tidemark-refusal";

/// Who speaks to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) cluster: u128,
    pub(crate) from_node: u128,
    pub(crate) to_node: u128,
    /// With calls about one group.
    pub(crate) within: Option<Within>,
}

/// The group that a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Within {
    pub(crate) group: GroupId,
    /// The sender's member, if it has one.
    pub(crate) from: Option<ReplicaId>,
    /// The receiver's member.
    pub(crate) to: ReplicaId,
}

/// Why a call is refused: it is meant for somebody else, or comes from somebody who is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is no route, or it cannot be read.
    #[error("the call does not say whom it is for")]
    NoRoute,
    /// The receiver belongs to no cluster.
    #[error("this node belongs to no cluster")]
    NoCluster,
    /// The receiver belongs to another cluster.
    #[error("this node belongs to another cluster")]
    OtherCluster,
    /// The receiver has another data directory: the sender knows one that is gone, or has a wrong address.
    #[error("this is another node: its data directory is not the one that is meant")]
    OtherNode,
    /// The receiver has no member in the group.
    #[error("this node has no replica of the group")]
    NoReplica,
    /// The receiver's member of the group is another one.
    #[error("this node has another replica of the group")]
    OtherReplica,
    /// The sender has been given up, or another data directory has its address.
    #[error("the sender is out of the cluster: another has taken its place, or it was given up")]
    SenderLost,
    /// The sender has left for good.
    #[error("the sender is out of the cluster: it was decommissioned")]
    SenderDecommissioned,
    /// The receiver has known the sender with a newer data directory.
    #[error("the sender's data are an older copy: it has forgotten votes and entries that it acknowledged")]
    SenderOlder,
}

impl Refusal {
    /// All there are.
    pub(crate) const ALL: [Self; 9] = [
        Self::NoRoute,
        Self::NoCluster,
        Self::OtherCluster,
        Self::OtherNode,
        Self::NoReplica,
        Self::OtherReplica,
        Self::SenderLost,
        Self::SenderDecommissioned,
        Self::SenderOlder,
    ];

    /// The name in metadata and logs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NoRoute => "no-route",
            Self::NoCluster => "no-cluster",
            Self::OtherCluster => "other-cluster",
            Self::OtherNode => "other-node",
            Self::NoReplica => "no-replica",
            Self::OtherReplica => "other-replica",
            Self::SenderLost => "sender-lost",
            Self::SenderDecommissioned => "sender-decommissioned",
            Self::SenderOlder => "sender-older",
        }
    }

    /// The refusal of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.name() == name)
    }

    /// What an answer says of this node, where it says that it is out for good.
    pub(crate) fn out_of(status: &Status) -> Option<NodeState> {
        [(Self::SenderLost, NodeState::Lost), (Self::SenderDecommissioned, NodeState::Decommissioned)]
            .into_iter()
            .find_map(|(refusal, state)| (Self::of(status) == Some(refusal.name())).then_some(state))
    }

    /// The name of the refusal that an answer is.
    pub(crate) fn of(status: &Status) -> Option<&str> {
        status.metadata().get(REFUSAL)?.to_str().ok()
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let mut metadata = MetadataMap::new();
        metadata.insert(REFUSAL, MetadataValue::from_static(refusal.name()));
        Self::with_metadata(Code::FailedPrecondition, refusal.to_string(), metadata)
    }
}

impl Route {
    /// Puts the route on a call.
    pub(crate) fn attach<T>(self, request: &mut Request<T>) {
        let message = peer::Route {
            cluster: id(self.cluster),
            from_node: id(self.from_node),
            to_node: id(self.to_node),
            group: self.within.map(|within| within.group.number()),
            from_replica: self.within.and_then(|within| within.from).map_or(0, |replica| replica.0),
            to_replica: self.within.map_or(0, |within| within.to.0),
        };
        let value = MetadataValue::from_bytes(&message.encode_to_vec());
        request.metadata_mut().insert_bin(ROUTE, value);
    }

    /// The route of a call.
    pub(crate) fn of(metadata: &MetadataMap) -> Result<Self, Refusal> {
        let read = || {
            let bytes = metadata.get_bin(ROUTE)?.to_bytes().ok()?;
            let message = peer::Route::decode(bytes).ok()?;
            let replica = |id| (id != 0).then_some(ReplicaId(id));
            let within = match message.group {
                None => None,
                Some(number) => Some(Within {
                    group: GroupId::from_number(number)?,
                    from: replica(message.from_replica),
                    to: replica(message.to_replica)?,
                }),
            };
            Some(Self {
                cluster: read_id(&message.cluster)?,
                from_node: read_id(&message.from_node)?,
                to_node: read_id(&message.to_node)?,
                within,
            })
        };
        read().ok_or(Refusal::NoRoute)
    }

    /// Whether this node is meant, by somebody who may. `state_of` is what the catalog knows of a node.
    pub(crate) fn check(
        &self,
        myself: &Myself,
        state_of: impl FnOnce(u128) -> Option<NodeState>,
    ) -> Result<(), Refusal> {
        let identity = myself.identity();
        let place = identity.belongs.ok_or(Refusal::NoCluster)?;
        let sender = match state_of(self.from_node) {
            Some(NodeState::Lost) => Err(Refusal::SenderLost),
            Some(NodeState::Decommissioned) => Err(Refusal::SenderDecommissioned),
            Some(NodeState::Active | NodeState::Draining) | None => Ok(()),
        };
        if self.cluster != place.cluster_id {
            // One that was given up when the cluster was recovered knows it by the id that it had before.
            sender?;
            return Err(Refusal::OtherCluster);
        }
        if self.to_node != identity.node_uuid {
            return Err(Refusal::OtherNode);
        }
        sender
    }

    /// The group that is meant, which a call about one group must name.
    pub(crate) fn group(&self, replicas: &Replicas) -> Result<Arc<Group>, Refusal> {
        let within = self.within.ok_or(Refusal::NoRoute)?;
        member(replicas, within.group, within.to)
    }
}

/// The group with a member of this node.
pub(crate) fn member(replicas: &Replicas, group: GroupId, replica: ReplicaId) -> Result<Arc<Group>, Refusal> {
    let group = replicas.get(group).ok_or(Refusal::NoReplica)?;
    if group.replica() == replica { Ok(group) } else { Err(Refusal::OtherReplica) }
}

/// The bytes of an id.
pub(crate) fn id(id: u128) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

/// The id of 16 bytes; none is 0.
pub(crate) fn read_id(bytes: &[u8]) -> Option<u128> {
    bytes.try_into().ok().map(u128::from_be_bytes).filter(|id| *id != 0)
}

#[cfg(test)]
mod tests;
