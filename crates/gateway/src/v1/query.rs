//! `GET|POST /query`: InfluxQL in; JSON, CSV or MessagePack out, whole or in chunks. Errors of a statement are inside the results,
//! with status 200; errors of the whole text are 400.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use catalog::{Action, ResourceType};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use model::{OrgId, Reading};
use tokio::runtime::Handle;

use super::format::{Format, Style, Writer};
use super::msgpack;
use crate::accept;
use crate::auth::{self, Identity};
use crate::chunks::{self, Job};
use crate::error::{self, ApiError, V1Error};
use crate::form;
use crate::gateway::App;
use crate::metrics::Language;
use crate::params::Params;
use crate::ports::{
    Asked, InfluxqlCaller, InfluxqlItem, InfluxqlParam, InfluxqlRequest, QueryError, QueryPort,
};
use crate::traces;
use crate::v2::small_body;

/// Rows of a chunk when the client names no number.
const CHUNK_ROWS: usize = 10_000;

/// Answers a query; an error of the whole request has the format that the answer would have.
pub(crate) async fn handle(State(app): State<App>, request: Request) -> Response {
    let params = Params::of_uri(request.uri(), app.options.limits.params_max);
    let style = style(request.headers(), &params.unwrap_or_default());
    run(app, request).await.unwrap_or_else(|V1Error(error)| match style.format {
        Format::Json => error.v1_response(style.pretty),
        Format::Csv => error.v1_csv_response(super::format::csv_error(&error.message)),
        Format::Msgpack => packed(&error),
    })
}

/// An error of the whole request for who wants MessagePack.
fn packed(error: &ApiError) -> Response {
    let mut body = Vec::new();
    msgpack::push_error(&mut body, &error.message);
    let (mut head, _json) = error.v1_response(false).into_parts();
    let content_type = HeaderValue::from_static(Format::Msgpack.content_type());
    head.headers.insert(header::CONTENT_TYPE, content_type);
    Response::from_parts(head, Body::from(body))
}

async fn run(app: App, request: Request) -> Result<Response, V1Error> {
    let (parts, body) = request.into_parts();
    let params_max = app.options.limits.params_max;
    let mut params = Params::of_uri(&parts.uri, params_max)?;
    let who = auth::v1(&app, &parts.headers, &params).await?;
    let org = who.org.ok_or_else(|| ApiError::forbidden("the user belongs to no organization"))?;
    trace::own(org);
    let mut script = None;
    if parts.method == Method::POST {
        let limit = (app.options.limits.query_bytes_max, "max-query-size");
        let text = small_body(&app, &parts.headers, body, limit).await?;
        match content_type(&parts.headers).as_str() {
            "application/vnd.influxql" => {
                let text = std::str::from_utf8(&text)
                    .map_err(|error| ApiError::invalid(format!("the query is not UTF-8: {error}")))?;
                script = Some(text.to_owned());
            }
            "multipart/form-data" => {
                let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
                form::read(content_type.unwrap_or_default(), text, &mut params, params_max).await?;
            }
            _ => params.prepend(&text, params_max)?,
        }
    }
    let query = script.or_else(|| params.get("q").map(str::to_owned)).filter(|q| !q.trim().is_empty());
    let query = query.ok_or_else(|| ApiError::invalid("missing required parameter \"q\""))?;
    let reading = app.reading(&parts.headers, &params)?;
    let bound = bound(params.get("params"), params_max)?;
    let (readable, writable) =
        app.look(|state| (who.grants.readable(state, org), who.grants.writable(state, org)));
    let style = style(&parts.headers, &params);
    let gzip = accept::gzip(&parts.headers);
    let kept_trace = trace::current().map(|here| here.context()).filter(|context| context.is_kept);
    let is_async = params.flag("async");
    // An answer that shows its trace is its own.
    let asked = (!is_async && kept_trace.is_none()).then(|| {
        Arc::new(Asked {
            org,
            query: query.clone(),
            params: params.get("params").map(str::to_owned),
            database: params.get("db").map(str::to_owned),
            retention_policy: params.get("rp").map(str::to_owned),
            readable: readable.clone(),
            form: format!("{style:?} gzip={gzip}"),
        })
    });
    if let Some(asked) = &asked
        && let Some(body) = kept(&app, asked, &reading).await.map_err(ApiError::from)?
    {
        return Ok(answered(Body::from(body), style, gzip));
    }
    let caller = caller(&app, &who, org);
    let request = InfluxqlRequest {
        org,
        query,
        database: params.get("db").map(str::to_owned),
        retention_policy: params.get("rp").map(str::to_owned),
        params: bound,
        reading,
        read_only: parts.method != Method::POST,
        readable,
        writable,
        may_create: who.grants.allow(Action::Write, ResourceType::Buckets, None, Some(org)),
        caller,
        asked,
        cancel: crate::ports::CancelToken::default(),
    };
    if is_async {
        return Ok(run_detached(&app, request));
    }
    let port = Arc::clone(&app.ports.query);
    let (port_of_traces, runtime) = (Arc::clone(&app.ports.traces), Handle::current());
    let own_trace = move || {
        let id = kept_trace?.trace;
        let collected = host::wait(&runtime, port_of_traces.collect(id))?;
        Some(traces::shown(id, &collected))
    };
    let body = chunks::run(&app, Language::Influxql, gzip, move |job| {
        answer(&*port, request, style, own_trace, job)
    })
    .await?;
    Ok(answered(body, style, gzip))
}

/// The answer to the same question as it was before, if nothing that it depends on has changed.
async fn kept(app: &App, asked: &Asked, reading: &Reading) -> Result<Option<Bytes>, QueryError> {
    let began = app.ports.clock.monotonic();
    let Some(body) = app.ports.query.kept(asked, reading).await? else { return Ok(None) };
    app.metrics.query_bytes.add(body.len());
    let took = app.ports.clock.monotonic().saturating_sub(began);
    app.metrics.queries(Language::Influxql).durations.observe(took);
    Ok(Some(body))
}

fn answered(body: Body, style: Style, gzip: bool) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(style.format.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn caller(app: &App, who: &Identity, org: OrgId) -> InfluxqlCaller {
    let may = |resource, org| who.grants.allow(Action::Write, resource, None, org);
    InfluxqlCaller {
        name: auth::name(app, who).unwrap_or_default(),
        is_admin: may(ResourceType::Users, Some(org)) && may(ResourceType::Authorizations, Some(org)),
        is_operator: may(ResourceType::Users, None) && may(ResourceType::Authorizations, None),
    }
}

/// Runs a query whose answer nobody waits for.
fn run_detached(app: &App, request: InfluxqlRequest) -> Response {
    let detached = Arc::clone(app);
    app.tasks.spawn(async move {
        let port = Arc::clone(&detached.ports.query);
        let run = move |job: &mut Job| {
            let request = InfluxqlRequest { cancel: job.cancel.clone(), ..request };
            port.influxql(request, &mut |item| {
                if let InfluxqlItem::Error(error) = item {
                    tracing::warn!(%error, "a statement of an async query failed");
                }
                Ok(())
            })
            .map(drop)
        };
        if let Err(error) = chunks::run(&detached, Language::Influxql, false, run).await {
            tracing::warn!(%error, "an async query failed");
        }
    });
    error::empty(StatusCode::NO_CONTENT)
}

fn answer(
    port: &dyn QueryPort,
    request: InfluxqlRequest,
    style: Style,
    own_trace: impl FnOnce() -> Option<String>,
    job: &mut Job,
) -> Result<(), QueryError> {
    let mut writer = Writer::new(style);
    if request.asked.is_some() {
        job.writer.may_keep();
    }
    let request = InfluxqlRequest { cancel: job.cancel.clone(), ..request };
    let result = port.influxql(request, &mut |item| writer.item(item, &mut job.writer));
    job.writer.begin_end();
    match result {
        Ok(keep) => job.writer.keep(keep),
        Err(error) => {
            let error = match writer.is_too_large() {
                true => too_large(),
                false => worded(job.reason(error)),
            };
            if !job.writer.sent() {
                return Err(error);
            }
            let message = ApiError::from(error).message;
            // As below.
            let _gone = writer.item(InfluxqlItem::Error(message), &mut job.writer);
        }
    }
    // A closed sink is a client that went away: nobody is left to tell.
    writer.finish(own_trace(), &mut job.writer).or(Ok(()))
}

fn too_large() -> QueryError {
    let most = msgpack::DOCUMENT_BYTES_MAX >> 20;
    QueryError::LimitReached(format!(
        "a document of MessagePack, which is held whole, would be larger than {most} MiB (max-msgpack-size): ask for \
         chunks, or for JSON"
    ))
}

/// Errors of the whole text in 1.x's words.
fn worded(error: QueryError) -> QueryError {
    let prefixed = |prefix: &str, text: String| {
        if text.starts_with(prefix) { text } else { format!("{prefix}{text}") }
    };
    match error {
        QueryError::Invalid(text) => QueryError::Invalid(prefixed("error parsing query: ", text)),
        QueryError::Forbidden(text) => QueryError::Forbidden(prefixed("error authorizing query: ", text)),
        other => other,
    }
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The first format that the client takes.
fn format(headers: &HeaderMap) -> Format {
    accept::media_types(headers)
        .find_map(|item| match item {
            "application/csv" | "text/csv" => Some(Format::Csv),
            "application/x-msgpack" => Some(Format::Msgpack),
            "application/json" | "*/*" => Some(Format::Json),
            _ => None,
        })
        .unwrap_or(Format::Json)
}

fn style(headers: &HeaderMap, params: &Params) -> Style {
    let chunk_rows = params.get("chunk_size").and_then(|text| text.parse().ok()).filter(|rows| *rows > 0);
    Style {
        format: format(headers),
        pretty: params.flag("pretty"),
        chunk_rows: params.flag("chunked").then(|| chunk_rows.unwrap_or(CHUNK_ROWS)),
        epoch_ns: params.get("epoch").map(epoch_ns),
    }
}

/// Nanoseconds in the unit of an epoch; what is no unit counts as nanoseconds, as in 1.x.
fn epoch_ns(unit: &str) -> i64 {
    match unit {
        "u" | "us" | "µ" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => 1,
    }
}

/// Reads the bound parameters: a JSON object of plain values, and of objects that name the kind of theirs.
fn bound(text: Option<&str>, max: usize) -> Result<Vec<(String, InfluxqlParam)>, ApiError> {
    let wrong = |reason: &dyn std::fmt::Display| {
        ApiError::invalid(format!("error parsing query parameters: {reason}"))
    };
    let Some(text) = text else { return Ok(Vec::new()) };
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| wrong(&error))?;
    if object.len() > max {
        return Err(wrong(&format!("more than {max} parameters (params-max)")));
    }
    object
        .into_iter()
        .map(|(name, value)| {
            let value = bound_value(&value).map_err(|reason| wrong(&format!("{name}: {reason}")))?;
            Ok((name, value))
        })
        .collect()
}

/// One bound parameter. What cannot be one is only told to who uses it, in InfluxDB's words.
fn bound_value(value: &serde_json::Value) -> Result<InfluxqlParam, String> {
    use serde_json::Value;
    Ok(match value {
        Value::String(text) => InfluxqlParam::String(text.clone()),
        Value::Bool(value) => InfluxqlParam::Boolean(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => InfluxqlParam::Integer(integer),
            (None, Some(float)) => InfluxqlParam::Float(float),
            (None, None) => return Err(format!("{number} is out of range")),
        },
        Value::Null => unusable("unable to bind parameter with type <nil>"),
        Value::Array(_) => unusable("unable to bind parameter with type []interface {}"),
        Value::Object(object) => {
            let mut entries = object.iter();
            match (entries.next(), entries.next()) {
                (Some((kind, value)), None) => of_kind(kind, value),
                _ => unusable("bound object parameter value must have exactly one entry"),
            }
        }
    })
}

fn unusable(reason: &str) -> InfluxqlParam {
    InfluxqlParam::Unusable(reason.to_owned())
}

/// The parameter that `{"kind": value}` is.
fn of_kind(kind: &str, value: &serde_json::Value) -> InfluxqlParam {
    let text = || value.as_str().map(str::to_owned);
    let integer = || value.as_i64();
    let (param, wanted) = match kind {
        "ident" | "identifier" => {
            (text().map(InfluxqlParam::Identifier), "identifier must be a string value")
        }
        "regex" => (text().map(InfluxqlParam::Regex), "regex literal must be a string value"),
        "string" => (text().map(InfluxqlParam::String), "string literal must be a string value"),
        "float" | "number" => {
            (value.as_f64().map(InfluxqlParam::Float), "number literal must be a float value")
        }
        "int" | "integer" => {
            (integer().map(InfluxqlParam::Integer), "integer literal must be an integer value")
        }
        "duration" => {
            let nanos = || integer().map(|nanos| format!("{nanos}ns"));
            let text = text().or_else(nanos).map(InfluxqlParam::Duration);
            (text, "duration literal must be a string or integer value")
        }
        _ => return unusable(&format!("unknown bind object type: {kind}")),
    };
    param.unwrap_or_else(|| unusable(wanted))
}
