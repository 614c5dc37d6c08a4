//! Continuous queries: made and dropped by statements, and run by the one node that leads the catalog.
//!
//! What must always hold: a run is noted in the catalog when it has ended well, and only then. Whoever leads next goes on
//! from the last such run, so what was missed while nobody led, or failed, is in the next range. Running the same windows
//! twice writes the same points twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use catalog::{Command, ContinuousQuery};
use gateway::ports::{CancelToken, InfluxqlCaller, InfluxqlItem, InfluxqlRequest, QueryPort as _};
use influxql::Statement;
use influxql::ast::ContinuousQuery as Written;
use model::{ContinuousQueryId, OrgId, Reading};
use query::influxql::{Due, Schedule};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::QueryAdapter;
use super::databases::random_id;

/// How often it is looked whether one is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long after a failure a query is run again.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

impl QueryAdapter {
    pub(super) fn create_continuous_query(&self, org: OrgId, query: &Written) -> Result<(), String> {
        self.may_use("continuous queries")?;
        let query = ContinuousQuery {
            id: random_id(ContinuousQueryId::new)?,
            org,
            database: query.database.clone(),
            name: query.name.clone(),
            text: Statement::CreateContinuousQuery(Box::new(query.clone())).to_string(),
            created_at: self.clock.now(),
            last_run: None,
        };
        self.propose_strictly(Command::CreateContinuousQuery { query })
    }

    /// One that does not exist is dropped already, as in InfluxDB.
    pub(super) fn drop_continuous_query(&self, org: OrgId, database: &str, name: &str) -> Result<(), String> {
        let found = {
            let state = self.cluster.catalog().read();
            state.continuous_query_by_name(org, database, name).map(|query| query.id)
        };
        found.map_or(Ok(()), |id| self.propose_strictly(Command::DeleteContinuousQuery { id }))
    }

    pub(super) fn drop_continuous_queries_of(&self, org: OrgId, database: &str) -> Result<(), String> {
        let ids: Vec<ContinuousQueryId> = {
            let state = self.cluster.catalog().read();
            let own = state.continuous_queries().filter(|q| q.org == org && q.database == database);
            own.map(|query| query.id).collect()
        };
        ids.into_iter().try_for_each(|id| self.propose_strictly(Command::DeleteContinuousQuery { id }))
    }
}

/// Runs what is due.
pub(crate) struct Continuous {
    adapter: QueryAdapter,
}

impl Continuous {
    pub(crate) const fn new(adapter: QueryAdapter) -> Self {
        Self { adapter }
    }

    /// Starts the task in a set; dropping the set ends it.
    pub(crate) fn start(self, tasks: &mut JoinSet<()>) {
        let this = Arc::new(self);
        tasks.spawn(async move {
            let mut timer = interval(LOOK_EVERY);
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // When those that failed may run again, in monotonic time.
            let mut put_off = HashMap::new();
            loop {
                timer.tick().await;
                this.look(&mut put_off).await;
            }
        });
    }

    /// Runs what is due now, one after the other.
    async fn look(self: &Arc<Self>, put_off: &mut HashMap<ContinuousQueryId, Duration>) {
        let cluster = &self.adapter.cluster;
        if !cluster.leads_catalog() || cluster.catalog().read().continuous_queries().next().is_none() {
            put_off.clear();
            return;
        }
        // A node that led before may know nothing of who leads now.
        if let Err(error) = cluster.read_barrier_meta().await {
            tracing::debug!(%error, "continuous queries wait for the catalog");
            return;
        }
        let queries: Vec<ContinuousQuery> = cluster.catalog().read().continuous_queries().cloned().collect();
        for query in queries {
            if !cluster.leads_catalog() {
                return;
            }
            let now = self.adapter.clock.monotonic();
            if put_off.get(&query.id).is_some_and(|until| now < *until) {
                continue;
            }
            let (this, id) = (Arc::clone(self), query.id);
            let ran = host::offload(move || this.run(&query)).await;
            match ran {
                Ok(true) => {
                    put_off.remove(&id);
                }
                Ok(false) | Err(_) => {
                    put_off.insert(id, now.saturating_add(AGAIN_AFTER));
                }
            }
        }
    }

    /// Runs a query if it is due; false when that failed.
    fn run(&self, query: &ContinuousQuery) -> bool {
        let counters = &self.adapter.counters;
        match self.run_due(query) {
            Ok(None) => true,
            Ok(Some(_)) => {
                counters.continuous_ok.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(error) => {
                counters.continuous_failed.fetch_add(1, Ordering::Relaxed);
                let (database, name) = (&query.database, &query.name);
                tracing::warn!(
                    database,
                    name,
                    error,
                    "a continuous query failed; it is run again, with what it missed"
                );
                false
            }
        }
    }

    fn run_due(&self, query: &ContinuousQuery) -> Result<Option<Due>, String> {
        let Some(schedule) = Schedule::of(&query.text).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let last = query.last_run.unwrap_or_else(|| schedule.beginning(query.created_at));
        let Some(due) = schedule.due(self.adapter.clock.now(), last) else { return Ok(None) };
        let statement = schedule.statement(due.range).map_err(|error| error.to_string())?;
        let request = InfluxqlRequest {
            org: query.org,
            query: statement,
            database: Some(query.database.clone()),
            retention_policy: None,
            params: Vec::new(),
            reading: Reading::default(),
            read_only: false,
            readable: None,
            writable: None,
            may_create: false,
            caller: InfluxqlCaller::default(),
            asked: None,
            cancel: CancelToken::default(),
        };
        let mut failed = None;
        let done = self.adapter.influxql(request, &mut |item| {
            if let InfluxqlItem::Error(error) = item {
                failed = Some(error);
            }
            Ok(())
        });
        done.map_err(|error| error.to_string())?;
        if let Some(error) = failed {
            return Err(error);
        }
        self.adapter.propose_strictly(Command::NoteContinuousRun { id: query.id, at: due.at })?;
        Ok(Some(due))
    }
}
