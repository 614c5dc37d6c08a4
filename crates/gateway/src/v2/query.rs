//! `POST /api/v2/query`: Flux in, or SQL; annotated CSV out.

use std::sync::Arc;

use arrow::array::RecordBatch;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use model::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::dialect::DialectBody;
use super::{externs, lookup, small_body};
use crate::accept;
use crate::auth;
use crate::chunks::{self, Job};
use crate::csv::{Dialect, Encoder};
use crate::error::{self, ApiError};
use crate::gateway::App;
use crate::metrics::Language;
use crate::params::Params;
use crate::ports::{CancelToken, FluxRequest, FluxTable, QueryError, QueryPort, SinkClosed, SqlRequest};
use crate::sql;

#[derive(Deserialize)]
struct QueryBody {
    query: Option<String>,
    ast: Option<Value>,
    r#type: Option<String>,
    r#extern: Option<Value>,
    dialect: Option<DialectBody>,
    now: Option<String>,
    /// The database of SQL.
    #[serde(alias = "database", alias = "db")]
    bucket: Option<String>,
    /// Values of placeholders of SQL.
    params: Option<serde_json::Map<String, Value>>,
}

/// The language of a script.
enum Spoken {
    Flux,
    Sql { bucket: Option<String>, params: Option<RecordBatch> },
}

/// What is to be run, and how the answer is to look.
struct Wanted {
    script: String,
    spoken: Spoken,
    now: Option<Timestamp>,
    dialect: Dialect,
}

pub(crate) async fn post(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let params = Params::of_uri(&parts.uri, app.options.limits.params_max)?;
    let who = auth::v2(&app, &parts.headers).await?;
    who.org.into_iter().for_each(trace::own);
    let reading = app.reading(&parts.headers, &params)?;
    let org = lookup::org_of(&app, &params).await?.id;
    let limit = (app.options.limits.query_bytes_max, "max-query-size");
    let text = small_body(&app, &parts.headers, body, limit).await?;
    let wanted = read(&parts.headers, &text, app.options.limits.params_max)?;
    let readable = app.look(|state| who.grants.readable(state, org));
    let (gzip, dialect) = (accept::gzip(&parts.headers), wanted.dialect);
    if let Spoken::Sql { bucket, params: bound } = wanted.spoken {
        let named = bucket.or_else(|| params.get("bucket").or_else(|| params.get("db")).map(str::to_owned));
        let missing = || ApiError::invalid("SQL needs a \"bucket\", in the body or in the URL");
        let request = SqlRequest {
            org,
            query: wanted.script,
            database: named.ok_or_else(missing)?,
            params: bound,
            reading,
            readable,
            cancel: CancelToken::default(),
        };
        let query = Arc::clone(&app.ports.query);
        let run = move |job: &mut Job| {
            let request = SqlRequest { cancel: job.cancel.clone(), ..request };
            answer(dialect, job, |sink| {
                let mut unwritable = None;
                // The columns come first; they are a table of their own only when no rows follow.
                let mut columns = None;
                let mut table = |batch| match sql::frames::frame(&batch) {
                    Ok(frame) => sink(FluxTable { result: "_result".into(), table: 0, frame }),
                    Err(error) => {
                        unwritable = Some(QueryError::Invalid(error.to_string()));
                        Err(SinkClosed)
                    }
                };
                let result = query.sql(request, &mut |batch| {
                    if batch.num_rows() == 0 {
                        columns = Some(batch);
                        return Ok(());
                    }
                    columns = None;
                    table(batch)
                });
                if let (Ok(()), Some(columns)) = (&result, columns) {
                    // A client that went away: nobody is left to tell.
                    let _gone = table(columns);
                }
                unwritable.map_or(result, Err)
            })
        };
        return Ok(csv_response(chunks::run(&app, Language::Sql, gzip, run).await?, gzip));
    }
    let request = move |job: &Job| FluxRequest {
        org,
        script: wanted.script,
        now: wanted.now,
        reading,
        readable,
        cancel: job.cancel.clone(),
    };
    let query = Arc::clone(&app.ports.query);
    if wants_nothing(&parts.headers) {
        let nothing =
            chunks::run(&app, Language::Flux, false, move |job| run_silently(&*query, request(job))).await?;
        drop(nothing);
        return Ok(error::empty(StatusCode::NO_CONTENT));
    }
    let run = move |job: &mut Job| {
        let request = request(job);
        answer(dialect, job, |sink| query.flux(request, sink))
    };
    Ok(csv_response(chunks::run(&app, Language::Flux, gzip, run).await?, gzip))
}

fn csv_response(body: Body, gzip: bool) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Runs a script for its effects.
fn run_silently(query: &dyn QueryPort, request: FluxRequest) -> Result<(), QueryError> {
    query.flux(request, &mut |_table| Ok(())).map_err(worded)
}

/// Runs a script and writes its tables. An error after the first chunk becomes an error table.
fn answer(
    dialect: Dialect,
    job: &mut Job,
    run: impl FnOnce(&mut dyn FnMut(FluxTable) -> Result<(), SinkClosed>) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    let mut encoder = Encoder::new(dialect);
    let result = run(&mut |table: FluxTable| encoder.table(&table, &mut |out| job.writer.write(out)));
    job.writer.begin_end();
    let written = match result {
        Ok(()) => encoder.finish(&mut |out| job.writer.write(out)),
        Err(error) if job.writer.sent() => {
            let message = ApiError::from(worded(job.reason(error))).message;
            encoder.error(&message, &mut |out| job.writer.write(out))
        }
        Err(error) => return Err(worded(error)),
    };
    // A closed sink is a client that went away: nobody is left to tell.
    written.or(Ok(()))
}

/// Compile errors in InfluxDB's words.
fn worded(error: QueryError) -> QueryError {
    match error {
        QueryError::Invalid(message) if message.starts_with("error @") => {
            QueryError::Invalid(format!("compilation failed: {message}"))
        }
        other => other,
    }
}

fn wants_nothing(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|item| matches!(item.trim(), "return-no-content" | "return-no-content-with-error"))
}

fn read(headers: &HeaderMap, text: &[u8], params_max: usize) -> Result<Wanted, ApiError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/vnd.flux") {
        let script = std::str::from_utf8(text)
            .map_err(|error| ApiError::invalid(format!("the Flux script is not UTF-8: {error}")))?;
        let (script, dialect) = (not_empty(script)?, Dialect::plain());
        return Ok(Wanted { script, spoken: Spoken::Flux, now: None, dialect });
    }
    let body: QueryBody = serde_json::from_slice(text).map_err(|error| {
        ApiError::invalid(format!(
            "failed parsing request body as JSON; if sending a raw Flux script, set \
             'Content-Type: application/vnd.flux' in your request headers: {error}"
        ))
    })?;
    let spoken = match body.r#type.as_deref() {
        None | Some("" | "flux") => Spoken::Flux,
        Some("sql") => {
            let params = sql::params::row(&body.params.unwrap_or_default(), params_max)?;
            Spoken::Sql { bucket: body.bucket, params }
        }
        Some(kind) => return Err(ApiError::invalid(format!("unknown query type: {kind}"))),
    };
    let script = match (body.query, body.ast) {
        (Some(script), _) => not_empty(&script)?,
        (None, Some(_ast)) => {
            return Err(ApiError::invalid(
                "a query as a syntax tree is not supported; send its text as \"query\"",
            ));
        }
        (None, None) => return Err(ApiError::invalid("request body requires either query or AST")),
    };
    let script = match body.r#extern {
        Some(file) if !file.is_null() && matches!(spoken, Spoken::Flux) => {
            externs::insert(&externs::prelude(&file)?, &script)
        }
        _ => script,
    };
    let now = body.now.filter(|text| !text.is_empty()).map(|text| {
        Timestamp::parse_rfc3339(&text)
            .ok_or_else(|| ApiError::invalid(format!("now is not an RFC 3339 time: {text:?}")))
    });
    let dialect = body.dialect.map_or_else(|| Ok(Dialect::plain()), DialectBody::check)?;
    Ok(Wanted { script, spoken, now: now.transpose()?, dialect })
}

fn not_empty(script: &str) -> Result<String, ApiError> {
    if script.trim().is_empty() {
        return Err(ApiError::invalid("request body requires either query or AST"));
    }
    Ok(script.to_owned())
}
