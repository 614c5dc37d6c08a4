//! Entries of a group's log in memory: the encoded envelope, and beside it, where this node proposed the entry, the
//! operation itself, so that nobody decodes what he has just encoded.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use model::{GroupId, LogPosition, PartitionOp, Timestamp};
use parking_lot::Mutex;
use proto::EntryError;
use proto::entry::{self as envelope};
use proto::log::{self, entry::Body};
use tokio::sync::OwnedSemaphorePermit;
use trace::{Context, Here};

/// Bytes counted for an entry above its envelope.
const ENTRY_OVERHEAD_BYTES: usize = 128;

/// What an entry asks for.
#[derive(Debug)]
pub(crate) enum Op {
    /// Of a partition.
    Partition(PartitionOp),
    /// Of the catalog.
    Catalog(Box<catalog::Command>),
}

impl Op {
    /// Whether a second time changes nothing, and has the same answer: points, comparisons, and the types of fields.
    pub(crate) fn may_repeat(&self) -> bool {
        match self {
            Self::Partition(op) => matches!(op, PartitionOp::Write(_) | PartitionOp::Compare),
            Self::Catalog(command) => matches!(**command, catalog::Command::RegisterFields { .. }),
        }
    }
}

/// An operation on its way through a group's log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Proposal(Arc<Inner>);

struct Inner {
    encoded: Bytes,
    /// The span that has proposed it, where somebody wants to see it. Lost when the entry is read from the disk.
    traced: Option<Context>,
    decoded: Mutex<Decoded>,
}

/// What only the proposer has, until the entry is applied.
#[derive(Default)]
struct Decoded {
    op: Option<Op>,
    /// The proposal's share of the group's bytes in flight; given back when it is applied or withdrawn.
    _admitted: Option<OwnedSemaphorePermit>,
}

impl Proposal {
    /// A new proposal of what is current on this thread, for which `admitted` was taken from the group's bytes in flight.
    pub(crate) fn new(encoded: Bytes, op: Op, admitted: Option<OwnedSemaphorePermit>) -> Self {
        let decoded = Mutex::new(Decoded { op: Some(op), _admitted: admitted });
        let traced = trace::current().map(|here: Here| here.context()).filter(Context::is_wanted);
        Self(Arc::new(Inner { encoded, traced, decoded }))
    }

    /// An entry that came from the disk or from another node.
    pub(crate) fn stored(encoded: Bytes) -> Self {
        Self(Arc::new(Inner { encoded, traced: None, decoded: Mutex::default() }))
    }

    /// The envelope.
    pub(crate) fn encoded(&self) -> &Bytes {
        &self.0.encoded
    }

    /// The span that has proposed it, where somebody wants to see it.
    pub(crate) fn traced(&self) -> Option<Context> {
        self.0.traced
    }

    fn take(&self) -> Option<Op> {
        std::mem::take(&mut *self.0.decoded.lock()).op
    }

    /// The operation on a partition; decoded when this node did not propose it, or when it was taken before.
    pub(crate) fn take_partition_op(&self) -> Result<PartitionOp, EntryError> {
        match self.take() {
            Some(Op::Partition(op)) => Ok(op),
            _ => proto::decode_op(self.0.encoded.clone()),
        }
    }

    /// The catalog command, likewise.
    pub(crate) fn take_command(&self) -> Result<catalog::Command, CommandError> {
        match self.take() {
            Some(Op::Catalog(command)) => Ok(*command),
            _ => read_command(&self.0.encoded),
        }
    }
}

/// What an envelope asks of a group.
pub(crate) fn read_op(group: GroupId, encoded: &Bytes) -> Result<Op, CommandError> {
    Ok(match group {
        GroupId::Meta => Op::Catalog(Box::new(read_command(encoded)?)),
        GroupId::Data(_) => Op::Partition(proto::decode_op(encoded.clone())?),
    })
}

fn read_command(encoded: &Bytes) -> Result<catalog::Command, CommandError> {
    let bytes = envelope::decode_catalog(encoded.clone())?;
    Ok(catalog::Command::decode(&bytes)?)
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proposal({} bytes)", self.0.encoded.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.encoded.len())
    }
}

/// Why an entry of the meta group cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Entry(#[from] EntryError),
    #[error("log entry holds a catalog command that cannot be read")]
    Command(#[from] catalog::DecodeError),
}

/// What an entry holds.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    /// Proves a new leader.
    Blank,
    /// New members.
    Membership(log::Membership),
    /// An operation.
    Op(Proposal),
}

/// An entry.
#[derive(Debug, Clone)]
pub(crate) struct LogEntry {
    pub(crate) position: LogPosition,
    pub(crate) payload: Payload,
}

impl LogEntry {
    /// Reads an entry's envelope. Operations are not decoded yet.
    pub(crate) fn stored(position: LogPosition, encoded: Bytes) -> Result<Self, EntryError> {
        let payload = match envelope::decode(encoded.clone())? {
            Body::Blank(_) => Payload::Blank,
            Body::Membership(membership) => Payload::Membership(membership),
            Body::Write(_)
            | Body::Delete(_)
            | Body::DropShards(_)
            | Body::DropBucket(_)
            | Body::Compare(_)
            | Body::Catalog(_) => Payload::Op(Proposal::stored(encoded)),
        };
        Ok(Self { position, payload })
    }

    /// The span that has proposed it, where somebody wants to see it.
    pub(crate) fn traced(&self) -> Option<Context> {
        match &self.payload {
            Payload::Op(proposal) => proposal.traced(),
            Payload::Blank | Payload::Membership(_) => None,
        }
    }

    /// Notes the span that has proposed it, of an entry that has just come.
    pub(crate) fn trace(&mut self, traced: Context) {
        if let Payload::Op(proposal) = &mut self.payload
            && let Some(inner) = Arc::get_mut(&mut proposal.0)
        {
            inner.traced = Some(traced);
        }
    }

    /// The envelope.
    pub(crate) fn encoded(&self) -> Bytes {
        match &self.payload {
            Payload::Blank => envelope::encode(Body::Blank(log::Blank {}), Timestamp(0)),
            Payload::Membership(m) => envelope::encode(Body::Membership(m.clone()), Timestamp(0)),
            Payload::Op(proposal) => proposal.encoded().clone(),
        }
    }

    /// Bytes to count for the entry in memory.
    pub(crate) fn bytes(&self) -> usize {
        ENTRY_OVERHEAD_BYTES
            + match &self.payload {
                Payload::Op(proposal) => proposal.encoded().len(),
                Payload::Blank | Payload::Membership(_) => 0,
            }
    }
}
