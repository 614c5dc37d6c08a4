//! `tidemark recover`: what is left of a cluster that has lost most voters of some groups becomes a cluster again. See
//! `cluster::recover` for what is done; here are the files, and the lock of the data directory.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use catalog::{Catalog, RocksStore, StoreError};
use cluster::{
    Applied, ApplyError, Durable, Durables, Plan, PlanError, Prospect, ReportError, Sealed, SealedError,
    SurvivorReport,
};
use disk::atomic::{self, AtomicError};
use disk::{Faults, RealVfs, Vfs};
use model::{Clock, PartitionId, ReplicaId, SystemClock};

use crate::lock::DirectoryLock;
use crate::replica::Home;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Why a cluster is not recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// A node runs.
    #[error("a node runs on {}: stop it first", .0.display())]
    InUse(PathBuf),
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The catalog does not open.
    #[error("the catalog does not open")]
    Catalog(#[source] StoreError),
    /// There is no report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A plan was not carried out.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A report or a plan cannot be read or written.
    #[error(transparent)]
    File(#[from] AtomicError),
    /// What stands where a report or a plan is to be written is no file, and would be gone.
    #[error("{} is there and is no regular file", .0.display())]
    NoFile(PathBuf),
    /// A file is not what it should be.
    #[error("{}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SealedError,
    },
    /// The faults that a test wants make no sense.
    #[error(transparent)]
    Faults(#[from] disk::FaultsError),
}

/// A stopped node's files.
struct Files<'a> {
    vfs: Arc<dyn Vfs>,
    data_dir: &'a Path,
    _lock: DirectoryLock,
}

impl<'a> Files<'a> {
    fn open(data_dir: &'a Path, disk_faults: &str) -> Result<Self, RecoverError> {
        let unusable = |source| RecoverError::DataDir { path: data_dir.to_owned(), source };
        let lock = DirectoryLock::take_existing(data_dir).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => RecoverError::InUse(data_dir.to_owned()),
            _ => unusable(source),
        })?;
        let none = || io::Error::new(io::ErrorKind::NotFound, "no node has ever run on it");
        let lock = lock.ok_or_else(|| unusable(none()))?;
        let real: Arc<dyn Vfs> = Arc::new(RealVfs);
        let vfs = if disk_faults.is_empty() { real } else { Faults::parse(disk_faults)?.put_into(real) };
        Ok(Self { vfs, data_dir, _lock: lock })
    }

    /// The catalog, where there is one: it is removed where it comes from another node.
    fn catalog(&self) -> Result<Option<Catalog>, StoreError> {
        let dir = self.data_dir.join("catalog");
        let there = self.vfs.exists(&dir);
        if !there.map_err(|error| StoreError::Backend { doing: "look for", source: error.into() })? {
            return Ok(None);
        }
        Catalog::open(Box::new(RocksStore::open_to_read(&dir)?)).map(Some)
    }
}

impl Durables for Files<'_> {
    fn durable(
        &self,
        partition: PartitionId,
        replica: ReplicaId,
    ) -> Result<Option<Durable>, Box<dyn Error + Send + Sync>> {
        let dir = Home::find(&*self.vfs, &self.data_dir.join("partitions"), partition, replica)?;
        let Some(dir) = dir else { return Ok(None) };
        let durable = storage::durable_in(&*self.vfs, &dir)?;
        Ok(durable.map(|(position, membership)| Durable { position: Some(position), membership }))
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

/// Writes what a stopped node has to a file.
///
/// # Errors
/// See [`RecoverError`].
pub fn report(data_dir: &Path, to: &Path) -> Result<SurvivorReport, RecoverError> {
    let files = Files::open(data_dir, "")?;
    let catalog = files.catalog().map_err(RecoverError::Catalog)?;
    let report = cluster::report(&files.vfs, data_dir, clock(), catalog.as_ref(), &files)?;
    write(&report, to)?;
    Ok(report)
}

/// Reads the reports of all nodes that are left, and says what is lost and what can be done.
///
/// # Errors
/// See [`RecoverError`].
pub fn plan(reports: &[PathBuf], may_make_empty: bool) -> Result<Prospect, RecoverError> {
    let reports = reports.iter().map(|path| read(path)).collect::<Result<Vec<SurvivorReport>, _>>()?;
    Ok(cluster::plan(&reports, may_make_empty)?)
}

/// Writes a plan to a file.
///
/// # Errors
/// See [`RecoverError`].
pub fn write_plan(plan: &Plan, to: &Path) -> Result<(), RecoverError> {
    write(plan, to)
}

/// Reads a plan from a file.
///
/// # Errors
/// See [`RecoverError`].
pub fn read_plan(path: &Path) -> Result<Plan, RecoverError> {
    read(path)
}

/// Carries a plan out on a stopped node; `typed` is the cluster's id as somebody has typed it.
///
/// # Errors
/// See [`RecoverError`]. After one that does not say that nothing was changed, the same plan is to be applied again.
pub fn apply(data_dir: &Path, plan: &Plan, typed: &str, disk_faults: &str) -> Result<Applied, RecoverError> {
    let files = Files::open(data_dir, disk_faults)?;
    Ok(cluster::apply(&files.vfs, data_dir, clock(), plan, typed, &|| files.catalog(), &files)?)
}

fn write(what: &impl Sealed, to: &Path) -> Result<(), RecoverError> {
    let bytes = what.to_file().map_err(|source| RecoverError::Content { path: to.to_owned(), source })?;
    // It takes the place of what is there: a device or a link must not go.
    if std::fs::symlink_metadata(to).is_ok_and(|there| !there.is_file()) {
        return Err(RecoverError::NoFile(to.to_owned()));
    }
    Ok(atomic::replace(&RealVfs, to, &bytes)?)
}

fn read<T: Sealed>(path: &Path) -> Result<T, RecoverError> {
    let bytes = atomic::read(&RealVfs, path, FILE_BYTES_MAX)?;
    T::from_file(&bytes).map_err(|source| RecoverError::Content { path: path.to_owned(), source })
}
