//! The routes of InfluxDB 3 that clients of SQL use. Errors are `{"error": "..."}`.

use axum::extract::{Request, State};
use axum::response::Response;
use http::{Method, header};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::auth;
use crate::error::{ApiError, V1Error};
use crate::gateway::App;
use crate::params::Params;
use crate::ports::{CancelToken, SqlRequest};
use crate::sql::formats::Format;
use crate::sql::{self, params};
use crate::v2::small_body;

/// What a request asks; the same in a URL and in a body.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(alias = "database")]
    db: Option<String>,
    #[serde(alias = "query_str")]
    q: Option<String>,
    format: Option<String>,
    params: Option<Map<String, Value>>,
}

impl Asked {
    fn of_url(params: &Params) -> Result<Self, ApiError> {
        let text = |name: &str| params.get(name).map(str::to_owned);
        let bound = params.get("params").map(serde_json::from_str).transpose();
        let bound = bound.map_err(|error| ApiError::invalid(format!("params is no JSON object: {error}")))?;
        Ok(Self { db: text("db"), q: text("q"), format: text("format"), params: bound })
    }

    /// What a body says goes before what the URL says.
    fn or(self, url: Self) -> Self {
        Self {
            db: self.db.or(url.db),
            q: self.q.or(url.q),
            format: self.format.or(url.format),
            params: self.params.or(url.params),
        }
    }
}

/// `GET|POST /api/v3/query_sql`.
pub(crate) async fn query_sql(State(app): State<App>, request: Request) -> Result<Response, V1Error> {
    let (parts, body) = request.into_parts();
    let params_max = app.options.limits.params_max;
    let mut url = Params::of_uri(&parts.uri, params_max)?;
    let who = auth::v1(&app, &parts.headers, &url).await?;
    let org = who.org.ok_or_else(|| ApiError::forbidden("the user belongs to no organization"))?;
    trace::own(org);
    let mut asked = Asked::default();
    if parts.method == Method::POST {
        let limit = (app.options.limits.query_bytes_max, "max-query-size");
        let text = small_body(&app, &parts.headers, body, limit).await?;
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        if content_type.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
            url.prepend(&text, params_max)?;
        } else if !text.is_empty() {
            asked = serde_json::from_slice(&text)
                .map_err(|error| ApiError::invalid(format!("the body is no JSON that fits: {error}")))?;
        }
    }
    let asked = asked.or(Asked::of_url(&url)?);
    let format = Format::of(asked.format.as_deref(), &parts.headers)?;
    let missing = |name: &str| ApiError::invalid(format!("missing required parameter {name:?}"));
    let request = SqlRequest {
        org,
        query: asked.q.filter(|text| !text.trim().is_empty()).ok_or_else(|| missing("q"))?,
        database: asked.db.ok_or_else(|| missing("db"))?,
        params: params::row(&asked.params.unwrap_or_default(), params_max)?,
        reading: app.reading(&parts.headers, &url)?,
        readable: app.look(|state| who.grants.readable(state, org)),
        cancel: CancelToken::default(),
    };
    Ok(sql::respond(&app, &parts.headers, request, format).await?)
}
