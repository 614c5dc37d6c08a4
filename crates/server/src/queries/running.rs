//! The queries that run in this process: whoever may can list them, and end one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway::ports::CancelToken;
use model::OrgId;
use parking_lot::Mutex;
use query::influxql::RunningQuery;

/// See the module.
#[derive(Default)]
pub(crate) struct Running {
    last: AtomicU64,
    queries: Mutex<BTreeMap<u64, Entry>>,
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
    /// Lists a query that begins now.
    pub(crate) fn begin(
        &self,
        (org, text, database): (OrgId, &str, Option<&str>),
        began: Duration,
        cancel: CancelToken,
    ) -> Listed<'_> {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (text, database) = (text.into(), database.unwrap_or_default().to_owned());
        self.queries.lock().insert(id, Entry { org, text, database, began, cancel, is_killed: false });
        Listed { running: self, id }
    }

    /// The queries of an organization, the oldest first, at a moment of monotonic time.
    pub(crate) fn of(&self, org: OrgId, now: Duration) -> Vec<RunningQuery> {
        let queries = self.queries.lock();
        let own = queries.iter().filter(|(_, entry)| entry.org == org);
        let one = |(id, entry): (&u64, &Entry)| RunningQuery {
            id: *id,
            text: entry.text.to_string(),
            database: entry.database.clone(),
            took: now.saturating_sub(entry.began),
            is_killed: entry.is_killed,
        };
        own.map(one).collect()
    }

    /// Ends a query of an organization; false when there is none of this number.
    pub(crate) fn kill(&self, org: OrgId, id: u64) -> bool {
        let mut queries = self.queries.lock();
        let Some(entry) = queries.get_mut(&id).filter(|entry| entry.org == org) else { return false };
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
        self.running.queries.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
