//! Replication: the only crate that names openraft. A meta group holds the catalog, P data groups hold the data;
//! their logs share one durable lane, which is the only write-ahead log there is.
//!
//! ```text
//! Router ── batch ──► Cluster ── proposal ──► group (openraft) ──► lane ──► disk
//!   │ field types       │                        │ committed
//!   ▼                   ▼                        ▼
//! catalog ◄──────── meta group              Machine (storage, by way of server)
//! ```
//! What must always hold: a proposal that returns success is durable on a quorum and applied here; whoever gets
//! [`ProposeError::Unknown`] does not know, whoever gets another error knows that nothing was done.

mod barrier;
mod cluster;
mod comparison;
mod courier;
mod entry;
mod epochs;
mod error;
mod fatal;
mod figures;
mod group;
mod hosting;
mod identity;
mod lane;
mod leads;
mod look;
mod machine;
mod mirror;
mod options;
mod peer;
mod placement;
mod progress;
mod queries;
mod raft;
mod reads;
mod recover;
mod replicas;
mod router;
mod shards;
mod steward;
mod summaries;
mod tasks;
mod throttle;

pub use cluster::{CatalogHealth, Cluster, LogPressure, MembershipError, Move, log_dir};
pub use comparison::{Compared, Outcome};
pub use epochs::{EpochsError, verify_epochs};
pub use error::{HandOverError, OpenError, ProposeError};
pub use fatal::Fatal;
pub use figures::{Counters, Figures, Transfers};
pub use group::GroupStatus;
pub use identity::{Belongs, Identity, IdentityError};
pub use lane::{LaneMetrics, LaneOpenError};
pub use look::{GroupLook, LogLook, look_at_log};
pub use machine::{Durable, GoesOn, Machine, MachineError, Machines, Sum};
pub use options::{
    ENTRY_BYTES_MAX, GatewayOptions, InitialPeers, LaneKind, Limits, Options, Peers, Timing,
    default_partitions,
};
pub use peer::myself::Room;
pub use peer::status::NodeReport;
pub use peer::tls::{TlsError, TlsFiles};
pub use peer::watch::GatewayInfo;
pub use progress::Progress;
pub use queries::{AllQueries, KillError, Queries, RunningQuery, is_at, query_id};
pub use reads::{Blocks, ReadError, Reader, RemoteBlocks};
pub use recover::{
    Applied, ApplyError, Durables, Fate, GroupFate, NoteError, Plan, PlanError, Prospect, ReportError,
    Sealed, SealedError, SurvivorReport, apply, plan, recovered, report,
};
pub use router::{RouteError, Router, RouterMetrics};
pub use shards::{AllShards, HeldShard};
pub use summaries::{PartitionSummary, RemoteSummary};
pub use tasks::TaskGroup;
