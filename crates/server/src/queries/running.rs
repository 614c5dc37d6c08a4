//! The queries that run in this process: whoever may can list them, and end one, through any node.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster::{Queries, RunningQuery, query_id};
use gateway::ports::CancelToken;
use model::{Clock, NodeId, OrgId};
use parking_lot::Mutex;

/// See the module.
pub(crate) struct Running {
    /// Where they run; a gateway has no id.
    node: Option<NodeId>,
    clock: Arc<dyn Clock>,
    last: AtomicU64,
    took_ns: AtomicU64,
    queries: Mutex<BTreeMap<u64, Entry>>,
}

/// What was counted of the queries of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) active: u64,
    pub(crate) begun: u64,
    /// Of those that have ended, altogether.
    pub(crate) took: Duration,
}

struct Entry {
    org: OrgId,
    text: Arc<str>,
    database: String,
    /// Monotonic time.
    began: Duration,
    cancel: CancelToken,
    is_killed: bool,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("queries", &self.queries.lock().len()).finish_non_exhaustive()
    }
}

/// A query that runs, and is listed until this is dropped.
pub(crate) struct Listed<'a> {
    running: &'a Running,
    id: u64,
}

impl Running {
    /// None yet.
    pub(crate) fn new(node: Option<NodeId>, clock: Arc<dyn Clock>) -> Self {
        Self { node, clock, last: AtomicU64::new(0), took_ns: AtomicU64::new(0), queries: Mutex::default() }
    }

    /// What was counted so far.
    pub(crate) fn counted(&self) -> Counted {
        let active = self.queries.lock().len() as u64;
        Counted {
            active,
            begun: self.last.load(Ordering::Relaxed),
            took: Duration::from_nanos(self.took_ns.load(Ordering::Relaxed)),
        }
    }

    /// Lists a query that begins now.
    pub(crate) fn begin(
        &self,
        (org, text, database): (OrgId, &str, Option<&str>),
        cancel: CancelToken,
    ) -> Listed<'_> {
        let id = query_id(self.node, self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let (text, database) = (text.into(), database.unwrap_or_default().to_owned());
        let began = self.clock.monotonic();
        self.queries.lock().insert(id, Entry { org, text, database, began, cancel, is_killed: false });
        Listed { running: self, id }
    }
}

impl Queries for Running {
    fn running(&self, org: Option<OrgId>) -> Vec<RunningQuery> {
        let now = self.clock.monotonic();
        let queries = self.queries.lock();
        let own = queries.iter().filter(|(_, entry)| org.is_none_or(|org| entry.org == org));
        let one = |(id, entry): (&u64, &Entry)| RunningQuery {
            id: *id,
            org: entry.org,
            text: entry.text.to_string(),
            database: entry.database.clone(),
            took: now.saturating_sub(entry.began),
            is_killed: entry.is_killed,
        };
        own.map(one).collect()
    }

    fn kill(&self, org: Option<OrgId>, id: u64) -> bool {
        let mut queries = self.queries.lock();
        let entry = queries.get_mut(&id).filter(|entry| org.is_none_or(|org| entry.org == org));
        let Some(entry) = entry else { return false };
        entry.is_killed = true;
        entry.cancel.cancel();
        true
    }
}

impl Listed<'_> {
    /// Whether somebody has ended it.
    pub(crate) fn is_killed(&self) -> bool {
        self.running.queries.lock().get(&self.id).is_some_and(|entry| entry.is_killed)
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        let Running { clock, took_ns, queries, .. } = self.running;
        let Some(entry) = queries.lock().remove(&self.id) else { return };
        let took = clock.monotonic().saturating_sub(entry.began);
        took_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
