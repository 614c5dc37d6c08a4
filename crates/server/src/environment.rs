//! What a node stands on: a disk, clocks, threads for storage, a store for the catalog, and a network. The machine's own
//! in production, and others in simulations, which run whole nodes.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use catalog::{RocksStore, Store, StoreError};
use disk::{Faults, PooledVfs, RealVfs, Vfs};
use host::{Listener, Network, Tcp};
use model::{Clock, SystemClock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use storage::{Jobs, ThreadJobs};

use crate::config::Config;
use crate::error::ServeError;
use crate::telemetry;

/// Data files that are kept open; the others are opened when they are read.
const DATA_FILES_OPEN_MAX: usize = 16 << 10;

/// Opens the store of the catalog in a directory.
pub type OpenStore = fn(&Arc<dyn Vfs>, &Path) -> Result<Box<dyn Store>, StoreError>;

/// What a node stands on.
#[derive(Clone)]
pub struct Environment {
    /// Its disk.
    pub vfs: Arc<dyn Vfs>,
    /// Its clocks.
    pub clock: Arc<dyn Clock>,
    /// Who flushes and merges.
    pub jobs: Arc<dyn Jobs>,
    /// How it keeps the catalog.
    pub open_store: OpenStore,
    /// The way to the other nodes.
    pub network: Arc<dyn Network>,
    /// The peer port, for a node that has others.
    pub peer_port: Option<Arc<dyn Listener>>,
    /// What is told of it.
    pub telemetry: telemetry::Handle,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("network", &self.network).finish_non_exhaustive()
    }
}

impl Environment {
    /// The machine itself, with the faults that its disk is to have.
    pub(crate) fn of_the_machine(
        config: &Config,
        peer_port: Option<Arc<dyn Listener>>,
        telemetry: telemetry::Handle,
    ) -> Result<Self, ServeError> {
        Ok(Self {
            vfs: Arc::new(PooledVfs::new(disk(config), data_files_open_max())),
            clock: Arc::new(SystemClock::new()),
            jobs: Arc::new(ThreadJobs::start(background_threads()).map_err(ServeError::Runtime)?),
            open_store: |_vfs, dir| Ok(Box::new(RocksStore::open(dir)?)),
            network: Arc::new(Tcp::default()),
            peer_port,
            telemetry,
        })
    }
}

/// The machine's file system, and the faults that it is to have.
fn disk(config: &Config) -> Arc<dyn Vfs> {
    if config.disk_faults.is_empty() {
        return Arc::new(RealVfs);
    }
    tracing::warn!(faults = config.disk_faults, "the disk has faults that were put in: this is a test");
    let faults = Faults::parse(&config.disk_faults).expect("the configuration has checked it");
    faults.put_into(Arc::new(RealVfs))
}

/// As many descriptors as the system gives, of which data files take at most half.
fn data_files_open_max() -> usize {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limits.maximum,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of open files");
            limits.current
        }
    };
    let open_max = usize::try_from(current.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    (open_max / 2).clamp(16, DATA_FILES_OPEN_MAX)
}

/// Threads for flushes and merges: as many as cores, at least two, at most eight.
fn background_threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8)
}
