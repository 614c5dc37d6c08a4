//! A gateway over fakes that behave: the catalog is the real one in memory, with changes of "other nodes" that
//! only a barrier makes visible.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use axum::body::Body;
use bytes::Bytes;
use catalog::{Catalog, CatalogError, Command, MemoryStore, ReadGuard, Response as Answered};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use memory::Account;
use model::{
    Batch, Clock, Commits, Deletion, LogPosition, OrgId, PartitionId, Reading, ReplicaId, Timestamp,
};
use parking_lot::Mutex;
use serde_json::Value;
use tower::ServiceExt as _;
use trace::{Collected, TraceId};

use crate::ports::{
    Asked, BoxFuture, CatalogPort, ClusterOrder, ClusterPort, ClusterSurvey, ClusterView, FluxRequest,
    FluxTable, GroupSurvey, GroupView, InfluxqlItem, InfluxqlRequest, Keep, ListedQueries, ListedQuery,
    LogPort, MaintenancePort, MoveSurvey, NodeSurvey, NodeView, OrderError, QueryError, QueryPort,
    ReplicaSurvey, SinkClosed, SqlDescription, SqlRequest, StatusPort, TracePort, Unavailable, WriteError,
    WritePort,
};
use crate::{Gateway, Limits, Options, Ports};
use crate::{Stage, Vitals};

/// 2024-01-02T03:04:05Z
pub(crate) const NOW: Timestamp = Timestamp(1_704_164_645_000_000_000);

#[derive(Debug, Default)]
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_nanos()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(NOW.0 + i64::try_from(self.0.load(Ordering::SeqCst)).unwrap())
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) struct TestCatalog {
    catalog: Catalog,
    index: AtomicU64,
    /// Changes that were committed elsewhere and are not applied here yet.
    pub(crate) elsewhere: Mutex<Vec<Command>>,
    pub(crate) barriers: AtomicUsize,
    pub(crate) unreachable: AtomicBool,
}

impl TestCatalog {
    fn new() -> Self {
        Self {
            catalog: Catalog::open(Box::new(MemoryStore::new())).unwrap(),
            index: AtomicU64::new(1),
            elsewhere: Mutex::new(Vec::new()),
            barriers: AtomicUsize::new(0),
            unreachable: AtomicBool::new(false),
        }
    }

    pub(crate) fn apply(&self, command: &Command) -> Answered {
        let index = self.index.fetch_add(1, Ordering::SeqCst);
        self.catalog.apply(LogPosition { index, term: 1, leader: ReplicaId(1) }, command).unwrap()
    }

    fn catch_up(&self) -> Result<(), Unavailable> {
        if self.unreachable.load(Ordering::SeqCst) {
            return Err(Unavailable::TryLater("the catalog has no leader".into()));
        }
        for command in std::mem::take(&mut *self.elsewhere.lock()) {
            assert_eq!(self.apply(&command), Answered::Done);
        }
        Ok(())
    }
}

impl CatalogPort for TestCatalog {
    fn read(&self) -> ReadGuard<'_> {
        self.catalog.read()
    }

    fn barrier(&self) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.barriers.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { self.catch_up() })
    }

    fn confirm(&self) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.barrier()
    }

    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Answered, Unavailable>> {
        Box::pin(async move {
            self.catch_up()?;
            Ok(self.apply(&command))
        })
    }
}

#[derive(Default)]
pub(crate) struct TestWrite {
    /// What a write or delete answers.
    pub(crate) commits: Mutex<Commits>,
    pub(crate) batches: Mutex<Vec<Batch>>,
    pub(crate) deletions: Mutex<Vec<Deletion>>,
    /// The next write or delete fails with this.
    pub(crate) failure: Mutex<Option<WriteError>>,
}

impl WritePort for TestWrite {
    fn write(&self, batch: Batch) -> BoxFuture<'_, Result<Commits, WriteError>> {
        Box::pin(async move {
            if let Some(error) = self.failure.lock().take() {
                return Err(error);
            }
            self.batches.lock().push(batch);
            Ok(self.commits.lock().clone())
        })
    }

    fn delete(&self, deletion: Deletion) -> BoxFuture<'_, Result<Commits, WriteError>> {
        Box::pin(async move {
            if let Some(error) = self.failure.lock().take() {
                return Err(error);
            }
            self.deletions.lock().push(deletion);
            Ok(self.commits.lock().clone())
        })
    }
}

pub(crate) type FluxSink<'a> = &'a mut dyn FnMut(FluxTable) -> Result<(), SinkClosed>;
pub(crate) type InfluxqlSink<'a> = &'a mut dyn FnMut(InfluxqlItem) -> Result<(), SinkClosed>;
type FluxScript = dyn Fn(&FluxRequest, FluxSink<'_>) -> Result<(), QueryError> + Send + Sync;
type InfluxqlScript = dyn Fn(&InfluxqlRequest, InfluxqlSink<'_>) -> Result<(), QueryError> + Send + Sync;

pub(crate) type SqlSink<'a> = &'a mut dyn FnMut(RecordBatch) -> Result<(), SinkClosed>;
type SqlScript = dyn Fn(&SqlRequest, SqlSink<'_>) -> Result<(), QueryError> + Send + Sync;

/// Queries do what the test says, and are remembered.
#[derive(Default)]
pub(crate) struct TestQuery {
    flux: Mutex<Option<Arc<FluxScript>>>,
    influxql: Mutex<Option<Arc<InfluxqlScript>>>,
    sql: Mutex<Option<Arc<SqlScript>>>,
    pub(crate) flux_seen: Mutex<Vec<FluxRequest>>,
    pub(crate) influxql_seen: Mutex<Vec<InfluxqlRequest>>,
    pub(crate) sql_seen: Mutex<Vec<SqlRequest>>,
    /// Whose queries were asked for.
    pub(crate) listed_for: Mutex<Vec<Option<OrgId>>>,
    /// Whether answers of InfluxQL are worth keeping.
    pub(crate) keeps: AtomicBool,
    pub(crate) kept: Arc<Mutex<HashMap<Arc<Asked>, Bytes>>>,
}

impl TestQuery {
    pub(crate) fn on_flux(
        &self,
        script: impl Fn(&FluxRequest, FluxSink<'_>) -> Result<(), QueryError> + Send + Sync + 'static,
    ) {
        *self.flux.lock() = Some(Arc::new(script));
    }

    pub(crate) fn on_influxql(
        &self,
        script: impl Fn(&InfluxqlRequest, InfluxqlSink<'_>) -> Result<(), QueryError> + Send + Sync + 'static,
    ) {
        *self.influxql.lock() = Some(Arc::new(script));
    }

    pub(crate) fn on_sql(
        &self,
        script: impl Fn(&SqlRequest, SqlSink<'_>) -> Result<(), QueryError> + Send + Sync + 'static,
    ) {
        *self.sql.lock() = Some(Arc::new(script));
    }
}

impl QueryPort for TestQuery {
    fn flux(&self, request: FluxRequest, sink: FluxSink<'_>) -> Result<(), QueryError> {
        self.flux_seen.lock().push(request.clone());
        let script = self.flux.lock().clone();
        script.map_or(Ok(()), |script| script(&request, sink))
    }

    fn sql(&self, request: SqlRequest, sink: SqlSink<'_>) -> Result<(), QueryError> {
        self.sql_seen.lock().push(request.clone());
        let script = self.sql.lock().clone();
        script.map_or(Ok(()), |script| script(&request, sink))
    }

    fn describe_sql(&self, request: SqlRequest) -> Result<SqlDescription, QueryError> {
        let mut schema = None;
        self.sql(request, &mut |batch| {
            schema = Some(batch.schema());
            Err(SinkClosed)
        })
        .or_else(|error| if matches!(error, QueryError::Cancelled) { Ok(()) } else { Err(error) })?;
        Ok(SqlDescription { schema: schema.expect("a script sends columns"), params: Vec::new() })
    }

    fn influxql(&self, request: InfluxqlRequest, sink: InfluxqlSink<'_>) -> Result<Option<Keep>, QueryError> {
        self.influxql_seen.lock().push(request.clone());
        let script = self.influxql.lock().clone();
        script.map_or(Ok(()), |script| script(&request, sink))?;
        let kept = Arc::clone(&self.kept);
        let asked = request.asked.filter(|_| self.keeps.load(Ordering::Relaxed));
        Ok(asked.map(|asked| Box::new(move |bytes| drop(kept.lock().insert(asked, bytes))) as Keep))
    }

    fn kept<'a>(
        &'a self,
        asked: &'a Asked,
        _reading: &'a Reading,
    ) -> BoxFuture<'a, Result<Option<Bytes>, QueryError>> {
        let found = self.kept.lock().get(asked).cloned();
        Box::pin(async move { Ok(found) })
    }

    fn running(&self, org: Option<OrgId>) -> BoxFuture<'_, ListedQueries> {
        self.listed_for.lock().push(org);
        let query = ListedQuery {
            id: 1_099_511_627_777,
            org: "0000000000000001".to_owned(),
            text: "SELECT 1".to_owned(),
            database: "d".to_owned(),
            seconds: 1.5,
            is_killed: true,
        };
        let silent_nodes = vec!["0000000000000002".to_owned()];
        Box::pin(async { ListedQueries { queries: vec![query], silent_nodes } })
    }

    fn kill(&self, org: Option<OrgId>, id: u64) -> BoxFuture<'_, Result<(), QueryError>> {
        self.listed_for.lock().push(org);
        Box::pin(async move {
            match id {
                1_099_511_627_777 => Ok(()),
                _ => Err(QueryError::NotFound(format!("no such query id: {id}"))),
            }
        })
    }
}

#[derive(Default)]
pub(crate) struct TestStatus {
    pub(crate) missing: Mutex<Option<String>>,
    pub(crate) refusal: Mutex<Option<CatalogError>>,
    pub(crate) broken: Mutex<Option<String>>,
    pub(crate) damage: Mutex<Vec<String>>,
    pub(crate) flushes: Mutex<Vec<bool>>,
    pub(crate) orders: Mutex<Vec<ClusterOrder>>,
    pub(crate) level: Mutex<String>,
    pub(crate) trace: Mutex<Option<Collected>>,
}

impl StatusPort for TestStatus {
    fn ready(&self) -> Result<(), String> {
        self.missing.lock().clone().map_or(Ok(()), Err)
    }

    fn healthy(&self) -> Result<(), String> {
        self.broken.lock().clone().map_or(Ok(()), Err)
    }

    fn damage(&self, places_max: usize) -> Vec<String> {
        self.damage.lock().iter().take(places_max).cloned().collect()
    }

    fn cluster(&self) -> ClusterView {
        let nodes = vec![NodeView { id: "1".to_owned(), state: "active", ..NodeView::default() }];
        let groups = vec![GroupView { group: "meta".to_owned(), leader: Some(3), ..GroupView::default() }];
        ClusterView { partitions: 16, nodes, groups, ..ClusterView::default() }
    }

    fn metrics(&self, page: &mut metrics::Page, _influxdb: bool) {
        page.gauge("tidemark_test", "A test.", 42_u64);
    }
}

impl ClusterPort for TestStatus {
    fn survey(&self) -> BoxFuture<'_, Result<ClusterSurvey, Unavailable>> {
        Box::pin(async {
            if let Some(reason) = self.missing.lock().clone() {
                return Err(Unavailable::TryLater(reason));
            }
            Ok(cluster_survey())
        })
    }

    fn order(&self, order: ClusterOrder) -> BoxFuture<'_, Result<(), OrderError>> {
        let node = match order {
            ClusterOrder::SetNodeState { node, .. } | ClusterOrder::GiveUp { node, .. } => Some(node),
            ClusterOrder::MoveReplica { to, .. } | ClusterOrder::TransferLeader { to, .. } => Some(to),
            ClusterOrder::SetReplication { .. } | ClusterOrder::RaiseLevel { .. } => None,
        };
        Box::pin(async move {
            if let Some(node) = node.filter(|node| node.get() > 3) {
                return Err(OrderError::NotFound(format!("there is no node {node}")));
            }
            if let Some(reason) = self.missing.lock().clone() {
                return Err(Unavailable::TryLater(reason).into());
            }
            if let Some(refusal) = self.refusal.lock().clone() {
                return Err(refusal.into());
            }
            self.orders.lock().push(order);
            Ok(())
        })
    }

    fn compare(&self, partition: PartitionId) -> BoxFuture<'_, Result<u64, OrderError>> {
        Box::pin(async move {
            match self.refusal.lock().clone() {
                Some(refusal) => Err(refusal.into()),
                None if partition.0 > 3 => {
                    Err(OrderError::NotFound(format!("there is no partition {partition}")))
                }
                None => Ok(u64::from(partition.0) + 17),
            }
        })
    }
}

/// Two nodes, of which the second is away.
fn cluster_survey() -> ClusterSurvey {
    let node = |id: u64, state| NodeSurvey {
        id: format!("{id:016x}"),
        role: "data",
        state,
        ..NodeSurvey::default()
    };
    let replica = |id: u64, is_up| ReplicaSurvey {
        replica: 10 + id,
        node: format!("{id:016x}"),
        is_voter: true,
        is_up,
        applied: is_up.then_some(5),
        lag: is_up.then_some(0),
        ..ReplicaSurvey::default()
    };
    let group = |group: &str, partition| GroupSurvey {
        group: group.to_owned(),
        partition,
        leader: Some(format!("{:016x}", 1)),
        committed: 5,
        replicas: vec![replica(1, true), replica(2, false)],
        ..GroupSurvey::default()
    };
    ClusterSurvey {
        is_current: true,
        partitions: 1,
        replication: 2,
        nodes: vec![node(1, "up"), node(2, "away")],
        moves: vec![MoveSurvey {
            group: "data-0".to_owned(),
            from: Some(format!("{:016x}", 2)),
            to: Some(format!("{:016x}", 3)),
            stage: "catching up",
            lag: Some(7),
            ..MoveSurvey::default()
        }],
        groups: vec![group("meta", None), group("data-0", Some(0))],
        ..ClusterSurvey::default()
    }
}

impl LogPort for TestStatus {
    fn level(&self) -> String {
        self.level.lock().clone()
    }

    fn set_level(&self, directives: &str) -> Result<(), String> {
        if directives == "loud" {
            return Err("expected a level".to_owned());
        }
        directives.clone_into(&mut self.level.lock());
        Ok(())
    }
}

impl TracePort for TestStatus {
    fn collect(&self, _id: TraceId) -> BoxFuture<'_, Option<Collected>> {
        Box::pin(async { self.trace.lock().clone() })
    }
}

impl MaintenancePort for TestStatus {
    fn flush(&self, compact: bool) -> BoxFuture<'_, Result<(), String>> {
        self.flushes.lock().push(compact);
        Box::pin(async { Ok(()) })
    }
}

pub(crate) struct Server {
    pub(crate) gateway: Gateway,
    pub(crate) catalog: Arc<TestCatalog>,
    pub(crate) write: Arc<TestWrite>,
    pub(crate) query: Arc<TestQuery>,
    pub(crate) status: Arc<TestStatus>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) vitals: Vitals,
    pub(crate) token: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// Status and text in one, for assertions.
    pub(crate) fn pair(&self) -> (u16, &str) {
        (self.status.as_u16(), self.text())
    }

    /// Asserts the shape of a 2.x error.
    #[track_caller]
    pub(crate) fn is_v2(&self, status: u16, code: &str, message: &str) {
        let body = self.json();
        let seen = (self.status.as_u16(), &body["code"], &body["message"]);
        assert_eq!(seen, (status, &code.into(), &message.into()));
        assert_eq!(self.header("x-platform-error-code"), code);
    }

    /// Asserts the shape of a 1.x error.
    #[track_caller]
    pub(crate) fn is_v1(&self, status: u16, message: &str) {
        assert_eq!((self.status.as_u16(), &self.json()["error"]), (status, &message.into()));
        assert!(self.text().ends_with('\n'));
        assert!(!self.header("x-influxdb-error").is_empty());
    }
}

pub(crate) fn request(method: Method, uri: &str) -> http::request::Builder {
    Request::builder().method(method).uri(uri)
}

impl Server {
    /// A server that nobody has set up.
    pub(crate) fn blank(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            auth_enabled: true,
            setup_allowed: true,
            metrics_enabled: true,
            influxdb_metrics: true,
            write_memory: Account::new("writes", 1 << 30, 0),
            limits: Limits::STANDARD,
            tracer: trace::Tracer::off(),
        };
        change(&mut options);
        let catalog = Arc::new(TestCatalog::new());
        let write = Arc::new(TestWrite::default());
        let query = Arc::new(TestQuery::default());
        let status = Arc::new(TestStatus::default());
        let clock = Arc::new(TestClock::default());
        let vitals = Vitals::new(Arc::<TestClock>::clone(&clock), || Stage::Waiting("a test".to_owned()));
        let ports = Ports {
            catalog: Arc::<TestCatalog>::clone(&catalog),
            write: Arc::<TestWrite>::clone(&write),
            query: Arc::<TestQuery>::clone(&query),
            status: Arc::<TestStatus>::clone(&status),
            maintenance: Arc::<TestStatus>::clone(&status),
            cluster: Arc::<TestStatus>::clone(&status),
            vitals: vitals.clone(),
            traces: Arc::<TestStatus>::clone(&status),
            log: Arc::<TestStatus>::clone(&status),
            clock: Arc::<TestClock>::clone(&clock),
        };
        let gateway = Gateway::new(ports, options);
        Self { gateway, catalog, write, query, status, clock, vitals, token: String::new() }
    }

    /// A server with user `ann`, password `correct horse`, organization `acme`, bucket `metrics`, and a token.
    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut server = Self::blank(change);
        let wanted = crate::SetupRequest {
            username: "ann".into(),
            password: Some("correct horse".into()),
            org: "acme".into(),
            bucket: "metrics".into(),
            ..crate::SetupRequest::default()
        };
        server.token = crate::setup(&*server.catalog, wanted, NOW).await.unwrap().token;
        server
    }

    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.gateway.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// A request with the operator's token.
    pub(crate) fn ask(&self, method: Method, uri: &str) -> http::request::Builder {
        request(method, uri).header("authorization", format!("Token {}", self.token))
    }

    /// Sends with the operator's token.
    pub(crate) async fn call(&self, method: Method, uri: &str, body: impl Into<Body>) -> Answer {
        self.send(self.ask(method, uri).body(body.into()).unwrap()).await
    }

    /// Sends JSON with the operator's token.
    pub(crate) async fn json(&self, method: Method, uri: &str, body: &Value) -> Answer {
        self.call(method, uri, body.to_string()).await
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.call(Method::GET, uri, Body::empty()).await
    }

    pub(crate) async fn post(&self, uri: &str, body: impl Into<Body>) -> Answer {
        self.call(Method::POST, uri, body).await
    }

    pub(crate) fn org(&self) -> OrgId {
        self.catalog.read().org_by_name("acme").unwrap().id
    }

    pub(crate) fn bucket(&self) -> model::BucketId {
        let org = self.org();
        self.catalog.read().bucket_by_name(org, "metrics").unwrap().id
    }

    /// A token with these permissions only.
    pub(crate) async fn token_with(&self, permissions: Value) -> String {
        let body = serde_json::json!({ "orgID": self.org().to_string(), "permissions": permissions });
        let made = self.json(Method::POST, "/api/v2/authorizations", &body).await;
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()["token"].as_str().unwrap().to_owned()
    }
}
