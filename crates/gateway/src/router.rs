//! The routes, and what every request and answer has around it: span, counters, version headers, CORS, and a net
//! under panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use catalog::NodeState;
use futures::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use trace::Traced as _;
use tracing::Instrument as _;

use crate::error::{self, ApiError, Code, INTERNAL_TEXT};
use crate::gateway::App;
use crate::serve::{self, InProgress};
use crate::vitals::{self, Leaving};
use crate::{cluster, flight, log_level, maintenance, probes, queries, random, traces, v1, v2, v3};

/// The InfluxDB whose interface this server has; clients read it from every answer.
pub const COMPATIBLE_VERSION: &str = "v2.7.12";

pub(crate) fn router(app: App) -> Router {
    let orgs = get(v2::orgs::list).post(v2::orgs::create);
    let org = get(v2::orgs::get).patch(v2::orgs::update).delete(v2::orgs::delete);
    let buckets = get(v2::buckets::list).post(v2::buckets::create);
    let bucket = get(v2::buckets::get).patch(v2::buckets::update).delete(v2::buckets::delete);
    let tokens = get(v2::authorizations::list).post(v2::authorizations::create);
    let token =
        get(v2::authorizations::get).patch(v2::authorizations::update).delete(v2::authorizations::delete);
    let password = post(v2::users::set_password).put(v2::users::set_password);
    let routes = Router::new()
        .route("/ping", get(probes::ping))
        .route("/status", get(probes::ping))
        .route("/health", get(probes::health))
        .route("/ready", get(probes::ready))
        .route("/readyz", get(probes::readyz))
        .route("/-/ready", get(probes::readyz))
        .merge(vitals::routes(&app.ports.vitals))
        .route("/metrics", get(probes::metrics))
        .route("/write", post(v1::write::post))
        .route("/query", get(v1::query::handle).post(v1::query::handle))
        .route("/api/v3/query_sql", get(v3::query_sql).post(v3::query_sql))
        .route("/api/v2", get(probes::links))
        .route("/api/v2/setup", get(v2::setup::get).post(v2::setup::post))
        .route("/api/v2/signin", post(v2::session::sign_in))
        .route("/api/v2/signout", post(v2::session::sign_out))
        .route("/api/v2/write", post(v2::write::post))
        .route("/api/v2/query", post(v2::query::post))
        .route("/api/v2/delete", post(v2::delete::post))
        .route("/api/v2/me", get(v2::users::me))
        .route("/api/v2/me/password", axum::routing::put(v2::users::set_my_password))
        .route("/api/v2/users", get(v2::users::list).post(v2::users::create))
        .route("/api/v2/users/{id}", get(v2::users::get).delete(v2::users::delete))
        .route("/api/v2/users/{id}/password", password)
        .route("/api/v2/orgs", orgs)
        .route("/api/v2/orgs/{id}", org)
        .route("/api/v2/buckets", buckets)
        .route("/api/v2/buckets/{id}", bucket)
        .route("/api/v2/authorizations", tokens)
        .route("/api/v2/authorizations/{id}", token)
        .route("/api/v2/dbrps", get(v2::dbrps::list).post(v2::dbrps::create))
        .route("/api/v2/dbrps/{id}", get(v2::dbrps::get).delete(v2::dbrps::delete))
        .route("/api/v1/storage/flush", post(maintenance::flush))
        .route("/api/v1/log-level", get(log_level::get).put(log_level::put))
        .route("/api/v1/trace/{id}", get(traces::get))
        .route("/api/v1/queries", get(queries::list))
        .route("/api/v1/queries/{id}", axum::routing::delete(queries::kill))
        .route("/api/v1/cluster/status", get(cluster::status))
        .route("/api/v1/cluster/nodes", get(cluster::nodes))
        .route("/api/v1/cluster/nodes/{id}", get(cluster::node))
        .route("/api/v1/cluster/partitions", get(cluster::partitions))
        .route("/api/v1/cluster/raft", get(cluster::raft))
        .route("/api/v1/cluster/moves", get(cluster::moves))
        .route("/api/v1/cluster/transfer-leader", post(cluster::transfer_leader))
        .route("/api/v1/cluster/move", post(cluster::move_replica))
        .route("/api/v1/cluster/replication", post(cluster::set_replication))
        .route("/api/v1/cluster/finalize", post(cluster::finalize))
        .route("/api/v1/cluster/compare", post(cluster::compare))
        .route("/api/v1/cluster/nodes/{id}/drain", cluster::set_state(NodeState::Draining))
        .route("/api/v1/cluster/nodes/{id}/undrain", cluster::set_state(NodeState::Active))
        .route("/api/v1/cluster/nodes/{id}/decommission", cluster::set_state(NodeState::Decommissioned))
        .route("/api/v1/cluster/nodes/{id}/replace", post(cluster::replace))
        .route("/debug/cluster", get(cluster::debug))
        .route_service("/arrow.flight.protocol.FlightService/{*method}", flight::service(Arc::clone(&app)))
        .fallback(unknown_path)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), around))
        .with_state(app);
    // The router names the allowed methods outside of its layers.
    Router::new().fallback_service(routes).layer(middleware::from_fn(name_methods))
}

async fn unknown_path() -> ApiError {
    ApiError::not_found("path not found")
}

/// What every request has around it.
async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = app.ports.clock.monotonic();
    let in_flight = app.metrics.in_flight.enter();
    let (method, version) = (request.method().clone(), request.version());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let handler = matched.as_ref().map_or("unknown", MatchedPath::as_str);
    let first_api = is_first_api(handler);
    let origin = request.headers().get(header::ORIGIN).cloned();
    let in_progress = request.extensions().get::<Arc<InProgress>>().cloned();
    let request_id = first_api.then(|| request_id(request.headers()));

    let (mut response, traced) = if method == Method::OPTIONS && origin.is_some() {
        (preflight(), None)
    } else {
        let span = tracing::info_span!("request", handler, %method, status = tracing::field::Empty);
        let mut traced = traces::begin(&app.options.tracer, handler, &request);
        let answer = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone());
        let answer = answer.in_span(&traced).await;
        let mut response = answer.unwrap_or_else(|_panic| {
            app.metrics.panics.inc();
            traced.in_scope(|| tracing::error!(parent: &span, "a handler panicked"));
            worded(first_api, &ApiError::new(Code::Internal, INTERNAL_TEXT))
        });
        span.record("status", response.status().as_u16());
        traces::end(&mut traced, &mut response);
        (response, Some(traced))
    };
    let headers = response.headers_mut();
    name_version(headers);
    // Whoever sends one request after the other on a connection is sent elsewhere before this one breaks off.
    if version < Version::HTTP_2 && app.ports.vitals.leaving() != Leaving::No {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(id) = request_id {
        headers.insert("request-id", id.clone());
        headers.insert("x-request-id", id);
    }
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    let status = response.status().as_u16();
    let finished = Finished { app, matched, method, status, started, traced, _in_flight: in_flight };
    response.map(|body| serve::hold((in_progress, finished), body))
}

/// A request whose answer is on its way; when its last byte is gone, or nobody takes it any more, it is counted.
struct Finished {
    app: App,
    matched: Option<MatchedPath>,
    method: Method,
    status: u16,
    started: Duration,
    traced: Option<trace::Span>,
    _in_flight: metrics::Inside,
}

impl Drop for Finished {
    fn drop(&mut self) {
        let Self { app, matched, method, status, started, traced, .. } = self;
        let clock = &*app.ports.clock;
        let took = clock.monotonic().saturating_sub(*started);
        let exemplar = traces::exemplar(traced.as_ref().and_then(trace::Span::context), clock);
        let handler = matched.as_ref().map_or("unknown", MatchedPath::as_str);
        app.metrics.request(handler, method, *status, took, exemplar);
    }
}

/// Whether a route is one of InfluxDB 1.x.
pub(crate) fn is_first_api(route: &str) -> bool {
    matches!(route, "/write" | "/query" | "/ping" | "/status")
}

/// Says which InfluxDB's interface this is.
pub(crate) fn name_version(headers: &mut HeaderMap) {
    headers.insert("x-influxdb-version", HeaderValue::from_static(COMPATIBLE_VERSION));
    headers.insert("x-influxdb-build", HeaderValue::from_static("OSS"));
}

/// An error in the words of its API.
pub(crate) fn worded(first_api: bool, error: &ApiError) -> Response {
    if first_api { error.v1_response(false) } else { error.v2_response() }
}

/// The client's own id of the request, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let theirs = headers.get("x-request-id").or_else(|| headers.get("request-id"));
    theirs.filter(|id| id.len() <= 256).cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&random::request_id()).expect("hexadecimal digits and dashes")
    })
}

fn preflight() -> Response {
    let mut response = error::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE, PATCH"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "Accept, Content-Type, Content-Length, Accept-Encoding, Authorization, User-Agent",
        ),
    );
    response
}

/// Puts the router's bare 405 into the words of the API; the `allow` header says what would do.
async fn name_methods(request: Request, next: Next) -> Response {
    let first_api = is_first_api(request.uri().path());
    let bare = next.run(request).await;
    if bare.status() != StatusCode::METHOD_NOT_ALLOWED {
        return bare;
    }
    let (mut head, _empty) = bare.into_parts();
    let allowed = head.headers.get(header::ALLOW).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let allowed = allowed.split(',').map(str::trim).collect::<Vec<_>>().join(", ");
    let error = ApiError::new(Code::MethodNotAllowed, format!("allow: {allowed}"));
    let (worded, body) = worded(first_api, &error).into_parts();
    head.headers.extend(worded.headers);
    head.headers.remove(header::CONTENT_LENGTH);
    if let Ok(value) = HeaderValue::from_str(&allowed) {
        head.headers.insert(header::ALLOW, value);
    }
    Response::from_parts(head, body)
}
