//! Background work as an argument: a small pool of threads in production, steps in simulation.
//!
//! Flushes and removals have threads of their own, so that they wait for no merge; merges and scrubs have others, which
//! the system's scheduler gives what nobody else wants: they should take the time of queries and writes only as long as
//! there is any to spare.
//!
//! An engine has at most one flush, one compaction, one removal and one scrub under way or waiting, so the queue of a
//! pool is bounded by four times the number of engines that share it. Jobs catch their own panics.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

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

    /// Lets a job that is not urgent rest so long, or until the pool is closed. A simulation goes on at once.
    fn rest(&self, duration: Duration);
}

/// How much less than others the threads of merges and scrubs are worth to the scheduler (nice(2)).
const PATIENT_NICE: i32 = 10;

#[derive(Default)]
struct Queue {
    /// Flush and removal.
    urgent: VecDeque<Job>,
    /// Compaction.
    patient: VecDeque<Job>,
    /// Scrubs: when no merge waits.
    idle: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    fn next(&mut self, is_patient: bool) -> Option<Job> {
        if is_patient {
            self.patient.pop_front().or_else(|| self.idle.pop_front())
        } else {
            self.urgent.pop_front()
        }
    }
}

#[derive(Default)]
struct Pool {
    queue: Mutex<Queue>,
    wake_urgent: Condvar,
    wake_patient: Condvar,
    closing: Condvar,
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
    /// Starts threads for the cores (at least one) that there are: as many for what is urgent, and one less, but at
    /// least one, for merges and scrubs.
    pub fn start(cores: usize) -> io::Result<Self> {
        let mut this = Self { pool: Arc::default(), threads: Vec::new() };
        for i in 0..cores.max(1) {
            this.spawn(format!("storage-{i}"), false)?;
        }
        for i in 0..cores.saturating_sub(1).max(1) {
            this.spawn(format!("storage-merge-{i}"), true)?;
        }
        Ok(this)
    }

    fn spawn(&mut self, name: String, is_patient: bool) -> io::Result<()> {
        let pool = Arc::clone(&self.pool);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            // Of the calling thread alone. Where it is refused, merges are as urgent as all else.
            if is_patient && let Err(error) = rustix::process::setpriority_process(None, PATIENT_NICE) {
                tracing::warn!(%error, "cannot lower the priority of merges");
            }
            work(&pool, is_patient);
        })?;
        self.threads.push(thread);
        Ok(())
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
        for condition in [&self.pool.wake_urgent, &self.pool.wake_patient, &self.pool.closing] {
            condition.notify_all();
        }
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
        let wake = match class {
            JobClass::Flush | JobClass::Removal => {
                queue.urgent.push_back(job);
                &self.pool.wake_urgent
            }
            JobClass::Compaction => {
                queue.patient.push_back(job);
                &self.pool.wake_patient
            }
            JobClass::Scrub => {
                queue.idle.push_back(job);
                &self.pool.wake_patient
            }
        };
        drop(queue);
        wake.notify_one();
    }

    fn rest(&self, duration: Duration) {
        let mut queue = self.pool.queue.lock();
        self.pool.closing.wait_while_for(&mut queue, |queue| !queue.closed, duration);
    }
}

fn work(pool: &Pool, is_patient: bool) {
    let mut queue = pool.queue.lock();
    loop {
        if let Some(job) = queue.next(is_patient) {
            drop(queue);
            job();
            queue = pool.queue.lock();
        } else if queue.closed {
            return;
        } else {
            let wake = if is_patient { &pool.wake_patient } else { &pool.wake_urgent };
            wake.wait(&mut queue);
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

    fn rest(&self, _duration: Duration) {}
}
