//! What a group's log is applied to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{Digest, LogPosition, PartitionId, PartitionOp, ReplicaId};

/// Why an entry could not be applied. The process must stop: a replica that skips entries is no replica.
#[derive(Debug, thiserror::Error)]
#[error("applying an entry failed")]
pub struct MachineError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The machines of a node. Calls block.
pub trait Machines: Send + Sync + 'static {
    /// Opens the state machine of a partition's replica; one that was never there is empty.
    ///
    /// # Errors
    /// What it has cannot be read.
    fn open(
        &self,
        partition: PartitionId,
        replica: ReplicaId,
    ) -> Result<Arc<dyn Machine>, Box<dyn std::error::Error + Send + Sync>>;

    /// Removes what replicas of a partition have here that are gone for good: all with ids below `below`, of which none
    /// is open any more.
    ///
    /// # Errors
    /// Something is still there, because it is in use, or cannot be removed; to be called again.
    fn remove(&self, partition: PartitionId, below: ReplicaId) -> io::Result<()>;
}

/// How far a machine has got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durable {
    /// The last entry whose effect survives a power cut; the log may be purged up to it.
    pub position: Option<LogPosition>,
    /// The membership as of then, as given to [`Machine::apply_membership`]; empty before the first.
    pub membership: Vec<u8>,
}

/// Says, again and again, whether somebody still wants to know.
pub type GoesOn<'a> = &'a dyn Fn() -> bool;

/// Reads what a machine held when it was made, and says what that comes to; `None` when nobody wants to know any more.
pub type Sum =
    Box<dyn FnOnce(GoesOn<'_>) -> Result<Option<Digest>, Box<dyn std::error::Error + Send + Sync>> + Send>;

/// The state machine of a partition's replica; `server` implements it over the storage engine.
///
/// Entries come one at a time, in the order of their index. After a restart they come again from the one after
/// [`Machine::durable`] on. Calls may block for as long as memory takes, not for I/O to other nodes.
pub trait Machine: Send + Sync + 'static {
    /// Position and membership that are durable in the machine.
    fn durable(&self) -> io::Result<Durable>;
    /// Applies an operation. Deterministic: it reads no clock and refuses nothing.
    fn apply(&self, position: LogPosition, op: PartitionOp) -> Result<(), MachineError>;
    /// Notes the position of an entry that carries nothing, and becomes durable with the next operation's effect.
    fn apply_blank(&self, position: LogPosition) -> Result<(), MachineError>;
    /// Notes position and membership; the bytes are opaque and come back from [`Machine::durable`].
    fn apply_membership(&self, position: LogPosition, membership: Vec<u8>) -> Result<(), MachineError>;
    /// Notes what it holds now, to be read later and elsewhere, whatever is applied meanwhile.
    fn sum(&self) -> Sum;

    /// Whether some of what is durable cannot be read any more, so that it is to be had from another replica.
    fn is_damaged(&self) -> bool;
    /// Makes everything that was applied durable.
    fn make_durable(&self) -> io::Result<()>;

    /// Makes a directory that holds everything durable, for another replica to install, and says up to where. Whoever
    /// asked removes it.
    fn checkpoint(&self) -> io::Result<(PathBuf, Durable)>;
    /// A name for the directory of a checkpoint that comes from another replica. Whoever asked makes it, and removes
    /// it when it is not installed.
    fn incoming(&self) -> io::Result<PathBuf>;
    /// Checks every byte of a checkpoint that has come, and says up to where it reaches.
    fn check(&self, checkpoint: &Path) -> io::Result<Option<LogPosition>>;
    /// Puts a checkpoint that was checked in the place of everything that is here. After a crash it is one or the
    /// other.
    fn install(&self, checkpoint: &Path) -> io::Result<()>;
}
