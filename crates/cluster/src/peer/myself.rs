//! Who this node is, while it runs: its identity, which changes when the node comes to belong to a cluster, and what it
//! says of itself to others.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use catalog::{Level, NodeState};
use disk::{Space, Vfs};
use parking_lot::{Mutex, RwLock};
use trace::Tracer;

use crate::epochs::Epochs;
use crate::figures::Counters;
use crate::identity::{Belongs, Identity, IdentityError};

/// How much room a node's disk has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Enough.
    Plenty,
    /// What is left is needed to make more: the node should lead nothing, and follows.
    Short,
    /// Too little even to follow: it takes no entries from leaders.
    Spent,
}

/// Where a node keeps what it must not forget.
struct Home {
    vfs: Arc<dyn Vfs>,
    data_dir: PathBuf,
}

/// This node.
pub(crate) struct Myself {
    /// A gateway has none.
    home: Option<Home>,
    identity: RwLock<Identity>,
    /// The cluster that a gateway serves.
    serves: OnceLock<u128>,
    /// Held while the identity is written, so that what is in memory is never ahead of the disk.
    writing: Mutex<()>,
    /// What it says of itself.
    pub(crate) says: Says,
    /// How old its data directory is, and those of others were.
    pub(crate) epochs: Epochs,
    /// The [`Room`] that the disk was last seen to have.
    room: AtomicU8,
    /// What its groups have done.
    pub(crate) counters: Counters,
    /// What requests do here is told to it.
    pub(crate) tracer: Tracer,
}

/// What a node is told to say of itself.
#[derive(Debug)]
pub(crate) struct Says {
    /// Failure domain; empty when it has none.
    pub(crate) zone: String,
    /// A hash of how the initial peers are found; 0 without any.
    pub(crate) peers_hash: u64,
    /// Host and port at which others reach it, where it is told.
    pub(crate) advertised: Option<String>,
    /// Where it listens, where others can use that.
    pub(crate) bound: Option<String>,
    /// The newest feature level that it understands.
    pub(crate) level: Level,
}

/// The address of a node that others do not reach.
pub(crate) const ALONE: &str = "alone";

/// The version that this node says it runs.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Myself {
    pub(crate) fn new(
        vfs: Arc<dyn Vfs>,
        data_dir: PathBuf,
        identity: Identity,
        epochs: Epochs,
        says: Says,
        tracer: Tracer,
    ) -> Arc<Self> {
        Self::at(Some(Home { vfs, data_dir }), identity, epochs, says, tracer)
    }

    /// A gateway: who it is lasts as long as the process.
    pub(crate) fn gateway(node_uuid: u128, says: Says, tracer: Tracer) -> Arc<Self> {
        let identity = Identity { node_uuid, belongs: None, member: false, out: None };
        Self::at(None, identity, Epochs::default(), says, tracer)
    }

    fn at(home: Option<Home>, identity: Identity, epochs: Epochs, says: Says, tracer: Tracer) -> Arc<Self> {
        let (identity, writing) = (RwLock::new(identity), Mutex::default());
        let room = AtomicU8::new(Room::Plenty as u8);
        Arc::new(Self {
            home,
            identity,
            serves: OnceLock::new(),
            writing,
            says,
            epochs,
            room,
            tracer,
            counters: Counters::default(),
        })
    }

    /// The cluster that the node belongs to, or serves.
    pub(crate) fn cluster(&self) -> Option<u128> {
        self.identity().belongs.map(|place| place.cluster_id).or_else(|| self.serves.get().copied())
    }

    /// Serves a cluster from now on, and no other ever after. Answers which one that is.
    pub(crate) fn serve(&self, cluster: u128) -> u128 {
        *self.serves.get_or_init(|| cluster)
    }

    /// The identity.
    pub(crate) fn identity(&self) -> Identity {
        *self.identity.read()
    }

    /// The file system of the data directory; `None` when it does not say, or there is none.
    pub(crate) fn space(&self) -> Option<Space> {
        let Home { vfs, data_dir } = self.home.as_ref()?;
        vfs.space(data_dir).ok()
    }

    /// How much room the disk was last seen to have.
    pub(crate) fn room(&self) -> Room {
        let room = self.room.load(Ordering::Relaxed);
        [Room::Plenty, Room::Short].into_iter().find(|one| *one as u8 == room).unwrap_or(Room::Spent)
    }

    /// Notes how much room the disk has.
    pub(crate) fn note_room(&self, room: Room) {
        self.room.store(room as u8, Ordering::Relaxed);
    }

    /// Comes to belong to a cluster, durably, and answers where the node belongs now: as given, or as it did before.
    pub(crate) fn belong(&self, place: Belongs) -> Result<Belongs, IdentityError> {
        self.change(|identity| {
            identity.belongs.get_or_insert(place);
        })
        .map(|identity| identity.belongs.unwrap_or(place))
    }

    /// Notes, durably, that the node may vote from now on.
    pub(crate) fn become_member(&self) -> Result<(), IdentityError> {
        self.change(|identity| identity.member = true).map(drop)
    }

    /// Notes, durably, that the node is out of its cluster for good.
    pub(crate) fn leave(&self, state: NodeState) -> Result<(), IdentityError> {
        self.change(|identity| identity.out = Some(state)).map(drop)
    }

    fn change(&self, change: impl FnOnce(&mut Identity)) -> Result<Identity, IdentityError> {
        let _alone = self.writing.lock();
        let before = self.identity();
        let mut after = before;
        change(&mut after);
        if after != before {
            if let Some(Home { vfs, data_dir }) = &self.home {
                after.write(vfs.as_ref(), data_dir)?;
            }
            *self.identity.write() = after;
        }
        Ok(after)
    }
}
