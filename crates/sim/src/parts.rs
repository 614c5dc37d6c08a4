//! The parts of a node's environment: time that the simulation drives, jobs in lockstep, a store of the catalog on the
//! simulated disk, connections of turmoil.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use catalog::store::{Batch, EachRecord, Op};
use catalog::{MemoryStore, Store, StoreError};
use disk::Vfs;
use disk::atomic::{self, AtomicError};
use futures::future::BoxFuture;
use host::{Connection, Listener, Network};
use model::{Clock, Timestamp};
use storage::{Job, JobClass, Jobs};
use tokio::runtime::Handle;

use crate::hasty;

/// When simulations begin, from 1970 on: 2026-01-01T00:00:00Z.
pub const BEGINNING: Duration = Duration::from_secs(1_767_225_600);
/// The largest catalog.
const STORE_BYTES_MAX: u64 = 64 << 20;

/// How far the simulation is. There is one in a process.
static NOW_NS: AtomicU64 = AtomicU64::new(0);

/// Says how far the simulation is.
pub(crate) fn set_now(elapsed: Duration) {
    NOW_NS.store(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// How far the simulation is.
#[must_use]
pub fn now() -> Duration {
    Duration::from_nanos(NOW_NS.load(Ordering::Relaxed))
}

/// The simulation's time, the same on all nodes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SimClock;

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp(i64::try_from((BEGINNING + now()).as_nanos()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        now()
    }
}

/// Flushes and merges in lockstep with the node's tasks. They end with its runtime.
#[derive(Debug)]
pub(crate) struct SimJobs(pub(crate) Handle);

impl Jobs for SimJobs {
    fn submit(&self, _class: JobClass, job: Job) {
        let _runtime = self.0.enter();
        drop(host::offload(job));
    }

    fn rest(&self, duration: Duration) {
        // A moment of the simulation, however long it is for the machine.
        host::wait(&self.0, async {
            drop(tokio::time::timeout(duration, std::future::pending::<()>()).await);
        });
    }
}

/// A store of the catalog that loses in a power cut what was not synced, all of it.
#[derive(Debug)]
pub(crate) struct SimStore {
    records: MemoryStore,
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
}

impl SimStore {
    /// Opens what was synced.
    pub(crate) fn open(vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<Box<dyn Store>, StoreError> {
        let failed = |error: AtomicError| StoreError::Backend { doing: "open", source: Box::new(error) };
        let made = vfs.create_dir_all(dir);
        made.map_err(|error| StoreError::Backend { doing: "open", source: Box::new(error) })?;
        let path = dir.join("records");
        let records = MemoryStore::new();
        match atomic::read_checked(&**vfs, &path, STORE_BYTES_MAX) {
            Ok(bytes) => records.commit(&decode(&bytes))?,
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(failed(error)),
        }
        Ok(Box::new(Self { records, vfs: Arc::clone(vfs), path }))
    }
}

impl Store for SimStore {
    fn load_all(&self, each: EachRecord<'_>) -> Result<(), StoreError> {
        self.records.load_all(each)
    }

    fn commit(&self, batch: &[Op]) -> Result<(), StoreError> {
        self.records.commit(batch)
    }

    fn sync(&self) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        self.records.load_all(&mut |key, value| {
            for part in [key, value] {
                bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
                bytes.extend_from_slice(part);
            }
            Ok(())
        })?;
        atomic::replace_checked(&*self.vfs, &self.path, &bytes).map_err(|error| {
            let is_full = is_full(&error);
            let source = Box::new(error);
            if is_full { StoreError::Full(source) } else { StoreError::Backend { doing: "sync", source } }
        })
    }
}

/// Whether something failed for want of space.
pub(crate) fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|io| io.kind() == io::ErrorKind::StorageFull) || error.source().is_some_and(is_full)
}

/// The records of a file whose checksum is right.
fn decode(bytes: &[u8]) -> Batch {
    let mut rest = bytes;
    let mut part = || {
        let (length, after) = rest.split_first_chunk()?;
        let (part, after) = after.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        rest = after;
        Some(part.to_vec())
    };
    std::iter::from_fn(|| Some(Op::Put(part()?, part()?))).collect()
}

/// The network of turmoil, for the host that asks.
#[derive(Debug)]
pub(crate) struct SimNetwork {
    /// Whether it answers for followers.
    pub(crate) is_hasty: bool,
}

impl Network for SimNetwork {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move {
            let stream = turmoil::net::TcpStream::connect((host, port)).await?;
            let stream: Connection = Box::new(stream);
            if self.is_hasty { hasty::relay(stream).await } else { Ok(stream) }
        })
    }
}

/// A port of turmoil.
pub(crate) struct SimListener(pub(crate) turmoil::net::TcpListener);

impl fmt::Debug for SimListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimListener")
    }
}

impl Listener for SimListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Connection, SocketAddr)>> {
        Box::pin(async {
            let (stream, from) = self.0.accept().await?;
            Ok((Box::new(stream) as Connection, from))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
