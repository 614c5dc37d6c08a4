//! The trace of each request: whose it is, who wants to see it, and `GET /api/v1/trace/{id}`, which shows one that a client
//! asked for with `?trace=1` or `X-Tidemark-Trace: 1`.
//!
//! Writes and queries can be asked about. Their answers stay as they are, because clients read them; the header
//! `X-Tidemark-Trace-Id` names the trace.

use axum::extract::{Request, State};
use axum::response::Response;
use catalog::{Action, ResourceType};
use http::{HeaderName, HeaderValue, StatusCode, header};
use metrics::Exemplar;
use model::Clock;
use serde::de::IgnoredAny;
use trace::{Caller, Collected, Span, TraceId, Tracer};

use crate::error::ApiError;
use crate::gateway::App;
use crate::v2::{Call, PathId};

const ASKS: HeaderName = HeaderName::from_static("x-tidemark-trace");
const ID: HeaderName = HeaderName::from_static("x-tidemark-trace-id");

/// The longest name of a client's program that is told.
const USER_AGENT_BYTES_MAX: usize = 128;

/// Begins the span of a request to a route. Those of probes have none: they come every second, and that a node is not ready
/// is an answer, not a failure.
pub(crate) fn begin(tracer: &Tracer, route: &str, request: &Request) -> Span {
    if !(route.starts_with("/api/") || matches!(route, "/write" | "/query" | "unknown")) {
        return Span::default();
    }
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    let is_kept = matches!(route, "/api/v2/query" | "/query" | "/api/v2/write" | "/write") && asks(request);
    let mut span = tracer.request(Caller::of_client(header), is_kept);
    if span.is_wanted() {
        let method = request.method().as_str();
        span.rename(|| format!("HTTP {method} {route}"));
        span.set("http.request.method", method.to_owned());
        span.set("http.route", route.to_owned());
        span.set("url.path", request.uri().path().to_owned());
        span.set("url.scheme", "http");
        if let Some(agent) = header(header::USER_AGENT.as_str()) {
            let agent: String = agent.chars().take(USER_AGENT_BYTES_MAX).collect();
            span.set("user_agent.original", agent);
        }
    }
    span
}

/// Whether the client wants to see the trace.
fn asks(request: &Request) -> bool {
    let is_yes = |value: &str| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True");
    let by_header = request.headers().get(ASKS).and_then(|value| value.to_str().ok()).is_some_and(is_yes);
    let query = request.uri().query().unwrap_or_default();
    by_header || query.split('&').any(|pair| pair.strip_prefix("trace=").is_some_and(is_yes))
}

/// Ends the span of a request, and names its trace in the answer.
pub(crate) fn end(span: &mut Span, response: &mut Response) {
    let Some(context) = span.context() else { return };
    let status = response.status();
    span.set("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.set("error.type", status.as_str().to_owned());
        span.fail(status.canonical_reason().unwrap_or("server error"));
        span.fail_request();
    }
    if context.is_wanted() {
        let id = context.trace.to_string();
        let headers = response.headers_mut();
        if context.is_kept {
            let link = HeaderValue::from_str(&format!("</api/v1/trace/{id}>; rel=\"trace\""));
            headers.append(header::LINK, link.expect("hexadecimal digits"));
        }
        headers.insert(ID, HeaderValue::from_str(&id).expect("hexadecimal digits"));
    }
}

/// What a histogram keeps of a request that ends now: its trace, where somebody can look at that.
pub(crate) fn exemplar(context: Option<trace::Context>, clock: &dyn Clock) -> Option<Exemplar> {
    let context = context.filter(trace::Context::is_wanted)?;
    Some(Exemplar { trace_id: context.trace.get(), at: clock.now() })
}

/// A trace as clients are shown it.
pub(crate) fn shown(id: TraceId, collected: &Collected) -> String {
    let spans = collected.spans.iter().filter(|span| serde_json::from_str::<IgnoredAny>(span).is_ok());
    let spans: Vec<&str> = spans.map(String::as_str).collect();
    format!("{{\"traceId\":\"{id}\",\"spans\":[{}]}}", spans.join(","))
}

/// `GET /api/v1/trace/{id}`: for tokens of the organization whose request it was, and for operators.
pub(crate) async fn get(
    State(app): State<App>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let call = Call::open(app, request).await?;
    let id: TraceId = id.parse().map_err(|_no| ApiError::invalid(format!("{id:?} is no id of a trace")))?;
    let none = || ApiError::not_found(format!("no trace {id} is held: ask with ?trace=1, and soon after"));
    let is_operator = call.who.grants.require(Action::Read, ResourceType::Instance, None, None).is_ok();
    let collected = call.app.ports.traces.collect(id).await.ok_or_else(none)?;
    let is_own = collected.owner.is_some() && collected.owner == call.who.org;
    if !is_operator && !is_own {
        return Err(none());
    }
    let mut response = Response::new(shown(id, &collected).into());
    *response.status_mut() = StatusCode::OK;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}
