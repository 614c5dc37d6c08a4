//! `POST /api/v2/delete`: points of a bucket by time and predicate. 204 when no query sees them any more.

mod predicate;

use axum::extract::{Request, State};
use axum::response::Response;
use catalog::{Action, ResourceType};
use model::{Deletion, TimeRange, Timestamp};
use serde::Deserialize;

use super::{Call, lookup, small_body};
use crate::error::ApiError;
use crate::gateway::App;

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    start: String,
    #[serde(default)]
    stop: String,
    predicate: Option<String>,
}

pub(crate) async fn post(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let mut call = Call::open(app, request).await?;
    let seen = call.app.seen(&call.headers)?;
    let limit = (call.app.options.limits.json_bytes_max, "max-json-size");
    let text = small_body(&call.app, &call.headers, std::mem::take(call.body.get_mut()), limit).await?;
    let (range, predicate) = read(&text).map_err(|reason| {
        ApiError::invalid(format!("invalid request; error parsing request json: {reason}"))
    })?;
    let org = lookup::org_of(&call.app, &call.params).await?.id;
    let bucket = call.params.get("bucketID").or_else(|| call.params.get("bucket"));
    let bucket = bucket.ok_or_else(|| ApiError::invalid("Please provide either bucketID or bucket"))?;
    let bucket = lookup::named_bucket(&call.app, org, bucket).await?;
    if !call.who.grants.allow(Action::Write, ResourceType::Buckets, Some(bucket.id.get()), Some(org)) {
        return Err(ApiError::forbidden("insufficient permissions to delete"));
    }
    let commits = call.app.ports.write.delete(Deletion { bucket: bucket.id, range, predicate }).await?;
    Ok(call.app.acknowledged(seen, &commits))
}

fn read(text: &[u8]) -> Result<(TimeRange, model::Predicate), String> {
    let body: Body = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let start = time(&body.start, "start", "2009-01-02T23:00:00Z")?;
    let stop = time(&body.stop, "stop", "2009-01-01T23:00:00Z")?;
    let predicate =
        predicate::parse(body.predicate.as_deref().unwrap_or_default()).map_err(|error| error.to_string())?;
    // As in InfluxDB, a point at the very stop goes too.
    Ok((TimeRange::new(start, Timestamp(stop.0.saturating_add(1))), predicate))
}

fn time(text: &str, field: &str, example: &str) -> Result<Timestamp, String> {
    let outside = || {
        let (side, limit) = match field {
            "start" => ("before", Timestamp::MIN),
            _ => ("after", Timestamp::MAX),
        };
        format!("invalid {field} time, {field} time must not be {side} {}", limit.to_rfc3339())
    };
    match Timestamp::parse_rfc3339(text) {
        Some(time) if (Timestamp::MIN..=Timestamp::MAX).contains(&time) => Ok(time),
        Some(_) => Err(outside()),
        // Years that nanoseconds do not reach.
        None if in_other_century(text) => Err(outside()),
        None => Err(format!(
            "invalid RFC3339Nano for field {field}, please format your time with RFC3339Nano format, example: {example}"
        )),
    }
}

/// Whether a text would be a time if its year were nearer.
fn in_other_century(text: &str) -> bool {
    let nearer =
        text.get(..4).filter(|year| year.bytes().all(|b| b.is_ascii_digit())).and_then(|_| text.get(4..));
    // A leap year, so that no date is refused for its year.
    nearer.is_some_and(|rest| Timestamp::parse_rfc3339(&format!("2000{rest}")).is_some())
}
