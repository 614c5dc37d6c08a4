//! How a node's part in the cluster is set up.

use std::path::PathBuf;
use std::sync::Arc;

use host::{Listener, Network};

use trace::Tracer;

use crate::peer::tls::TlsFiles;
use crate::progress::Progress;

/// The largest envelope that a group's log takes, where a segment is not smaller still.
pub const ENTRY_BYTES_MAX: usize = 8 << 20;

/// Options of [`crate::Cluster::open`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The node's data directory.
    pub data_dir: PathBuf,
    /// Partitions to found the cluster with, a power of two; ignored when it exists already. See
    /// [`default_partitions`].
    pub partitions: u16,
    /// The other nodes; `None` for a node that is alone and stays so.
    pub peers: Option<Peers>,
    /// Failure domain of the node; empty when it has none.
    pub zone: String,
    /// Where the logs are kept.
    pub lane: LaneKind,
    /// How fast leaders are missed.
    pub timing: Timing,
    /// Limits.
    pub limits: Limits,
    /// Where the node says what it waits for while it opens.
    pub progress: Progress,
    /// What requests do here is told to it.
    pub tracer: Tracer,
}

/// How a node finds others, and is found.
#[derive(Debug, Clone)]
pub struct Peers {
    /// The peer port.
    pub listener: Arc<dyn Listener>,
    /// Where connections to the other nodes come from.
    pub network: Arc<dyn Network>,
    /// The nodes that found the cluster together.
    pub initial: InitialPeers,
    /// Host and port at which others reach this node; without it, as it stands in the list.
    pub advertised: Option<String>,
    /// What nodes know one another by; without it everything that reaches the port is believed.
    pub tls: Option<TlsFiles>,
}

/// Options of [`crate::Cluster::open_gateway`].
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// Where nodes of the cluster are found.
    pub initial: InitialPeers,
    /// Where connections to the nodes come from.
    pub network: Arc<dyn Network>,
    /// What nodes and gateways know one another by; without it everything that reaches a node's peer port is believed.
    pub tls: Option<TlsFiles>,
    /// Where the gateway serves HTTP, as nodes are told.
    pub address: String,
    /// Its failure domain; empty when it has none.
    pub zone: String,
    /// Limits.
    pub limits: Limits,
    /// Where it says what it waits for while it opens.
    pub progress: Progress,
    /// What requests do here is told to it.
    pub tracer: Tracer,
}

/// How the nodes that found a cluster find one another. It must be the same on each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitialPeers {
    /// Host and port of every founding node; the first founds the cluster.
    List(Vec<String>),
    /// A name that stands for the addresses of all nodes. The one that advertises the lowest address founds the cluster
    /// when exactly so many are there.
    Name {
        /// The name.
        host: String,
        /// The peer port of every node.
        port: u16,
        /// Nodes that found the cluster.
        expect: usize,
    },
}

impl InitialPeers {
    /// Nodes that found the cluster.
    #[must_use]
    pub fn founders(&self) -> usize {
        match self {
            Self::List(peers) => peers.len(),
            Self::Name { expect, .. } => *expect,
        }
    }
}

/// The back-end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneKind {
    /// Segmented files of our own; the default.
    Segment,
    /// A RocksDB instance.
    RocksDb,
}

impl std::fmt::Display for LaneKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Segment => "segment",
            Self::RocksDb => "rocksdb",
        })
    }
}

/// Heartbeats and elections. Fail-over takes up to twice `election_ms_max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Milliseconds between heartbeats.
    pub heartbeat_ms: u64,
    /// Shortest silence after which a follower stands for election, milliseconds.
    pub election_ms_min: u64,
    /// Longest such silence, and the leader's lease, milliseconds.
    pub election_ms_max: u64,
}

impl Timing {
    /// For a node alone, which elects itself when it opens and has nobody to tell: few wake-ups.
    pub const ALONE: Self = Self { heartbeat_ms: 2_000, election_ms_min: 6_000, election_ms_max: 9_000 };
    /// For nodes within a few milliseconds of one another: fail-over in 0.75 to 0.9 s.
    pub const NEAR: Self = Self { heartbeat_ms: 100, election_ms_min: 300, election_ms_max: 450 };
    /// For round trips up to 300 ms, or throttled processors: fail-over in 2.5 to 3 s.
    pub const WAN: Self = Self { heartbeat_ms: 250, election_ms_min: 1000, election_ms_max: 1500 };
}

/// Limits, in bytes and milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of a segment of the log.
    pub segment_bytes: u64,
    /// Envelopes that may wait for the disk, of all groups.
    pub queue_bytes_max: u32,
    /// Applied entries kept in memory for followers, of all groups. 0 for a node without followers.
    pub cache_bytes_max: usize,
    /// Proposed and not yet applied bytes of one group.
    pub in_flight_bytes_max: u32,
    /// How long a proposal waits for room below `in_flight_bytes_max` before it is refused, milliseconds.
    pub admission_ms_max: u64,
    /// How long a proposal waits for its outcome before it is unknown, milliseconds.
    pub proposal_ms_max: u64,
    /// How long a node that has given a lead away for the sake of balance waits before the next, milliseconds.
    pub leader_move_ms_min: u64,
    /// Between two counts of the epoch, by which a data directory that is put back as it was is known.
    pub epoch_ms: u64,
    /// Replicas that may be on their way to one node, and as many from it.
    pub moves_per_node_max: usize,
    /// Bytes of files that this node sends to others in a second, all together; 0 for as many as it can.
    pub move_bytes_per_second: u64,
    /// How long a node may be silent before what it has is made anew elsewhere, milliseconds; 0 for ever.
    pub replace_silent_ms: u64,
    /// Bytes of the log above which the groups that pin its older part are asked to flush.
    pub log_bytes_soft: u64,
}

impl Limits {
    /// The limits of production.
    pub const PRODUCTION: Self = Self {
        segment_bytes: 64 << 20,
        queue_bytes_max: 64 << 20,
        cache_bytes_max: 64 << 20,
        in_flight_bytes_max: 32 << 20,
        admission_ms_max: 1_000,
        proposal_ms_max: 10_000,
        leader_move_ms_min: 5_000,
        epoch_ms: 5_000,
        moves_per_node_max: 2,
        move_bytes_per_second: 64 << 20,
        replace_silent_ms: 600_000,
        log_bytes_soft: 512 << 20,
    };
}

/// Partitions to found a cluster of so many processes with, where nobody chose otherwise: 16 for one, 32 for three
/// to five, then the power of two that gives each node at least six leaders, at most 256.
#[must_use]
pub fn default_partitions(processes: usize) -> u16 {
    match processes {
        0..=2 => 16,
        3..=5 => 32,
        6..=10 => 64,
        11..=20 => 128,
        _ => 256,
    }
}

#[cfg(test)]
mod tests;
