//! How ids stand in the files: those of clusters and nodes as hexadecimal texts, because JSON's numbers are doubles to many
//! readers; groups by their names. And the catalog's records, in the words that people read elsewhere.

use std::num::NonZeroU16;

use catalog::{ClusterNode, NodeInfo, NodeState, Placement, Replica, Role};
use model::{GroupId, LogPosition, NodeId, ReplicaId};
use serde::{Deserialize, Serialize};

/// An id of 128 bits as 32 hexadecimal digits.
pub(crate) mod hex128 {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(id: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{id:032x}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        let text = String::deserialize(from)?;
        let is_whole = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = u128::from_str_radix(&text, 16).ok().filter(|id| is_whole && *id != 0);
        id.ok_or_else(|| D::Error::custom(format!("{text:?} is no id of 32 hexadecimal digits")))
    }
}

/// Anything that is printed and read as a text.
pub(super) mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|error| D::Error::custom(format!("{text:?}: {error}")))
    }
}

/// A position in a log. Ordered by term and index: whoever has the greatest of a group has all that was acknowledged
/// among those that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct At {
    pub(crate) term: u64,
    pub(crate) index: u64,
    pub(crate) leader: u64,
}

impl From<LogPosition> for At {
    fn from(position: LogPosition) -> Self {
        Self { term: position.term, index: position.index, leader: position.leader.0 }
    }
}

impl From<At> for LogPosition {
    fn from(at: At) -> Self {
        Self { index: at.index, term: at.term, leader: ReplicaId(at.leader) }
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "term {}, index {}", self.term, self.index)
    }
}

/// A node as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeText {
    #[serde(with = "text")]
    pub(crate) id: NodeId,
    #[serde(with = "hex128")]
    pub(crate) uuid: u128,
    pub(crate) address: String,
    pub(crate) zone: String,
    pub(crate) version: String,
    pub(crate) level: NonZeroU16,
    pub(crate) state: StateText,
}

/// Whether a node is expected to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StateText {
    Active,
    Draining,
    Lost,
    Decommissioned,
}

impl From<&ClusterNode> for NodeText {
    fn from(node: &ClusterNode) -> Self {
        let NodeInfo { uuid, address, zone, version, level } = node.info.clone();
        let state = match node.state {
            NodeState::Active => StateText::Active,
            NodeState::Draining => StateText::Draining,
            NodeState::Lost => StateText::Lost,
            NodeState::Decommissioned => StateText::Decommissioned,
        };
        Self { id: node.id, uuid, address, zone, version, level: level.into(), state }
    }
}

impl From<NodeText> for ClusterNode {
    fn from(node: NodeText) -> Self {
        let NodeText { id, uuid, address, zone, version, level, state } = node;
        let state = match state {
            StateText::Active => NodeState::Active,
            StateText::Draining => NodeState::Draining,
            StateText::Lost => NodeState::Lost,
            StateText::Decommissioned => NodeState::Decommissioned,
        };
        Self { id, info: NodeInfo { uuid, address, zone, version, level: level.into() }, state }
    }
}

impl NodeText {
    /// Whether it is out of the cluster for good.
    pub(crate) const fn is_out(&self) -> bool {
        matches!(self.state, StateText::Lost | StateText::Decommissioned)
    }
}

/// Where the replicas of a group are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlacementText {
    #[serde(with = "text")]
    pub(crate) group: GroupId,
    pub(crate) generation: u64,
    pub(crate) replicas: Vec<ReplicaText>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplicaText {
    pub(crate) id: u64,
    #[serde(with = "text")]
    pub(crate) node: NodeId,
    pub(crate) role: RoleText,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) replaces: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RoleText {
    Voter,
    Joining,
    Leaving,
    Copy,
}

impl From<&Placement> for PlacementText {
    fn from(placement: &Placement) -> Self {
        let replica = |replica: &Replica| ReplicaText {
            id: replica.id.0,
            node: replica.node,
            role: match replica.role {
                Role::Voter => RoleText::Voter,
                Role::Joining { .. } => RoleText::Joining,
                Role::Leaving => RoleText::Leaving,
                Role::Copy => RoleText::Copy,
            },
            replaces: replica.replaces().map(|replaced| replaced.0),
        };
        Self {
            group: placement.group,
            generation: placement.generation,
            replicas: placement.replicas.iter().map(replica).collect(),
        }
    }
}

impl From<PlacementText> for Placement {
    fn from(placement: PlacementText) -> Self {
        let replica = |text: ReplicaText| Replica {
            id: ReplicaId(text.id),
            node: text.node,
            role: match text.role {
                RoleText::Voter => Role::Voter,
                RoleText::Joining => Role::Joining { replaces: text.replaces.map(ReplicaId) },
                RoleText::Leaving => Role::Leaving,
                RoleText::Copy => Role::Copy,
            },
        };
        let PlacementText { group, generation, replicas } = placement;
        Self { group, generation, replicas: replicas.into_iter().map(replica).collect() }
    }
}
