//! What probes and monitors ask, without credentials: `/ping`, `/health`, `/ready`, `/metrics`, and the list of
//! routes at `/api/v2`.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use metrics::{Form, Page};
use serde_json::json;

use crate::error::{self, ApiError, Code};
use crate::gateway::{App, Shared};
use crate::params::Params;
use crate::router::COMPATIBLE_VERSION;
use crate::vitals::Leaving;

/// What `/health` says was built.
pub(crate) const COMMIT: &str = concat!("tidemark-", env!("CARGO_PKG_VERSION"));

/// Damaged places that `/health` names.
const DAMAGE_MAX: usize = 20;
/// How long a read that sees everything may take for `/readyz`.
const LINEARIZABLE_MAX: Duration = Duration::from_secs(2);

pub(crate) async fn ping(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let params = Params::of_uri(request.uri(), app.options.limits.params_max)?;
    if params.get("verbose").is_some_and(|text| !matches!(text, "0" | "false")) {
        return Ok(error::json(StatusCode::OK, &json!({ "version": COMPATIBLE_VERSION })));
    }
    Ok(error::empty(StatusCode::NO_CONTENT))
}

/// Damage at rest is told and does not fail the check: a node that serves all else must not be taken out for it.
pub(crate) async fn health(State(app): State<App>) -> Response {
    let healthy = app.ports.vitals.fit().and_then(|()| app.ports.status.healthy());
    health_of(healthy, &app.ports.status.damage(DAMAGE_MAX))
}

/// The answer of `/health`.
pub(crate) fn health_of(state: Result<(), String>, damage: &[String]) -> Response {
    let (status, word) = match &state {
        Ok(()) => (StatusCode::OK, "pass"),
        Err(_broken) => (StatusCode::SERVICE_UNAVAILABLE, "fail"),
    };
    let check = |place: &String| json!({ "name": "data file", "status": "fail", "message": place });
    let message = match damage {
        [] => "ready for queries and writes",
        _ => "ready for queries and writes, but for the damaged data that the checks name",
    };
    let body = json!({
        "name": "influxdb",
        "message": state.err().unwrap_or_else(|| message.to_owned()),
        "status": word,
        "checks": damage.iter().map(check).collect::<Vec<_>>(),
        "version": COMPATIBLE_VERSION,
        "commit": COMMIT,
    });
    error::json(status, &body)
}

/// Ready when clients may be sent here, and every partition has a leader within reach.
pub(crate) async fn ready(State(app): State<App>) -> Result<Response, ApiError> {
    let state = app.ports.vitals.fit().and_then(|()| app.ports.status.ready());
    state.map_err(|missing| ApiError::new(Code::Unavailable, missing))?;
    let up = app.ports.clock.monotonic().saturating_sub(app.started_monotonic);
    let body = json!({ "status": "ready", "started": app.started.to_rfc3339(), "up": go_duration(up) });
    Ok(error::json(StatusCode::OK, &body))
}

/// `/readyz`; with `?linearizable=1` also whether a read that sees all that was acknowledged can be done here. For load
/// balancers, not for who starts the process again: that would make nothing better.
pub(crate) async fn readyz(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let params = Params::of_uri(request.uri(), app.options.limits.params_max)?;
    if params.get("linearizable").is_some_and(|text| !matches!(text, "0" | "false")) {
        let done = tokio::time::timeout(LINEARIZABLE_MAX, app.confirm()).await;
        let done =
            done.map_err(|_late| ApiError::new(Code::Unavailable, "no majority has answered in time"))?;
        done?;
    }
    Ok(app.ports.vitals.answer_ready())
}

pub(crate) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    metrics_of(&app, &headers)
}

/// The answer of `/metrics` of a server that serves.
pub(crate) fn metrics_of(app: &Shared, headers: &HeaderMap) -> Result<Response, ApiError> {
    let Shared { options, metrics, ports, query_slots, .. } = app;
    exposition(options.metrics_enabled, headers, |page| {
        metrics.show(page, options.influxdb_metrics);
        page.gauge("tidemark_http_write_held_bytes", "Write bodies in memory.", options.write_memory.used());
        let (limit, queued) = query_slots.figures();
        page.gauge("tidemark_query_concurrency_limit", "Queries that may run at once.", limit);
        page.gauge("tidemark_queries_queued", "Queries that wait for their turn.", queued);
        let uptime = ports.clock.monotonic().saturating_sub(app.started_monotonic);
        if options.influxdb_metrics {
            let org = || vec![("org", String::new())];
            page.gauges("qc_queueing_active", "Queries that wait for their turn.", [(org(), queued)]);
            let all = queued as u64 + metrics.queries_running.get();
            page.gauges("qc_all_active", "Queries that wait or run.", [(org(), all)]);
            page.gauge("influxdb_uptime_seconds", "Time since the server began to serve.", uptime);
        }
        page.gauge("tidemark_uptime_seconds", "Time since the server began to serve.", uptime);
        let vitals = &ports.vitals;
        page.gauge("tidemark_ready", "Whether clients may be sent here.", vitals.ready().is_ok());
        let is_leaving = vitals.leaving() != Leaving::No;
        page.gauge("tidemark_draining", "Whether the server is about to stop.", is_leaving);
        let name = "tidemark_event_loop_age_seconds";
        page.gauge(name, "Time since the event loop turned last.", vitals.age());
        ports.status.metrics(page, options.influxdb_metrics);
    })
}

/// The answer of `/metrics`, in the form that is asked for.
pub(crate) fn exposition(
    is_enabled: bool,
    headers: &HeaderMap,
    show: impl FnOnce(&mut Page),
) -> Result<Response, ApiError> {
    if !is_enabled {
        return Err(ApiError::forbidden("metrics disabled"));
    }
    let form = Form::of_accept(headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default());
    let mut page = Page::default();
    show(&mut page);
    let mut response = Response::new(Body::from(page.encode(form)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

pub(crate) async fn links() -> Response {
    let body = json!({
        "authorizations": "/api/v2/authorizations",
        "buckets": "/api/v2/buckets",
        "dbrps": "/api/v2/dbrps",
        "me": "/api/v2/me",
        "orgs": "/api/v2/orgs",
        "query": { "self": "/api/v2/query" },
        "setup": "/api/v2/setup",
        "signin": "/api/v2/signin",
        "signout": "/api/v2/signout",
        "system": { "metrics": "/metrics", "health": "/health" },
        "users": "/api/v2/users",
        "write": "/api/v2/write",
    });
    error::json(StatusCode::OK, &body)
}

/// A duration as Go prints it: `1h2m3.5s`.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut text = String::new();
    if hours > 0 {
        text.push_str(&format!("{hours}h"));
    }
    if seconds >= 60 {
        text.push_str(&format!("{minutes}m"));
    }
    text.push_str(&(seconds % 60).to_string());
    let fraction = format!("{:09}", duration.subsec_nanos());
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text.push('s');
    text
}
