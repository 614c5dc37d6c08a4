//! SQL over HTTP: a statement in; JSON, JSON lines, CSV, Parquet or a drawn table out.

pub(crate) mod formats;
pub(crate) mod frames;
pub(crate) mod params;

use std::sync::Arc;

use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};

use crate::accept;
use crate::chunks::{self, Job};
use crate::error::ApiError;
use crate::gateway::App;
use crate::metrics::Language;
use crate::ports::{QueryError, QueryPort, SqlRequest};
use formats::{Encoder, Format};

/// Runs a statement and streams its answer.
pub(crate) async fn respond(
    app: &App,
    headers: &HeaderMap,
    request: SqlRequest,
    format: Format,
) -> Result<Response, ApiError> {
    // Parquet is compressed in itself.
    let gzip = accept::gzip(headers) && !matches!(format, Format::Parquet);
    let query = Arc::clone(&app.ports.query);
    let body = chunks::run(app, Language::Sql, gzip, move |job| {
        let request = SqlRequest { cancel: job.cancel.clone(), ..request };
        answer(&*query, request, format, job)
    })
    .await?;
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// Runs a statement and writes its rows. An error after the first chunk breaks the answer off: no format has a place for
/// it, and what came is not the whole.
fn answer(
    query: &dyn QueryPort,
    request: SqlRequest,
    format: Format,
    job: &mut Job,
) -> Result<(), QueryError> {
    let mut encoder = Encoder::new(format);
    let mut failed = None;
    let mut out = Vec::new();
    let result = query.sql(request, &mut |batch| match encoder.batch(&batch, &mut out) {
        Ok(()) => job.writer.write(&mut out),
        Err(error) => {
            failed = Some(error);
            Err(crate::ports::SinkClosed)
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    result.map_err(|error| job.reason(error))?;
    job.writer.begin_end();
    encoder.finish(&mut out)?;
    // A closed sink is a client that went away: nobody is left to tell.
    job.writer.write(&mut out).or(Ok(()))
}
