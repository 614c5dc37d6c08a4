//! The storage engines of this node, one per partition, and their part in the groups: what a group's log commits is
//! applied to its engine, what the engine has flushed the group's log may forget.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use cluster::{Cluster, Machine, Machines, Room};
use disk::Vfs;
use model::{BucketId, Clock, PartitionId, ReplicaId, SeriesKey, series};
use parking_lot::{Mutex, RwLock};
use storage::{Commons, Engine, Jobs};

use crate::replica::{EngineMachine, Home};

/// Free bytes below which no points are taken, at most: room for a segment of the log and for the flushes, merges and
/// drops that make room.
const RESERVE_BYTES_MAX: u64 = 96 << 20;
/// On a small file system one part in so many of it.
const RESERVE_PARTS: u64 = 8;
/// How often the reserve can be free while each write asks how much is: more than is written between two looks.
const LITTLE_RESERVES: u64 = 4;

/// What every engine of the node is opened with.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    /// Where the replicas' directories are.
    pub(crate) dir: PathBuf,
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) jobs: Arc<dyn Jobs>,
    pub(crate) commons: Arc<Commons>,
    pub(crate) options: storage::Options,
}

/// A directory whose file system has space, or not.
#[derive(Debug)]
struct Space {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
}

/// The engines of this node.
#[derive(Debug)]
pub(crate) struct Partitions {
    /// Whose space counts; a gateway has none, and no engines.
    space: Option<Space>,
    engines: RwLock<BTreeMap<PartitionId, Arc<Engine>>>,
    /// Engines whose replicas are gone for good, as long as somebody reads them.
    leaving: Mutex<BTreeMap<PartitionId, Arc<Engine>>>,
    /// Bytes free in the file system when it was last asked.
    free_bytes: AtomicU64,
    /// All bytes of it.
    total_bytes: AtomicU64,
    /// Of them, those below which no points are taken.
    reserve_bytes: AtomicU64,
    /// Who is told of flushes; set when all engines are open.
    cluster: OnceLock<Weak<Cluster>>,
}

impl Partitions {
    /// Those of a node, which keeps them in `dir`.
    pub(crate) fn new(vfs: Arc<dyn Vfs>, dir: PathBuf) -> Arc<Self> {
        Self::on(Some(Space { vfs, dir }))
    }

    /// Those of a gateway: none, ever.
    pub(crate) fn none() -> Arc<Self> {
        Self::on(None)
    }

    fn on(space: Option<Space>) -> Arc<Self> {
        let free_bytes = AtomicU64::new(u64::MAX);
        let reserve_bytes = AtomicU64::new(RESERVE_BYTES_MAX);
        Arc::new(Self {
            space,
            engines: RwLock::default(),
            leaving: Mutex::default(),
            free_bytes,
            total_bytes: AtomicU64::new(0),
            reserve_bytes,
            cluster: OnceLock::new(),
        })
    }

    /// The engines as the cluster opens and removes them with its replicas.
    pub(crate) fn machines(self: &Arc<Self>, ground: Ground) -> Arc<dyn Machines> {
        Arc::new(Residents { partitions: Arc::clone(self), ground })
    }

    /// Opens a partition's engine, in the place of the one that it had.
    pub(crate) fn open(
        self: &Arc<Self>,
        ground: &Ground,
        partition: PartitionId,
        dir: PathBuf,
    ) -> Result<Arc<Engine>, storage::OpenError> {
        let Ground { dir: _, vfs, clock, jobs, commons, options } = ground.clone();
        let this = Arc::downgrade(self);
        let flushed = Arc::new(move |position| {
            let cluster = this.upgrade().and_then(|this| this.cluster.get().and_then(Weak::upgrade));
            // Before the cluster is up nobody listens; it asks for the durable position when it opens.
            if let Some(cluster) = cluster {
                cluster.flushed(partition, position);
            }
        });
        let engine = Arc::new(Engine::open(vfs, dir, clock, jobs, commons, options, flushed)?);
        self.engines.write().insert(partition, Arc::clone(&engine));
        Ok(engine)
    }

    /// Flushes are told to this cluster from now on.
    pub(crate) fn tell(&self, cluster: &Arc<Cluster>) {
        if self.cluster.set(Arc::downgrade(cluster)).is_err() {
            tracing::error!("the partitions belong to a cluster already");
        }
    }

    /// The engines, by partition.
    pub(crate) fn engines(&self) -> Vec<(PartitionId, Arc<Engine>)> {
        self.engines.read().iter().map(|(partition, engine)| (*partition, Arc::clone(engine))).collect()
    }

    /// The engine of a partition, when it is on this node.
    pub(crate) fn engine(&self, partition: PartitionId) -> Option<Arc<Engine>> {
        self.engines.read().get(&partition).cloned()
    }

    /// Which of some series, each with its hash, a bucket does not have.
    pub(crate) fn are_new<'a>(
        &self,
        bucket: BucketId,
        series: impl Iterator<Item = (&'a SeriesKey, u64)>,
    ) -> Vec<bool> {
        let engines = self.engines.read();
        let partitions = self.cluster.get().and_then(Weak::upgrade).map(|cluster| cluster.partitions());
        let is_new = |(key, hash)| {
            let partition = partitions.map(|partitions| series::partition_of_hash(hash, partitions));
            let engine = partition.and_then(|partition| engines.get(&partition));
            engine.is_some_and(|engine| !engine.has_series(bucket, key, hash))
        };
        series.map(is_new).collect()
    }

    /// Number of a bucket's series.
    pub(crate) fn series_of(&self, bucket: BucketId) -> u64 {
        self.engines.read().values().map(|engine| engine.series_of(bucket)).sum()
    }

    /// Asks how much space is free. To be called a few times a second.
    pub(crate) fn measure_space(&self) {
        let Some(Space { vfs, dir }) = &self.space else { return };
        match vfs.space(dir) {
            Ok(space) => {
                let (bytes, reserve) = (space.free_bytes, reserve(space.total_bytes));
                let was_short = self.free_bytes() < self.reserve_bytes.load(Ordering::Relaxed);
                self.reserve_bytes.store(reserve, Ordering::Relaxed);
                self.free_bytes.store(bytes, Ordering::Relaxed);
                self.total_bytes.store(space.total_bytes, Ordering::Relaxed);
                if let Some(cluster) = self.cluster.get().and_then(Weak::upgrade) {
                    cluster.note_room(room(bytes, reserve));
                }
                match (was_short, bytes < reserve) {
                    (false, true) => {
                        tracing::error!(free = bytes, reserve, "the disk is full: this node takes no points");
                    }
                    (true, false) => tracing::info!(free = bytes, "there is space again: writes are taken"),
                    _ => {}
                }
            }
            Err(error) => tracing::warn!(%error, "cannot ask for the free space"),
        }
    }

    /// Asks before more points are taken, when so little was free that they can fill the rest before the next look.
    pub(crate) fn measure_space_if_little(&self) {
        let little = self.reserve_bytes.load(Ordering::Relaxed).saturating_mul(LITTLE_RESERVES);
        if self.free_bytes() < little {
            self.measure_space();
        }
    }

    /// Bytes free in the file system when it was last asked.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.free_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of the file system, free or not.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.total_bytes.load(Ordering::Relaxed)
    }

    /// Whether what is free is needed to make more free.
    pub(crate) fn is_space_short(&self) -> bool {
        self.free_bytes() < self.reserve_bytes.load(Ordering::Relaxed) || self.log_waits()
    }

    /// Whether the log has no space, which may be so before anyone has asked how much is free.
    fn log_waits(&self) -> bool {
        let cluster = self.cluster.get().and_then(Weak::upgrade);
        cluster.is_some_and(|cluster| *cluster.log_metrics().waiting_for_space.borrow())
    }

    /// Why no more points are to be proposed, when so: most members of their groups have no room for them. Where others
    /// have, this node needs none.
    pub(crate) fn refusal(&self) -> Option<String> {
        let cluster = self.cluster.get().and_then(Weak::upgrade)?;
        let group = cluster.lacks_room()?;
        if cluster.is_alone() {
            return self.no_room();
        }
        Some(format!(
            "the disks of most members of group {group} are full; writes are refused, queries and deletes go on"
        ))
    }

    /// Why this node has no room for points or for writing them to files, when so.
    pub(crate) fn no_room(&self) -> Option<String> {
        if self.is_space_short() {
            return Some(format!(
                "the disk is full: {} bytes are free and {} are kept in reserve; it takes no points, queries and deletes \
                 go on",
                self.free_bytes(),
                self.reserve_bytes.load(Ordering::Relaxed)
            ));
        }
        let stalled =
            self.engines().into_iter().find_map(|(partition, engine)| Some((partition, engine.stalled()?)));
        stalled.map(|(partition, error)| {
            format!("the disk is full: partition {partition} waits for room: {error}")
        })
    }

    /// Lets go of the engines; each closes when its last user has gone.
    pub(crate) fn close(&self) {
        self.engines.write().clear();
    }
}

/// The engines of the replicas that live here.
struct Residents {
    partitions: Arc<Partitions>,
    ground: Ground,
}

impl Machines for Residents {
    fn open(
        &self,
        partition: PartitionId,
        replica: ReplicaId,
    ) -> Result<Arc<dyn Machine>, Box<dyn std::error::Error + Send + Sync>> {
        let Ground { dir, vfs, .. } = &self.ground;
        let home = Home::settle(&**vfs, dir, partition, replica)?;
        let engine = self.partitions.open(&self.ground, partition, home.engine_dir())?;
        let (partitions, ground) = (Arc::clone(&self.partitions), self.ground.clone());
        Ok(Arc::new(EngineMachine::new(partitions, ground, partition, home, engine)))
    }

    fn remove(&self, partition: PartitionId, below: ReplicaId) -> io::Result<()> {
        let mut leaving = self.partitions.leaving.lock();
        // New queries do not find it; those that read it still go on.
        if let Some(engine) = self.partitions.engines.write().remove(&partition) {
            leaving.insert(partition, engine);
        }
        if let Some(engine) = leaving.remove(&partition) {
            match Arc::try_unwrap(engine) {
                Ok(engine) => engine.close(),
                Err(engine) => {
                    leaving.insert(partition, engine);
                    return Err(io::Error::new(io::ErrorKind::ResourceBusy, "its files are still read"));
                }
            }
        }
        drop(leaving);
        let Ground { dir, vfs, .. } = &self.ground;
        Home::clear(&**vfs, dir, partition, below)
    }
}

/// How much room so many free bytes are. Half of the reserve is kept from leaders too, for flushes and merges.
fn room(free: u64, reserve: u64) -> Room {
    match free {
        free if free >= reserve => Room::Plenty,
        free if free >= reserve / 2 => Room::Short,
        _ => Room::Spent,
    }
}

/// Free bytes of a file system of so many below which no points are taken.
fn reserve(total: u64) -> u64 {
    RESERVE_BYTES_MAX.min(total / RESERVE_PARTS)
}
