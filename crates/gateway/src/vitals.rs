//! Whether the process has started, lives, and may be sent clients: three questions with three meanings, as container
//! platforms ask them, and what they are answered.
//!
//! - *started*: what was on disk is open. Other nodes may still be missing.
//! - *alive*: the process turns. It may lack a leader, a majority or space, be overloaded or behind: starting it again would
//!   make none of that better.
//! - *ready*: clients may be sent here.
//!
//! What must always hold: answering looks at what was noted before and at the clock, and waits for nothing, so that whoever
//! asks on a thread of its own ([`crate::ProbeListener`]) is answered however busy, or stuck, the server is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use model::Clock;
use parking_lot::Mutex;
use serde_json::json;

use crate::error;

/// A server whose event loop has not turned for so long is stuck.
pub const STUCK_AFTER: Duration = Duration::from_secs(30);
/// What was noted of a server longer ago is not believed any more.
const STALE_AFTER: Duration = Duration::from_secs(5);

/// How far a server has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It opens what is on its disk.
    Recovering(String),
    /// It has, and waits for other nodes.
    Waiting(String),
}

/// Whether a server is about to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// It is not.
    No,
    /// It still serves, and gives away what others should do.
    Going,
    /// It may be stopped.
    Gone,
}

impl Leaving {
    const fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Going => "draining",
            Self::Gone => "drained",
        }
    }
}

/// What a server was found to be.
#[derive(Debug, Clone)]
pub struct Found {
    /// `Ok` when nothing has stopped for good.
    pub sound: Result<(), String>,
    /// `Ok` when clients may be sent here; else why not.
    pub ready: Result<(), String>,
    /// `Ok` when everything works, space included; else what does not.
    pub healthy: Result<(), String>,
}

struct Said {
    /// `None` before the server serves.
    found: Option<Found>,
    leaving: Leaving,
}

/// The state of a server, for probes. All clones are the same.
#[derive(Clone)]
pub struct Vitals(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    stage: Box<dyn Fn() -> Stage + Send + Sync>,
    /// Nanoseconds of monotonic time at which the event loop turned last.
    turned: AtomicU64,
    said: Mutex<Said>,
}

impl fmt::Debug for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vitals").field("leaving", &self.leaving()).finish_non_exhaustive()
    }
}

impl Vitals {
    /// Those of a server that does not serve yet; `stage` says what it does meanwhile.
    pub fn new(clock: Arc<dyn Clock>, stage: impl Fn() -> Stage + Send + Sync + 'static) -> Self {
        let turned = AtomicU64::new(nanos(clock.monotonic()));
        let said = Mutex::new(Said { found: None, leaving: Leaving::No });
        Self(Arc::new(Shared { clock, stage: Box::new(stage), turned, said }))
    }

    /// Notes that the event loop has turned. To be called a few times a second from a task on it.
    pub fn turn(&self) {
        self.0.turned.store(nanos(self.0.clock.monotonic()), Ordering::Relaxed);
    }

    /// Notes what the server was found to be now; from the first time on it serves.
    pub fn note(&self, found: Found) {
        self.0.said.lock().found = Some(found);
    }

    /// Notes that the server is about to stop.
    pub fn leave(&self, leaving: Leaving) {
        self.0.said.lock().leaving = leaving;
    }

    /// Whether the server is about to stop.
    #[must_use]
    pub fn leaving(&self) -> Leaving {
        self.0.said.lock().leaving
    }

    /// How long ago the event loop turned last.
    #[must_use]
    pub fn age(&self) -> Duration {
        let turned = Duration::from_nanos(self.0.turned.load(Ordering::Relaxed));
        self.0.clock.monotonic().saturating_sub(turned)
    }

    /// `Ok` when what is on disk is open.
    ///
    /// # Errors
    /// What is being done.
    pub fn started(&self) -> Result<(), String> {
        if self.0.said.lock().found.is_some() {
            return Ok(());
        }
        match (self.0.stage)() {
            Stage::Recovering(what) => Err(what),
            Stage::Waiting(_for_others) => Ok(()),
        }
    }

    /// `Ok` unless the process is stuck or what it needs has stopped for good.
    ///
    /// # Errors
    /// Which of the two.
    pub fn alive(&self) -> Result<(), String> {
        let age = self.age();
        if age > STUCK_AFTER {
            return Err(format!("the event loop has not turned for {} s", age.as_secs()));
        }
        self.0.said.lock().found.as_ref().map_or(Ok(()), |found| found.sound.clone())
    }

    /// `Ok` when clients may be sent here.
    ///
    /// # Errors
    /// Why not.
    pub fn ready(&self) -> Result<(), String> {
        self.look(|found| &found.ready)
    }

    /// `Ok` when it was found that clients may be sent here, however long ago.
    pub(crate) fn fit(&self) -> Result<(), String> {
        let said = self.0.said.lock();
        if said.leaving != Leaving::No {
            return Err("draining: the server is about to stop".to_owned());
        }
        said.found.as_ref().map_or(Ok(()), |found| found.ready.clone())
    }

    /// `Ok` when everything works.
    ///
    /// # Errors
    /// What does not.
    pub fn healthy(&self) -> Result<(), String> {
        self.look(|found| &found.healthy)
    }

    fn look(&self, what: impl Fn(&Found) -> &Result<(), String>) -> Result<(), String> {
        let age = self.age();
        let said = self.0.said.lock();
        let Some(found) = &said.found else {
            drop(said);
            return Err(self.not_yet());
        };
        if said.leaving != Leaving::No {
            return Err("draining: the server is about to stop".to_owned());
        }
        if age > STALE_AFTER {
            return Err(format!("the event loop has not turned for {} s", age.as_secs()));
        }
        what(found).clone()
    }

    /// Why a server that does not serve yet does not.
    pub(crate) fn not_yet(&self) -> String {
        let (Stage::Recovering(why) | Stage::Waiting(why)) = (self.0.stage)();
        format!("starting: {why}")
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The routes of the first two questions, with one of another system that means the same.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(vitals: &Vitals) -> Router<S> {
    Router::new()
        .route("/startupz", get(started))
        .route("/livez", get(alive))
        .route("/-/healthy", get(alive))
        .with_state(vitals.clone())
}

/// The routes of all three questions.
pub(crate) fn all_routes<S: Clone + Send + Sync + 'static>(vitals: &Vitals) -> Router<S> {
    let ready = async |State(vitals): State<Vitals>| vitals.answer_ready();
    let third = Router::new().route("/readyz", get(ready)).route("/-/ready", get(ready));
    routes(vitals).merge(third.with_state(vitals.clone()))
}

async fn started(State(vitals): State<Vitals>) -> Response {
    vitals.answer(vitals.started(), "started", "starting")
}

async fn alive(State(vitals): State<Vitals>) -> Response {
    vitals.answer(vitals.alive(), "alive", "stuck")
}

impl Vitals {
    pub(crate) fn answer_ready(&self) -> Response {
        self.answer(self.ready(), "ready", "not ready")
    }

    fn answer(&self, state: Result<(), String>, well: &str, ill: &str) -> Response {
        let draining = self.leaving().word();
        match state {
            Ok(()) => error::json(StatusCode::OK, &json!({ "status": well, "draining": draining })),
            Err(message) => {
                let body = json!({ "status": ill, "message": message, "draining": draining });
                error::json(StatusCode::SERVICE_UNAVAILABLE, &body)
            }
        }
    }
}

#[cfg(test)]
mod tests;
