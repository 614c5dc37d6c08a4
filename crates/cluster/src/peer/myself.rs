//! Who this node is, while it runs: its identity, which changes when the node comes to belong to a cluster, and what it
//! says of itself to others.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use catalog::NodeState;
use disk::{Space, Vfs};
use parking_lot::{Mutex, RwLock};

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

/// This node.
pub(crate) struct Myself {
    vfs: Arc<dyn Vfs>,
    data_dir: PathBuf,
    identity: RwLock<Identity>,
    /// Held while the identity is written, so that what is in memory is never ahead of the disk.
    writing: Mutex<()>,
    /// What it says of itself.
    pub(crate) says: Says,
    /// The [`Room`] that the disk was last seen to have.
    room: AtomicU8,
}

/// What a node is told to say of itself.
#[derive(Debug, Default)]
pub(crate) struct Says {
    /// Failure domain; empty when it has none.
    pub(crate) zone: String,
    /// A hash of how the initial peers are found; 0 without any.
    pub(crate) peers_hash: u64,
    /// Host and port at which others reach it, where it is told.
    pub(crate) advertised: Option<String>,
    /// Where it listens, where others can use that.
    pub(crate) bound: Option<String>,
}

/// The version that this node says it runs.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Myself {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, data_dir: PathBuf, identity: Identity, says: Says) -> Arc<Self> {
        let (identity, writing) = (RwLock::new(identity), Mutex::default());
        let room = AtomicU8::new(Room::Plenty as u8);
        Arc::new(Self { vfs, data_dir, identity, writing, says, room })
    }

    /// The identity.
    pub(crate) fn identity(&self) -> Identity {
        *self.identity.read()
    }

    /// The file system of the data directory; `None` when it does not say.
    pub(crate) fn space(&self) -> Option<Space> {
        self.vfs.space(&self.data_dir).ok()
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
            after.write(self.vfs.as_ref(), &self.data_dir)?;
            *self.identity.write() = after;
        }
        Ok(after)
    }
}
