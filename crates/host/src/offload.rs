//! Work that blocks, away from the tasks that must not: on the runtime's threads, or, in a simulation, on threads of
//! which only one runs at a time.
//!
//! In lockstep a piece of work has a thread too, because it may wait for tasks as it may anywhere else. The task that
//! gave the work and the thread hand each other a baton: whoever has it runs, the other stands still. When the work
//! waits for a future that is not ready, the task gets the baton back and sleeps until the future's waker wakes it.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Whether the process is a simulation.
static LOCKSTEP: AtomicBool = AtomicBool::new(false);

/// Makes this process one that simulates: from now on work is done in lockstep. To be called before anything else, in a
/// process that serves nobody.
pub fn run_in_lockstep() {
    LOCKSTEP.store(true, Ordering::Relaxed);
}

/// Whether only one thread may run at a time: whoever has threads of its own must not.
#[must_use]
pub fn in_lockstep() -> bool {
    LOCKSTEP.load(Ordering::Relaxed)
}

/// Does work that blocks. It is done whether somebody waits for the result or not; in lockstep it ends with the runtime,
/// as by the end of the process.
///
/// # Panics
/// Outside a runtime.
#[expect(clippy::disallowed_methods, reason = "the caller owns the handle, as with spawn_blocking")]
pub fn offload<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if !in_lockstep() {
        return tokio::task::spawn_blocking(work);
    }
    tokio::spawn(async {
        // As with threads: some other task may run first.
        tokio::task::yield_now().await;
        Lockstep::start(Handle::current(), work).await
    })
}

/// Waits for a future in work that [`offload`] does, or that it has given to other threads.
pub fn wait<T>(runtime: &Handle, future: impl Future<Output = T>) -> T {
    if !in_lockstep() {
        return runtime.block_on(future);
    }
    BATON.with_borrow(|baton| {
        let baton = baton.as_ref().expect("in lockstep only offloaded work waits");
        baton.wait(future)
    })
}

thread_local! {
    /// The baton of the work that runs on this thread.
    static BATON: RefCell<Option<Arc<Baton>>> = const { RefCell::new(None) };
}

/// Who may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The work's thread, until it waits for its first turn.
    Start,
    Task,
    Work,
    /// The work is done.
    Done,
    /// Nobody waits for the work any more.
    GivenUp,
}

/// Made of the standard library's locks, which allocate nothing: what is allocated while both run would lie elsewhere in
/// another run.
#[derive(Debug)]
struct Baton {
    state: Mutex<(Turn, Waker)>,
    passed: Condvar,
}

impl Baton {
    fn state(&self) -> MutexGuard<'_, (Turn, Waker)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, to: Turn) {
        self.state().0 = to;
        self.passed.notify_all();
    }

    /// Waits as long as it is the turn of one of these.
    fn wait_while<'a>(
        &self,
        state: MutexGuard<'a, (Turn, Waker)>,
        turns: &[Turn],
    ) -> MutexGuard<'a, (Turn, Waker)> {
        let waited = self.passed.wait_while(state, |(turn, _)| turns.contains(turn));
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is the work's turn, in the thread of the work.
    fn wait_for_turn(&self) -> Waker {
        let state = self.wait_while(self.state(), &[Turn::Task, Turn::Done]);
        if state.0 == Turn::GivenUp {
            drop(state);
            // Ends the thread as the end of the process would, but for what drops do.
            resume_unwind(Box::new(GivenUp));
        }
        state.1.clone()
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut waker = self.state().1.clone();
        loop {
            if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return done;
            }
            self.pass(Turn::Task);
            waker = self.wait_for_turn();
        }
    }
}

/// What the unwinding of a thread carries whose work is given up.
struct GivenUp;

/// Work in lockstep, as a future.
struct Lockstep<T> {
    baton: Arc<Baton>,
    thread: Option<std::thread::JoinHandle<T>>,
}

impl<T: Send + 'static> Lockstep<T> {
    fn start(runtime: Handle, work: impl FnOnce() -> T + Send + 'static) -> Self {
        let baton = Arc::new(Baton {
            state: Mutex::new((Turn::Start, Waker::noop().clone())),
            passed: Condvar::new(),
        });
        let of_work = Arc::clone(&baton);
        let thread = std::thread::spawn(move || {
            let entered = runtime.enter();
            BATON.set(Some(Arc::clone(&of_work)));
            let result = catch_unwind(AssertUnwindSafe(|| {
                of_work.pass(Turn::Task);
                of_work.wait_for_turn();
                work()
            }));
            drop(entered);
            of_work.pass(Turn::Done);
            result.unwrap_or_else(|panic| resume_unwind(panic))
        });
        drop(baton.wait_while(baton.state(), &[Turn::Start]));
        Self { baton, thread: Some(thread) }
    }
}

impl<T> Future for Lockstep<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.baton.state();
        *state = (Turn::Work, context.waker().clone());
        self.baton.passed.notify_all();
        let state = self.baton.wait_while(state, &[Turn::Work]);
        let is_done = state.0 == Turn::Done;
        drop(state);
        if !is_done {
            return Poll::Pending;
        }
        let thread = self.thread.take().expect("polled after the end");
        Poll::Ready(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl<T> Drop for Lockstep<T> {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.baton.pass(Turn::GivenUp);
        // It ends with a panic, that it was given up.
        drop(thread.join());
    }
}

#[cfg(test)]
mod tests;
