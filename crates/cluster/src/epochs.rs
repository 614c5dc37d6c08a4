//! How old this node's data directory is, as a number that is counted up every few seconds: its epoch. One that is put
//! back as it was at an earlier time (from a snapshot of its volume, or a copy) has forgotten votes and entries that it
//! has acknowledged, and with it a majority might; elections know nothing of that.
//!
//! ```text
//! file "epochs" ◄── own, counted up while a majority of the nodes answers ──► told with every beacon
//!               ◄── the highest that each other node has told                 and compared by who hears it
//! ```
//! A node that others have known with a higher epoch has an older copy: they refuse it, and it ends.
//!
//! A process tells its epochs in order, but they are heard over several connections: those of one process, which a random
//! number tells from another, say nothing by their order.
//!
//! A copy that is younger than the time between two counts tells what the node told last. The leaders that go on know it by
//! entries that it has acknowledged to them and does not have.
//!
//! What must always hold: no epoch is told that is not on the disk; and a node that has told one votes for no node
//! of its catalog with which it has not compared it since it started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use disk::Vfs;
use disk::atomic::{self, AtomicError};
use hashbrown::HashSet;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

use crate::courier::Courier;
use crate::identity::{IdentityError, random_id};
use crate::raft::machine::with_causes;
use crate::recover::{Sealed, SealedError, hex128};

/// The file's name in the data directory.
const FILE: &str = "epochs";
/// More nodes than a cluster can have: whoever says to be yet another one is not remembered.
const NODES_MAX: usize = 10_000;
/// Less than a hundred bytes for each of them.
const BYTES_MAX: u64 = 4 << 20;

/// Why the epochs are not known.
#[derive(Debug, thiserror::Error)]
pub enum EpochsError {
    /// The disk.
    #[error("the epochs of the nodes cannot be read or written")]
    File(#[from] AtomicError),
    /// The system has no random numbers.
    #[error(transparent)]
    Random(#[from] IdentityError),
    /// It is not what we wrote.
    #[error("{} is not what was written", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SealedError,
    },
}

/// More than a node counts.
const BEYOND_COUNTS: u64 = 1 << 32;

/// The node is known with a higher epoch than it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IsOlder;

/// What a node tells of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    /// 0 for nothing.
    pub(crate) epoch: u64,
    /// Of the process.
    pub(crate) process: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// Whose nodes they are; those of another cluster, from before a recovery, say nothing.
    #[serde(with = "hex128")]
    cluster: u128,
    epoch: u64,
    others: Vec<Other>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Other {
    #[serde(with = "hex128")]
    node: u128,
    epoch: u64,
}

impl Sealed for Stored {
    const KIND: &'static str = "tidemark epochs";
}

/// The epochs of this node and of those that it has heard of.
#[derive(Debug, Default)]
pub(crate) struct Epochs(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// 0 before the first count: such a node has promised nothing.
    own: u64,
    process: u64,
    /// The process is not known of those that were heard by an earlier process here.
    others: BTreeMap<u128, (u64, Option<u64>)>,
    /// Who has compared this node's epoch with what it knew, since the start.
    compared: HashSet<u128>,
}

/// Whether the epochs of a data directory are what was written, where there are any.
///
/// # Errors
/// See [`EpochsError`].
pub fn verify_epochs(vfs: &dyn Vfs, data_dir: &Path) -> Result<(), EpochsError> {
    stored(vfs, data_dir).map(drop)
}

fn stored(vfs: &dyn Vfs, data_dir: &Path) -> Result<Option<Stored>, EpochsError> {
    let path = data_dir.join(FILE);
    let bytes = match atomic::read(vfs, &path, BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Stored::from_file(&bytes).map(Some).map_err(|source| EpochsError::Content { path, source })
}

impl Epochs {
    /// The epochs in a data directory of a node of this cluster.
    pub(crate) fn read(vfs: &dyn Vfs, data_dir: &Path, cluster: Option<u128>) -> Result<Self, EpochsError> {
        let process = random_id()?;
        let process = u64::try_from(process >> 64).unwrap_or_default();
        let mut state = State { process, ..State::default() };
        if let Some(stored) = stored(vfs, data_dir)?.filter(|stored| Some(stored.cluster) == cluster) {
            state.own = stored.epoch;
            state.others = stored.others.into_iter().map(|other| (other.node, (other.epoch, None))).collect();
        }
        Ok(Self(Mutex::new(state)))
    }

    /// This node's epoch; 0 before the first count.
    pub(crate) fn own(&self) -> u64 {
        self.0.lock().own
    }

    /// What this node tells of itself.
    pub(crate) fn told(&self) -> Told {
        let state = self.0.lock();
        Told { epoch: state.own, process: state.process }
    }

    /// Notes what a node tells.
    pub(crate) fn hear(&self, node: u128, Told { epoch, process }: Told) -> Result<(), IsOlder> {
        if epoch == 0 {
            return Ok(());
        }
        let mut state = self.0.lock();
        if state.others.len() >= NODES_MAX && !state.others.contains_key(&node) {
            return Ok(());
        }
        let known = state.others.entry(node).or_insert((epoch, Some(process)));
        if epoch >= known.0 {
            *known = (epoch, Some(process));
            return Ok(());
        }
        if known.1 == Some(process) { Ok(()) } else { Err(IsOlder) }
    }

    /// Notes that a node has lost what it had acknowledged: whatever it tells from now on is too low.
    pub(crate) fn has_forgotten(&self, node: u128) {
        let mut state = self.0.lock();
        if let Some(known) = state.others.get_mut(&node)
            && known.1.take().is_some()
        {
            known.0 = known.0.saturating_add(BEYOND_COUNTS);
        }
    }

    /// Notes that a node has compared what this one told, and not refused it.
    pub(crate) fn note_compared(&self, node: u128) {
        self.0.lock().compared.insert(node);
    }

    /// Whether a node knows of nothing newer than what is here.
    pub(crate) fn is_compared(&self, node: u128) -> bool {
        let state = self.0.lock();
        state.own == 0 || state.compared.contains(&node)
    }

    /// Counts for the first time, durably, unless that was done. To be done before the node votes or acknowledges anything,
    /// so that no copy of what it has then is without an epoch.
    pub(crate) fn begin(&self, vfs: &dyn Vfs, data_dir: &Path, cluster: u128) -> Result<(), EpochsError> {
        if self.own() > 0 {
            return Ok(());
        }
        let nodes = self.0.lock().others.keys().copied().collect();
        self.count(vfs, data_dir, cluster, &nodes)
    }

    /// Counts this node's epoch up, durably. Forgets whoever is not among these nodes.
    fn count(
        &self,
        vfs: &dyn Vfs,
        data_dir: &Path,
        cluster: u128,
        nodes: &HashSet<u128>,
    ) -> Result<(), EpochsError> {
        let stored = {
            let mut state = self.0.lock();
            state.others.retain(|node, _| nodes.contains(node));
            let others = state.others.iter().map(|(node, (epoch, _))| Other { node: *node, epoch: *epoch });
            Stored { cluster, epoch: state.own + 1, others: others.collect() }
        };
        let path = data_dir.join(FILE);
        let bytes = stored.to_file().map_err(|source| EpochsError::Content { path: path.clone(), source })?;
        atomic::replace(vfs, &path, &bytes)?;
        self.0.lock().own = stored.epoch;
        Ok(())
    }
}

/// Counts for ever, while a majority of the nodes has compared and answers: an older copy that is alone with others that
/// know nothing would catch up with what it was.
pub(crate) async fn keep(courier: Arc<Courier>, vfs: Arc<dyn Vfs>, data_dir: PathBuf) {
    let mut pace = interval(Duration::from_millis(courier.limits.epoch_ms));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let myself = &courier.myself;
        let Some(cluster) = myself.cluster() else { continue };
        let nodes: HashSet<u128> = courier.other_nodes().into_keys().collect();
        let heard = nodes.iter().filter(|node| courier.reach.answers(**node)).count();
        if nodes.is_empty() || 2 * (heard + 1) <= nodes.len() + 1 {
            continue;
        }
        let (myself, vfs, data_dir) = (Arc::clone(myself), Arc::clone(&vfs), data_dir.clone());
        let counted =
            host::offload(move || myself.epochs.count(vfs.as_ref(), &data_dir, cluster, &nodes)).await;
        match counted {
            Ok(Ok(())) => {}
            // It may be on the disk and is not told: later it is counted up from there, or from here.
            Ok(Err(error)) => tracing::warn!(error = with_causes(&error), "the epoch was not counted up"),
            Err(error) => tracing::warn!(%error, "the epoch was not counted up"),
        }
    }
}

#[cfg(test)]
mod tests {
    use disk::RealVfs;

    use super::*;

    const CLUSTER: u128 = 7;

    #[test]
    fn what_was_told_is_on_the_disk_and_an_older_copy_is_known_by_it() {
        let dir = tempfile::tempdir().unwrap();
        let read = || Epochs::read(&RealVfs, dir.path(), Some(CLUSTER)).unwrap();
        let epochs = read();
        assert!(epochs.own() == 0 && epochs.is_compared(2), "it has promised nothing");
        let told = |epoch| Told { epoch, process: 1 };
        assert_eq!([epochs.hear(2, told(5)), epochs.hear(3, told(9))], [Ok(()); 2]);
        assert_eq!(epochs.hear(2, told(4)), Ok(()), "it was told before, over another connection");
        assert_eq!(epochs.hear(2, Told { epoch: 4, process: 2 }), Err(IsOlder));
        let count = |epochs: &Epochs| {
            epochs.count(&RealVfs, dir.path(), CLUSTER, &HashSet::from([2])).unwrap();
        };
        for _ in 0..2 {
            epochs.begin(&RealVfs, dir.path(), CLUSTER).unwrap();
        }
        assert!(epochs.own() == 1 && read().own() == 1 && !epochs.is_compared(2));
        count(&epochs);
        epochs.note_compared(2);
        assert!(epochs.is_compared(2));

        let again = read();
        assert!(again.own() == 2 && !again.is_compared(2), "compared with each process");
        assert_ne!(again.told().process, epochs.told().process);
        assert_eq!([4, 5, 6].map(|epoch| again.hear(2, told(epoch))), [Err(IsOlder), Ok(()), Ok(())]);
        assert_eq!(again.hear(2, told(0)), Ok(()), "a version that tells nothing");
        for _ in 0..2 {
            again.has_forgotten(2);
            assert_eq!([6, 7].map(|epoch| again.hear(2, told(epoch))), [Err(IsOlder); 2]);
        }
        assert_eq!(again.hear(3, told(1)), Ok(()), "forgotten, since it was no node any more");
        count(&again);
        assert_eq!(read().own(), 3);

        // After a recovery it is another cluster.
        assert_eq!(Epochs::read(&RealVfs, dir.path(), Some(8)).unwrap().own(), 0);
        let damaged = std::fs::read_to_string(dir.path().join(FILE)).unwrap().replace("3,", "4,");
        atomic::replace(&RealVfs, &dir.path().join(FILE), damaged.as_bytes()).unwrap();
        let refused = Epochs::read(&RealVfs, dir.path(), Some(CLUSTER));
        assert!(matches!(refused, Err(EpochsError::Content { .. })), "{refused:?}");
    }
}
