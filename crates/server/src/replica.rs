//! One replica of a partition: its directory, and its engine as the state machine of its group. A checkpoint of another
//! replica takes the place of both.
//!
//! ```text
//! partitions/<partition>/<replica>                 the first engine's directory
//!                        <replica>.<n>             the engine's directory after n checkpoints were installed
//!                        <replica>.incoming-<n>    a checkpoint on its way in: of no account after a crash
//!                        <replica>.checkpoint-<n>  a copy on its way out, likewise
//! ```
//! What must always hold: the rename of what has come in to the next number is the installation. From then on it is the
//! replica, and what was there before is removed, at the next start at the latest.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cluster::{Durable, Machine, MachineError, Sum};
use disk::Vfs;
use model::{LogPosition, PartitionId, PartitionOp, ReplicaId};
use parking_lot::{Mutex, RwLock};
use storage::Engine;

use crate::partitions::{Ground, Partitions};

/// The directories of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Home {
    /// Where the partition's replicas are.
    dir: PathBuf,
    replica: ReplicaId,
    /// Checkpoints that were installed.
    installed: u64,
}

/// What a directory in a partition's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// An engine, after so many checkpoints were installed.
    Engine(u64),
    /// A copy that was on its way.
    Passing,
}

/// Which replica a directory in a partition's is of, and what it holds; `None` for what is none of ours.
pub(crate) fn content_of(name: &str) -> Option<(ReplicaId, Content)> {
    let (id, rest) = name.split_once('.').map_or((name, None), |(id, rest)| (id, Some(rest)));
    let replica = ReplicaId(canonical(id)?);
    let content = match rest {
        None => Content::Engine(0),
        Some(rest) if rest.starts_with("incoming-") || rest.starts_with("checkpoint-") => Content::Passing,
        Some(rest) => Content::Engine(canonical(rest).filter(|installed| *installed > 0)?),
    };
    Some((replica, content))
}

fn canonical(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

impl Home {
    /// Where the replica's engine is, when there is one. Changes nothing.
    pub(crate) fn find(
        vfs: &dyn Vfs,
        partitions: &Path,
        partition: PartitionId,
        replica: ReplicaId,
    ) -> io::Result<Option<PathBuf>> {
        let dir = partitions.join(partition.to_string());
        if !vfs.exists(&dir)? {
            return Ok(None);
        }
        let installed = |path: &PathBuf| match content_of(&path.file_name()?.to_string_lossy())? {
            (of, Content::Engine(installed)) => (of == replica).then_some(installed),
            (_, Content::Passing) => None,
        };
        let newest = vfs.list(&dir)?.iter().filter_map(installed).max();
        Ok(newest.map(|installed| Self { dir, replica, installed }.engine_dir()))
    }

    /// Finds the replica's directory, and removes what a crash has left beside it.
    pub(crate) fn settle(
        vfs: &dyn Vfs,
        partitions: &Path,
        partition: PartitionId,
        replica: ReplicaId,
    ) -> io::Result<Self> {
        let dir = partitions.join(partition.to_string());
        let mut home = Self { dir, replica, installed: 0 };
        if !vfs.exists(&home.dir)? {
            return Ok(home);
        }
        let mut found = Vec::new();
        for path in vfs.list(&home.dir)? {
            let name = path.file_name().unwrap_or_default().to_owned();
            match content_of(&name.to_string_lossy()) {
                Some((of, Content::Engine(installed))) if of == replica => {
                    found.push((Some(installed), name));
                }
                Some((of, Content::Passing)) if of == replica => found.push((None, name)),
                _ => {}
            }
        }
        let newest = found.iter().filter_map(|(installed, _)| *installed).max();
        home.installed = newest.unwrap_or(0);
        for (_, name) in
            found.into_iter().filter(|(installed, _)| *installed != newest || installed.is_none())
        {
            tracing::info!(dir = %home.dir.join(&name).display(), "removing what a replaced replica has left");
            vfs.remove_dir_all(&home.dir.join(&name))?;
        }
        Ok(home)
    }

    /// Removes what replicas of a partition with ids below `below` have left.
    pub(crate) fn clear(
        vfs: &dyn Vfs,
        partitions: &Path,
        partition: PartitionId,
        below: ReplicaId,
    ) -> io::Result<()> {
        let dir = partitions.join(partition.to_string());
        if !vfs.exists(&dir)? {
            return Ok(());
        }
        for path in vfs.list(&dir)? {
            let name = path.file_name().unwrap_or_default().to_owned();
            if content_of(&name.to_string_lossy()).is_some_and(|(of, _)| of < below) {
                tracing::info!(dir = %dir.join(&name).display(), "removing a replica that has left this node");
                vfs.remove_dir_all(&dir.join(&name))?;
            }
        }
        vfs.sync_dir(&dir)
    }

    /// Where the engine is.
    pub(crate) fn engine_dir(&self) -> PathBuf {
        match self.installed {
            0 => self.dir.join(self.replica.to_string()),
            installed => self.dir.join(format!("{}.{installed}", self.replica)),
        }
    }

    fn passing(&self, kind: &str, number: u64) -> PathBuf {
        self.dir.join(format!("{}.{kind}-{number}", self.replica))
    }

    /// Makes a checkpoint that has come the replica's directory, durably.
    fn install(&self, vfs: &dyn Vfs, checkpoint: &Path) -> io::Result<Self> {
        let next = Self { installed: self.installed + 1, ..self.clone() };
        vfs.rename(checkpoint, &next.engine_dir())?;
        vfs.sync_dir(&next.dir)?;
        Ok(next)
    }
}

/// An engine as the state machine of its group.
pub(crate) struct EngineMachine {
    partitions: Arc<Partitions>,
    ground: Ground,
    partition: PartitionId,
    home: Mutex<Home>,
    engine: RwLock<Arc<Engine>>,
    copies: AtomicU64,
}

fn fatal(error: storage::FatalError) -> MachineError {
    MachineError(Box::new(error))
}

impl EngineMachine {
    pub(crate) fn new(
        partitions: Arc<Partitions>,
        ground: Ground,
        partition: PartitionId,
        home: Home,
        engine: Arc<Engine>,
    ) -> Self {
        let (home, engine, copies) = (Mutex::new(home), RwLock::new(engine), AtomicU64::new(0));
        Self { partitions, ground, partition, home, engine, copies }
    }

    fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine.read())
    }

    fn vfs(&self) -> &dyn Vfs {
        &*self.ground.vfs
    }

    fn copy(&self, kind: &str) -> PathBuf {
        self.home.lock().passing(kind, self.copies.fetch_add(1, Ordering::Relaxed))
    }
}

impl Machine for EngineMachine {
    fn durable(&self) -> io::Result<Durable> {
        let (position, membership) = self.engine().durable();
        Ok(Durable { position, membership })
    }

    fn apply(&self, position: LogPosition, op: PartitionOp) -> Result<(), MachineError> {
        let engine = self.engine.read();
        engine.apply(position, &op).map_err(fatal)?;
        // Clients are kept waiting before that; what comes from the log at a start is not.
        let commons = &self.ground.commons;
        if commons.is_full()
            && commons.is_worth_flushing(engine.memtable_bytes())
            && engine.stalled().is_none()
            && let Err(error) = tokio::task::block_in_place(|| engine.flush_now())
        {
            // The rows stay in memory: they are committed, and must be applied.
            tracing::debug!(%error, "a flush that was waited for did not succeed");
        }
        Ok(())
    }

    fn apply_blank(&self, position: LogPosition) -> Result<(), MachineError> {
        self.engine().apply_blank(position).map_err(fatal)
    }

    fn apply_membership(&self, position: LogPosition, membership: Vec<u8>) -> Result<(), MachineError> {
        self.engine().apply_membership(position, membership).map_err(fatal)
    }

    fn sum(&self) -> Sum {
        let everything = self.engine().everything();
        Box::new(move |goes_on| Ok(everything.digest(goes_on)?))
    }

    fn is_damaged(&self) -> bool {
        self.engine().lacks_data()
    }

    fn make_durable(&self) -> io::Result<()> {
        self.engine().flush_now().map_err(io::Error::other)
    }

    fn checkpoint(&self) -> io::Result<(PathBuf, Durable)> {
        let dir = self.copy("checkpoint");
        match self.engine().checkpoint(&dir) {
            Ok((position, membership)) => Ok((dir, Durable { position, membership })),
            Err(error) => {
                if let Err(error) = self.vfs().remove_dir_all(&dir) {
                    tracing::warn!(dir = %dir.display(), %error, "half a checkpoint stays behind");
                }
                Err(io::Error::other(error))
            }
        }
    }

    fn incoming(&self) -> io::Result<PathBuf> {
        Ok(self.copy("incoming"))
    }

    fn check(&self, checkpoint: &Path) -> io::Result<Option<LogPosition>> {
        storage::check_checkpoint(self.vfs(), checkpoint).map_err(io::Error::other)
    }

    fn install(&self, checkpoint: &Path) -> io::Result<()> {
        let mut home = self.home.lock();
        let next = home.install(self.vfs(), checkpoint)?;
        let engine = self.partitions.open(&self.ground, self.partition, next.engine_dir());
        let engine = engine.map_err(io::Error::other)?;
        let old = std::mem::replace(&mut *self.engine.write(), engine);
        let old_dir = std::mem::replace(&mut *home, next).engine_dir();
        tracing::info!(partition = %self.partition, dir = %home.engine_dir().display(), "a checkpoint was installed");
        // Queries that still read the old files keep them; then they go at the next start.
        match Arc::into_inner(old) {
            Some(old) => {
                old.close();
                self.vfs().remove_dir_all(&old_dir)
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
