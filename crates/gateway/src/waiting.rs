//! The face of a node that has not taken up its part yet: it is there, it cannot serve, and it says what it waits for.
//! Every request is told to come again; none is kept waiting.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use metrics::Page;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::error::{self, ApiError, Code};
use crate::exposed::Exposed;
use crate::metrics::Metrics;
use crate::options::Limits;
use crate::probes;
use crate::router::{COMPATIBLE_VERSION, is_first_api, name_version, worded};
use crate::serve::{Drain, Listening};
use crate::vitals::{self, Vitals};

/// How long answers in progress may take when the node begins to serve.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Answers for a node that cannot serve yet.
#[derive(Clone)]
pub struct Waiting(Arc<Shared>);

struct Shared {
    limits: Limits,
    metrics_enabled: bool,
    metrics: Metrics,
    vitals: Vitals,
    more_metrics: Box<dyn Fn(&mut Page) + Send + Sync>,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("why", &self.0.vitals.not_yet()).finish_non_exhaustive()
    }
}

impl Waiting {
    /// `vitals` say what the node waits for, `more_metrics` appends what is known of it, as
    /// [`StatusPort::metrics`](crate::ports::StatusPort::metrics) does later.
    pub fn new(
        vitals: Vitals,
        limits: Limits,
        metrics_enabled: bool,
        more_metrics: impl Fn(&mut Page) + Send + Sync + 'static,
    ) -> Self {
        let more_metrics = Box::new(more_metrics);
        Self(Arc::new(Shared { limits, metrics_enabled, metrics: Metrics::default(), vitals, more_metrics }))
    }

    /// Shows its metrics at other listeners, too.
    pub fn expose(&self, at: &Exposed) {
        let shared = Arc::clone(&self.0);
        at.set(move |headers| Some(shared.exposition(headers)));
    }

    /// Answers on a listener until some work is done, and hands over its result. Connections are closed then.
    pub async fn serve_while<T>(&self, listener: &TcpListener, work: impl Future<Output = T>) -> T {
        let open = self.0.metrics.connections.clone();
        let listening = Listening::new(&self.0.limits, self.router(), TaskTracker::new(), open);
        let result = tokio::select! {
            biased;
            result = work => result,
            never = listening.accept(listener) => match never {},
        };
        if !listening.end(Drain::within(ANSWER_MAX)).await {
            tracing::debug!("answers in progress were cut off");
        }
        result
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/health", get(health))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            .merge(vitals::all_routes(&self.0.vitals))
            .fallback(come_again)
            .layer(axum::middleware::map_response(|mut response: Response| async {
                name_version(response.headers_mut());
                response
            }))
            .with_state(Arc::clone(&self.0))
    }
}

impl Shared {
    fn not_yet(&self) -> ApiError {
        ApiError::new(Code::Unavailable, self.vitals.not_yet())
    }

    fn exposition(&self, headers: &HeaderMap) -> Result<Response, ApiError> {
        probes::exposition(self.metrics_enabled, headers, |page| {
            self.metrics.show(page, false);
            (self.more_metrics)(page);
        })
    }
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let body = json!({
        "name": "influxdb",
        "message": shared.not_yet().message,
        "status": "fail",
        "checks": [],
        "version": COMPATIBLE_VERSION,
        "commit": probes::COMMIT,
    });
    error::json(StatusCode::SERVICE_UNAVAILABLE, &body)
}

async fn ready(State(shared): State<Arc<Shared>>) -> ApiError {
    shared.not_yet()
}

async fn metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, ApiError> {
    shared.exposition(&headers)
}

async fn come_again(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    worded(is_first_api(request.uri().path()), &shared.not_yet())
}
