//! What a replica holds at an entry of its partition's log, computed beside its work, so that replicas can be compared.
//!
//! What must always hold: what is told is of exactly the entry that it names; of several, the newest counts. Whoever has
//! applied an entry that was proposed since the replica opened tells something of it, or of a newer one, from then on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::Digest;
use parking_lot::Mutex;

use crate::machine::Sum;
use crate::raft::machine::with_causes;

/// What a replica held at an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The entry's index.
    pub index: u64,
    /// What it held there.
    pub outcome: Outcome,
}

/// What a replica can tell of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet.
    Computing,
    /// What it held.
    Held(Digest),
    /// Why that cannot be told.
    Failed(String),
}

/// The newest comparison that one replica takes part in.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Index of its entry, and 1; 0 when there is none.
    newest: AtomicU64,
    told: Mutex<Option<Compared>>,
    /// Index of the last entry of the log when the replica opened: whoever asked up to there waits no more.
    old: Option<u64>,
}

impl Comparison {
    /// None yet, of a replica whose log ended so when it opened.
    pub(crate) fn after(old: Option<u64>) -> Self {
        Self { old, ..Self::default() }
    }

    /// Computes what the replica holds now, which is at an entry.
    pub(crate) fn start(self: &Arc<Self>, index: u64, sum: impl FnOnce() -> Sum) {
        if Some(index) <= self.old {
            return;
        }
        let this = Arc::clone(self);
        let mark = index.saturating_add(1);
        let sum = {
            let mut told = self.told.lock();
            self.newest.store(mark, Ordering::Relaxed);
            *told = Some(Compared { index, outcome: Outcome::Computing });
            sum()
        };
        drop(host::offload(move || {
            let goes_on = || this.newest.load(Ordering::Relaxed) == mark;
            let outcome = match catch_unwind(AssertUnwindSafe(|| sum(&goes_on))) {
                Ok(Ok(None)) => return,
                Ok(Ok(Some(digest))) => Outcome::Held(digest),
                Ok(Err(error)) => Outcome::Failed(with_causes(&*error)),
                Err(_panic) => Outcome::Failed("computing it has panicked".to_owned()),
            };
            let mut told = this.told.lock();
            if goes_on() {
                *told = Some(Compared { index, outcome });
            }
        }));
    }

    /// What is told of the newest.
    pub(crate) fn told(&self) -> Option<Compared> {
        self.told.lock().clone()
    }

    /// Ends what is being computed.
    pub(crate) fn end(&self) {
        self.newest.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A sum that is told from outside what it comes to, and whoever tells it; before that it says whether it goes on.
    fn sum() -> (Sum, Sender<Result<u64, &'static str>>, Receiver<bool>) {
        let (tell, told) = channel::<Result<u64, &'static str>>();
        let (say, said) = channel();
        let sum: Sum = Box::new(move |goes_on| {
            let values = told.recv().expect("somebody tells it")?;
            say.send(goes_on()).ok();
            Ok(goes_on().then_some(Digest { sum: 0, values }))
        });
        (sum, tell, said)
    }

    async fn outcome(comparison: &Comparison) -> Compared {
        let told = timeout(PATIENCE, async {
            loop {
                match comparison.told().expect("one was begun") {
                    Compared { outcome: Outcome::Computing, .. } => tokio::task::yield_now().await,
                    told => return told,
                }
            }
        });
        told.await.unwrap()
    }

    fn held(index: u64, values: u64) -> Compared {
        Compared { index, outcome: Outcome::Held(Digest { sum: 0, values }) }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_newest_comparison_is_told() {
        let comparison = Arc::new(Comparison::after(Some(4)));
        assert_eq!(comparison.told(), None);
        comparison.start(4, || panic!("who asked before the replica opened waits no more"));
        assert_eq!(comparison.told(), None);

        let (first, tell_first, first_goes_on) = sum();
        comparison.start(5, || first);
        assert_eq!(comparison.told(), Some(Compared { index: 5, outcome: Outcome::Computing }));
        let (second, tell_second, second_goes_on) = sum();
        comparison.start(6, || second);
        tell_first.send(Ok(1)).unwrap();
        assert_eq!(first_goes_on.recv_timeout(PATIENCE), Ok(false), "nobody wants to know any more");
        tell_second.send(Ok(2)).unwrap();
        assert_eq!(second_goes_on.recv_timeout(PATIENCE), Ok(true));
        assert_eq!(outcome(&comparison).await, held(6, 2));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_told_says_why() {
        let comparison = Arc::new(Comparison::after(None));
        let (failing, tell, _goes_on) = sum();
        comparison.start(0, || failing);
        tell.send(Err("the disk is gone")).unwrap();
        let why = |told: Compared| match told.outcome {
            Outcome::Failed(why) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(why(outcome(&comparison).await), "the disk is gone");
        comparison.start(1, || Box::new(|_goes_on| panic!("a defect")));
        let told = outcome(&comparison).await;
        assert_eq!(told.index, 1);
        assert!(why(told).contains("panicked"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_computed_for_a_replica_that_closes_ends() {
        let comparison = Arc::new(Comparison::after(None));
        let (sum, tell, goes_on) = sum();
        comparison.start(3, || sum);
        comparison.end();
        tell.send(Ok(1)).unwrap();
        assert_eq!(goes_on.recv_timeout(PATIENCE), Ok(false));
    }
}
