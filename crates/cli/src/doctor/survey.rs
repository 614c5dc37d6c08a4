//! `GET /api/v1/cluster/status`, as far as checks look at it. It comes from outside: numbers may be anything.

use serde::Deserialize;

/// The cluster, as the nodes say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Survey {
    pub(crate) is_current: bool,
    pub(crate) cluster: String,
    pub(crate) partitions: u64,
    pub(crate) replication: u64,
    pub(crate) level: u64,
    pub(crate) level_of_all: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) groups: Vec<Group>,
    pub(crate) moves: Vec<Move>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) address: String,
    pub(crate) zone: String,
    pub(crate) version: String,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    pub(crate) lag: u64,
    #[serde(default)]
    pub(crate) disk_free_bytes: Option<u64>,
    #[serde(default)]
    pub(crate) disk_total_bytes: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Gateway {
    pub(crate) address: String,
    pub(crate) version: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Group {
    pub(crate) group: String,
    #[serde(default)]
    pub(crate) partition: Option<u64>,
    #[serde(default)]
    pub(crate) leader: Option<String>,
    pub(crate) replicas: Vec<Replica>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Replica {
    pub(crate) node: String,
    pub(crate) is_voter: bool,
    pub(crate) is_up: bool,
    #[serde(default)]
    pub(crate) compared: Option<Compared>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Compared {
    pub(crate) index: u64,
    #[serde(default)]
    pub(crate) digest: Option<String>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Move {
    pub(crate) group: String,
    pub(crate) stage: String,
}

impl Survey {
    /// Reads an answer; the error says what is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("unexpected answer: {error}"))
    }

    /// The nodes that are to be there.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| !matches!(node.state.as_str(), "lost" | "decommissioned"))
    }
}

impl Node {
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state.as_str(), "up" | "draining")
    }

    /// Its id without the leading zeros, as every command takes it.
    pub(crate) fn short_id(&self) -> &str {
        short(&self.id)
    }
}

impl Group {
    pub(crate) fn voters(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(|replica| replica.is_voter)
    }
}

/// An id without its leading zeros.
pub(crate) fn short(id: &str) -> &str {
    match id.trim_start_matches('0') {
        "" => id,
        short => short,
    }
}
