//! Background work as an argument: a small pool of threads in production, steps in simulation.
//!
//! An engine has at most one flush, one compaction, one removal and one scrub under way or waiting, so the queue of a
//! pool is bounded by four times the number of engines that share it. Jobs catch their own panics.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

/// What kind of work a job is. Classes that stand first go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobClass {
    /// Memtables to files.
    Flush,
    /// Removal of dead files.
    Removal,
    /// Merges of files.
    Compaction,
    /// Reading what is at rest, to find damage.
    Scrub,
}

/// One piece of work.
pub type Job = Box<dyn FnOnce() + Send>;

/// Where engines send background work. Jobs of one engine may run at the same time.
pub trait Jobs: Send + Sync + fmt::Debug {
    /// Queues a job. After the pool has been closed the job is dropped: what it would have made durable is
    /// replayed from the log.
    fn submit(&self, class: JobClass, job: Job);
}

#[derive(Default)]
struct Queue {
    /// Flush and removal.
    urgent: VecDeque<Job>,
    /// Compaction.
    patient: VecDeque<Job>,
    /// Scrubs: when nothing else is to be done.
    idle: VecDeque<Job>,
    /// Compactions and scrubs that run now.
    compactions: usize,
    closed: bool,
}

struct Pool {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Compactions and scrubs that may run at once: one thread always remains for flushes when there is more than one.
    compactions_max: usize,
}

/// A fixed number of threads. Dropping it finishes the jobs that run and drops those that wait.
pub struct ThreadJobs {
    pool: Arc<Pool>,
    threads: Vec<JoinHandle<()>>,
}

impl fmt::Debug for ThreadJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadJobs").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

impl ThreadJobs {
    /// Starts `threads` (at least one) threads.
    pub fn start(threads: usize) -> io::Result<Self> {
        let threads = threads.max(1);
        let pool = Arc::new(Pool {
            queue: Mutex::new(Queue::default()),
            wake: Condvar::new(),
            compactions_max: (threads - 1).max(1),
        });
        let mut this = Self { pool, threads: Vec::with_capacity(threads) };
        for i in 0..threads {
            let pool = Arc::clone(&this.pool);
            let thread =
                std::thread::Builder::new().name(format!("storage-{i}")).spawn(move || work(&pool))?;
            this.threads.push(thread);
        }
        Ok(this)
    }
}

impl Drop for ThreadJobs {
    fn drop(&mut self) {
        {
            let mut queue = self.pool.queue.lock();
            queue.closed = true;
            queue.urgent.clear();
            queue.patient.clear();
            queue.idle.clear();
        }
        self.pool.wake.notify_all();
        let me = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // The last owner may be a job itself: a thread cannot wait for its own end.
            if thread.thread().id() != me && thread.join().is_err() {
                tracing::error!("a storage thread panicked outside a job");
            }
        }
    }
}

impl Jobs for ThreadJobs {
    fn submit(&self, class: JobClass, job: Job) {
        let mut queue = self.pool.queue.lock();
        if queue.closed {
            return;
        }
        match class {
            JobClass::Flush | JobClass::Removal => queue.urgent.push_back(job),
            JobClass::Compaction => queue.patient.push_back(job),
            JobClass::Scrub => queue.idle.push_back(job),
        }
        drop(queue);
        self.pool.wake.notify_one();
    }
}

fn work(pool: &Pool) {
    let mut queue = pool.queue.lock();
    loop {
        if let Some(job) = queue.urgent.pop_front() {
            drop(queue);
            job();
            queue = pool.queue.lock();
        } else if queue.compactions < pool.compactions_max
            && let Some(job) = queue.patient.pop_front().or_else(|| queue.idle.pop_front())
        {
            queue.compactions += 1;
            drop(queue);
            job();
            queue = pool.queue.lock();
            queue.compactions -= 1;
            pool.wake.notify_one();
        } else if queue.closed {
            return;
        } else {
            pool.wake.wait(&mut queue);
        }
    }
}

/// Jobs that run when a simulation says so, in the order of their classes and arrival.
#[derive(Default)]
pub struct StepJobs {
    queue: Mutex<Vec<(JobClass, Job)>>,
}

impl fmt::Debug for StepJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepJobs").field("waiting", &self.waiting()).finish()
    }
}

impl StepJobs {
    /// No jobs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of jobs that wait.
    pub fn waiting(&self) -> usize {
        self.queue.lock().len()
    }

    /// Runs one job; says whether there was one.
    pub fn run_one(&self) -> bool {
        let job = {
            let mut queue = self.queue.lock();
            let first = queue.iter().enumerate().min_by_key(|(i, (class, _))| (*class, *i)).map(|(i, _)| i);
            first.map(|i| queue.remove(i).1)
        };
        match job {
            Some(job) => {
                job();
                true
            }
            None => false,
        }
    }

    /// Runs jobs, also those that jobs submit, until none waits; returns their number.
    pub fn run_all(&self) -> usize {
        let mut count = 0;
        while self.run_one() {
            count += 1;
        }
        count
    }

    /// Forgets the jobs that wait, as a crash does.
    pub fn discard(&self) {
        self.queue.lock().clear();
    }
}

impl Jobs for StepJobs {
    fn submit(&self, class: JobClass, job: Job) {
        self.queue.lock().push((class, job));
    }
}
