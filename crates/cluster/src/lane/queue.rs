//! The queue of a lane: what all groups want written, in order. Its bytes are limited by permits that are taken
//! before anything enters and given back when it is durable.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::timeout;
use trace::Here;

use super::{GroupLog, LaneError, Record};

/// Called once, when the records are durable or never will be.
pub(crate) type Done = Box<dyn FnOnce(Result<(), LaneError>) + Send>;

/// What one group wants written at once.
pub(super) struct Work {
    pub(super) log: Arc<GroupLog>,
    pub(super) records: Vec<Record>,
    /// Ticket of the first appended entry; the others follow.
    pub(super) first_ticket: u64,
    pub(super) done: Option<Done>,
    /// The span of the append, where somebody wants to see it.
    pub(super) traced: Option<Here>,
    /// The share of the queue's bytes.
    pub(super) _queued: Option<OwnedSemaphorePermit>,
}

impl Work {
    pub(super) fn finish(self, result: Result<(), LaneError>) {
        if let Some(done) = self.done {
            done(result);
        }
    }
}

#[derive(Default)]
struct State {
    works: Vec<Work>,
    closed: Option<LaneError>,
}

/// The queue.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Bell,
}

/// Wakes the one thread that waits for the queue.
#[derive(Default)]
struct Bell {
    thread: Condvar,
    /// In lockstep a thread waits as a task does.
    task: Notify,
}

impl Bell {
    fn ring(&self) {
        if host::in_lockstep() {
            self.task.notify_one();
        } else {
            self.thread.notify_one();
        }
    }

    /// Waits for a ring, at most so long when that is given; whether it took longer. There may be none.
    fn wait(&self, state: &mut MutexGuard<'_, State>, at_most: Option<Duration>) -> bool {
        if host::in_lockstep() {
            let rung = self.task.notified();
            return MutexGuard::unlocked(state, || match at_most {
                None => {
                    host::wait(&Handle::current(), rung);
                    false
                }
                Some(time) => host::wait(&Handle::current(), async { timeout(time, rung).await.is_err() }),
            });
        }
        match at_most {
            None => {
                self.thread.wait(state);
                false
            }
            Some(time) => self.thread.wait_for(state, time).timed_out(),
        }
    }
}

/// What the flusher finds in the queue.
pub(super) enum Taken {
    /// Work.
    Works(Vec<Work>),
    /// Nothing for the whole of the wait.
    Idle,
    /// Nothing, and nothing will come.
    Closed,
}

impl Queue {
    /// Adds work, or calls its `done` with the reason why the queue takes none.
    pub(super) fn push(&self, work: Work) -> Result<(), LaneError> {
        let closed = {
            let mut state = self.state.lock();
            match state.closed.clone() {
                None => {
                    state.works.push(work);
                    None
                }
                Some(error) => Some((work, error)),
            }
        };
        match closed {
            None => {
                self.changed.ring();
                Ok(())
            }
            Some((work, error)) => {
                work.finish(Err(error.clone()));
                Err(error)
            }
        }
    }

    /// Takes all there is, waiting at most `idle_after` for the first when it is given.
    pub(super) fn take(&self, idle_after: Option<Duration>) -> Taken {
        let mut state = self.state.lock();
        loop {
            if !state.works.is_empty() {
                return Taken::Works(std::mem::take(&mut state.works));
            }
            if state.closed.is_some() {
                return Taken::Closed;
            }
            if self.changed.wait(&mut state, idle_after) && state.works.is_empty() {
                return Taken::Idle;
            }
        }
    }

    /// Refuses everything from now on; what is queued stays for the flusher.
    pub(super) fn close(&self, error: LaneError) {
        self.state.lock().closed.get_or_insert(error);
        self.changed.ring();
    }

    /// Waits, but not after the queue was closed.
    pub(super) fn pause(&self, time: Duration) -> Option<LaneError> {
        let mut state = self.state.lock();
        if state.closed.is_none() {
            // Woken early by new work: the caller only tries again a little sooner.
            self.changed.wait(&mut state, Some(time));
        }
        state.closed.clone()
    }
}
