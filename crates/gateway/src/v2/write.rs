//! `POST /api/v2/write`: 204 after commit and apply; a line that does not parse refuses the whole body.

use axum::extract::{Request, State};
use axum::response::Response;
use model::Precision;
use model::lineprotocol::LineErrorKind;

use super::lookup;
use crate::auth;
use crate::error::ApiError;
use crate::gateway::App;
use crate::ingest;
use crate::params::Params;

pub(crate) async fn post(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let params = Params::of_uri(&parts.uri, app.options.limits.params_max)?;
    let who = auth::v2(&app, &parts.headers).await?;
    who.org.into_iter().for_each(trace::own);
    let seen = app.seen(&parts.headers)?;
    let precision = precision(params.get("precision"))?;
    let org = lookup::org_of(&app, &params).await?.id;
    let bucket = params.get("bucket").ok_or_else(|| ApiError::not_found("bucket not found"))?;
    let bucket = lookup::named_bucket(&app, org, bucket).await?;
    let again = auth::v2(&app, &parts.headers);
    if !auth::may_write(&app, &who, again, &bucket).await? {
        return Err(ApiError::forbidden("insufficient permissions for write"));
    }
    let received = ingest::receive(&app, &parts.headers, body, &bucket, precision).await?;
    if received.empty {
        return Err(ApiError::invalid("writing requires points"));
    }
    let is_dropped = |kind| kind == LineErrorKind::Dropped;
    if let Some(complaint) = received.complaint(is_dropped) {
        app.metrics.points_unreadable.add(received.parsed.refused);
        return Err(ApiError::invalid(complaint));
    }
    let dropped = received.dropped(is_dropped);
    let (batch, held) = received.into_batch();
    let commits = ingest::join(dropped, ingest::store(&app, batch, held).await)?;
    Ok(app.acknowledged(seen, &commits))
}

fn precision(text: Option<&str>) -> Result<Precision, ApiError> {
    match text {
        None | Some("ns") => Ok(Precision::Nanosecond),
        Some("us") => Ok(Precision::Microsecond),
        Some("ms") => Ok(Precision::Millisecond),
        Some("s") => Ok(Precision::Second),
        Some(_other) => {
            Err(ApiError::invalid("invalid precision; valid precision units are ns, us, ms, and s"))
        }
    }
}
