//! The memory of one query, as its operators ask for it: bounded by the query's own limit and by what all queries
//! together may hold. Nothing is spilled to disk: a query that needs more fails, and says which limit it met.

use std::fmt;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};
use memory::{Account, Allowance};
use parking_lot::Mutex;

use crate::error::Error;

/// See the module.
pub(super) struct Pool {
    limit: usize,
    state: Mutex<State>,
}

struct State {
    held: Allowance,
    refused: Option<Error>,
}

impl Pool {
    pub(super) fn new(limit: usize, queries: &Arc<Account>) -> Self {
        Self { limit, state: Mutex::new(State { held: Allowance::new(queries), refused: None }) }
    }

    /// Why memory was refused last.
    pub(super) fn refusal(&self) -> Option<Error> {
        self.state.lock().refused.take()
    }

    fn more(&self, additional: usize) -> Result<(), Error> {
        let mut state = self.state.lock();
        let held = state.held.held().saturating_add(additional);
        if held > self.limit {
            return Err(Error::limit("query-memory-bytes", self.limit.to_string()));
        }
        Ok(state.held.hold(held)?)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query(limit: {})", self.limit)
    }
}

impl MemoryPool for Pool {
    fn name(&self) -> &'static str {
        "query"
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        // What cannot be refused is held if there is room, and else not counted; the next request that can be refused is.
        if let Err(error) = self.more(additional) {
            tracing::debug!(%error, consumer = reservation.consumer().name(), "memory beyond a query's limit");
        }
    }

    fn shrink(&self, _reservation: &MemoryReservation, shrink: usize) {
        let mut state = self.state.lock();
        let less = state.held.held().saturating_sub(shrink);
        state.held.hold(less).expect("less than before is always there");
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.more(additional).map_err(|error| {
            let text = format!("{}: {error}", reservation.consumer().name());
            self.state.lock().refused = Some(error);
            DataFusionError::ResourcesExhausted(text)
        })
    }

    fn reserved(&self) -> usize {
        self.state.lock().held.held()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}
