//! The gateway: its ports, its limits, and what requests share.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt as _;
use model::Clock;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::auth::passwords::Passwords;
use crate::auth::sessions::Sessions;
use crate::body::Held;
use crate::error::ApiError;
use crate::exposed::Exposed;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::ports::{
    CatalogPort, ClusterPort, LogPort, MaintenancePort, QueryPort, StatusPort, TracePort, Unavailable,
    WritePort,
};
use crate::probes;
use crate::slots::QuerySlots;
use crate::vitals::Vitals;

/// Barriers of the catalog at once; more wait.
const BARRIERS_MAX: usize = 64;

/// Everything the gateway asks of the rest of the server.
#[derive(Clone)]
pub struct Ports {
    /// See [`CatalogPort`].
    pub catalog: Arc<dyn CatalogPort>,
    /// See [`WritePort`].
    pub write: Arc<dyn WritePort>,
    /// See [`QueryPort`].
    pub query: Arc<dyn QueryPort>,
    /// See [`StatusPort`].
    pub status: Arc<dyn StatusPort>,
    /// See [`MaintenancePort`].
    pub maintenance: Arc<dyn MaintenancePort>,
    /// See [`ClusterPort`].
    pub cluster: Arc<dyn ClusterPort>,
    /// See [`Vitals`].
    pub vitals: Vitals,
    /// See [`TracePort`].
    pub traces: Arc<dyn TracePort>,
    /// See [`LogPort`].
    pub log: Arc<dyn LogPort>,
    /// Times of points without one, of new resources, of sessions.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

/// The public HTTP face of a node. Cheap to clone; all clones share sessions, limits and counters.
#[derive(Debug, Clone)]
pub struct Gateway(pub(crate) Arc<Shared>);

/// What requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) ports: Ports,
    pub(crate) options: Options,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) query_slots: QuerySlots,
    pub(crate) sessions: Sessions,
    pub(crate) passwords: Passwords,
    /// Owns connections and queries: shutdown waits for it.
    pub(crate) tasks: TaskTracker,
    barriers: Semaphore,
    pub(crate) started: model::Timestamp,
    pub(crate) started_monotonic: std::time::Duration,
}

/// The state of every handler.
pub(crate) type App = Arc<Shared>;

impl Gateway {
    /// A gateway over its ports.
    pub fn new(ports: Ports, options: Options) -> Self {
        let limits = &options.limits;
        let shared = Shared {
            metrics: Arc::default(),
            query_slots: QuerySlots::new(limits.query_concurrency, limits.query_queue_max),
            sessions: Sessions::new(limits.sessions_max, limits.session_idle_max),
            passwords: Passwords::new(limits.password_checks_max, limits.password_queue_max),
            tasks: TaskTracker::new(),
            barriers: Semaphore::new(BARRIERS_MAX),
            started: ports.clock.now(),
            started_monotonic: ports.clock.monotonic(),
            ports,
            options,
        };
        Self(Arc::new(shared))
    }

    /// Shows its metrics at other listeners, too, as long as it is there.
    pub fn expose(&self, at: &Exposed) {
        let shared = Arc::downgrade(&self.0);
        at.set(move |headers| Some(probes::metrics_of(&*shared.upgrade()?, headers)));
    }

    /// All routes, as a service that can also be called in process.
    pub fn router(&self) -> axum::Router {
        crate::router::router(Arc::clone(&self.0))
    }

    /// Answers a request in process, as one that came over a connection; with an error in the body, what came before it.
    pub async fn answer(&self, request: http::Request<Bytes>) -> (http::response::Parts, Vec<u8>) {
        let answered = self.router().oneshot(request.map(Body::from)).await;
        let (parts, body) = answered.unwrap_or_else(|never| match never {}).into_parts();
        let mut body = body.into_data_stream();
        let mut bytes = Vec::new();
        while let Some(Ok(chunk)) = body.next().await {
            bytes.extend_from_slice(&chunk);
        }
        (parts, bytes)
    }
}

impl Shared {
    /// Looks something up in the catalog. "There is none" is only believed after a barrier, because clients drop
    /// data on a 4xx.
    pub(crate) async fn find<T>(
        &self,
        look: impl Fn(&catalog::State) -> Option<T>,
    ) -> Result<Option<T>, Unavailable> {
        if let Some(found) = self.look(&look) {
            return Ok(Some(found));
        }
        self.barrier().await?;
        Ok(self.look(&look))
    }

    /// Looks for all that something holds of in the catalog. As in [`Shared::find`], "there are none" is only believed
    /// after a barrier.
    pub(crate) async fn find_all<T>(
        &self,
        look: impl Fn(&catalog::State) -> Vec<T>,
    ) -> Result<Vec<T>, Unavailable> {
        let found = self.find(|state| Some(look(state)).filter(|found| !found.is_empty())).await?;
        Ok(found.unwrap_or_default())
    }

    /// Waits until the local catalog is as new as anything acknowledged before; a few at a time, because strangers
    /// with made-up tokens can ask for it.
    pub(crate) async fn barrier(&self) -> Result<(), Unavailable> {
        let _permit = self.barriers.acquire().await;
        self.ports.catalog.barrier().await
    }

    /// As [`Shared::barrier`], confirmed by a majority.
    pub(crate) async fn confirm(&self) -> Result<(), Unavailable> {
        let _permit = self.barriers.acquire().await;
        self.ports.catalog.confirm().await
    }

    /// Looks something up in the local copy of the catalog.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&catalog::State) -> T) -> T {
        look(&self.ports.catalog.read())
    }

    /// Proposes a change to the catalog; a refusal is an error.
    pub(crate) async fn change(&self, command: catalog::Command) -> Result<(), ApiError> {
        propose(&*self.ports.catalog, command).await
    }

    /// A share of the memory of writes, still empty.
    pub(crate) fn reserve(&self) -> Held {
        Held::new(&self.options.write_memory)
    }

    /// Runs work that only computes: here when it is small, else on a thread that may block.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        large: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        if !large {
            return Ok(work());
        }
        let (span, here) = (tracing::Span::current(), trace::current());
        let work = move || {
            let _entered = here.map(trace::Here::enter);
            span.in_scope(work)
        };
        self.tasks
            .spawn(host::offload(work))
            .await
            .and_then(std::convert::identity)
            .map_err(|failure| ApiError::internal(&failure))
    }
}

/// Proposes a change to the catalog; a refusal is an error.
pub(crate) async fn propose(catalog: &dyn CatalogPort, command: catalog::Command) -> Result<(), ApiError> {
    match catalog.propose(command).await? {
        catalog::Response::Done | catalog::Response::Fields(_) => Ok(()),
        catalog::Response::Refused(refusal) => Err(refusal.into()),
    }
}
