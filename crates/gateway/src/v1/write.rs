//! `POST /write`: good lines are written even beside bad ones, and the bad ones reported with 400.

use axum::extract::{Request, State};
use axum::response::Response;
use catalog::{Action, ResourceType};
use model::lineprotocol::LineErrorKind;
use model::{OrgId, Precision};

use crate::auth::{self, Identity};
use crate::error::{ApiError, V1Error};
use crate::gateway::App;
use crate::ingest;
use crate::params::Params;
use crate::ports::WriteError;

pub(crate) async fn post(State(app): State<App>, request: Request) -> Result<Response, V1Error> {
    let (parts, body) = request.into_parts();
    let params = Params::of_uri(&parts.uri, app.options.limits.params_max)?;
    let who = auth::v1(&app, &parts.headers, &params).await?;
    let database = params.get("db").ok_or_else(|| ApiError::invalid("database is required"))?;
    let precision = precision(params.get("precision"))?;
    let seen = app.seen(&parts.headers)?;
    consistency(params.get("consistency"))?;
    let org = who.org.ok_or_else(|| ApiError::forbidden("the user belongs to no organization"))?;
    trace::own(org);
    let policy = params.get("rp");
    let found = app
        .find(|state| state.resolve_dbrp(org, database, policy).and_then(|id| state.bucket(id).cloned()))
        .await
        .map_err(ApiError::from)?;
    let Some(bucket) = found else {
        // Who may write to nothing of a database is not told what it has.
        if !may_write_some(&app, &who, org, database) {
            return Err(refused(&app, &who, database));
        }
        let known = policy.is_some() && app.look(|state| state.resolve_dbrp(org, database, None)).is_some();
        return Err(V1Error(not_found(database, policy.filter(|_| known))));
    };
    let again = auth::v1(&app, &parts.headers, &params);
    if !auth::may_write(&app, &who, again, &bucket).await? {
        return Err(refused(&app, &who, database));
    }
    let received = ingest::receive(&app, &parts.headers, body, &bucket, precision).await?;
    let is_dropped = |kind| matches!(kind, LineErrorKind::Dropped | LineErrorKind::ReservedTagKey);
    let complaint = received.complaint(is_dropped);
    let dropped = received.dropped(is_dropped);
    app.metrics.points_unreadable.add(received.parsed.refused);
    let nothing_good = received.parsed.batch.is_empty() && dropped.is_none();
    let (batch, held) = received.into_batch();
    let commits = ingest::join(dropped, ingest::store(&app, batch, held).await)
        .map_err(|error| V1Error(write_error(error, database)))?;
    match complaint {
        None => Ok(app.acknowledged(seen, &commits)),
        Some(complaint) if nothing_good => Err(V1Error(ApiError::invalid(complaint))),
        Some(complaint) => Err(V1Error(ApiError::invalid(format!("partial write: {complaint} dropped=0")))),
    }
}

fn refused(app: &App, who: &Identity, database: &str) -> V1Error {
    let name = auth::name(app, who).map(|name| format!("{name:?} ")).unwrap_or_default();
    let message = format!("{name}user is not authorized to write to database \"{database}\"");
    V1Error(ApiError::forbidden(message))
}

/// Whether any bucket of a database may be written to, or there may be one that is made.
fn may_write_some(app: &App, who: &Identity, org: OrgId, database: &str) -> bool {
    let may = |id| who.grants.allow(Action::Write, ResourceType::Buckets, id, Some(org));
    may(None)
        || app.look(|state| {
            let of_names = state.buckets_of(org).filter(|b| b.is_of_database(database));
            let of_mappings = state.dbrps(org).filter(|d| d.database == database).map(|d| d.bucket);
            of_names.map(|b| b.id).chain(of_mappings).any(|id| may(Some(id.get())))
        })
}

fn not_found(database: &str, policy: Option<&str>) -> ApiError {
    ApiError::not_found(match policy {
        Some(policy) => format!("retention policy not found: {policy}"),
        None => format!("database not found: \"{database}\""),
    })
}

fn write_error(error: WriteError, database: &str) -> ApiError {
    match error {
        partial @ WriteError::Partial { .. } => ApiError::invalid(partial.to_string()),
        WriteError::BucketNotFound => not_found(database, None),
        other => other.into(),
    }
}

fn precision(text: Option<&str>) -> Result<Precision, ApiError> {
    match text {
        None | Some("n" | "ns") => Ok(Precision::Nanosecond),
        Some("u" | "us" | "µ") => Ok(Precision::Microsecond),
        Some("ms") => Ok(Precision::Millisecond),
        Some("s") => Ok(Precision::Second),
        Some("m") => Ok(Precision::Minute),
        Some("h") => Ok(Precision::Hour),
        Some(other) => {
            Err(ApiError::invalid(format!("invalid precision \"{other}\" (use n, u, ms, s, m or h)")))
        }
    }
}

/// Every write here is acknowledged by a quorum, which satisfies any of the levels.
fn consistency(text: Option<&str>) -> Result<(), ApiError> {
    match text {
        None | Some("any" | "one" | "quorum" | "all") => Ok(()),
        Some(_other) => Err(ApiError::invalid("invalid consistency level")),
    }
}
