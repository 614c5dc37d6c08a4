//! The `/api/v2` routes: InfluxDB 2.x's resources, writes and queries.

pub(crate) mod authorizations;
pub(crate) mod buckets;
pub(crate) mod dbrps;
pub(crate) mod delete;
pub(crate) mod dialect;
pub(crate) mod externs;
pub(crate) mod lookup;
pub(crate) mod orgs;
pub(crate) mod query;
pub(crate) mod session;
pub(crate) mod setup;
pub(crate) mod shape;
pub(crate) mod users;
pub(crate) mod write;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Request};
use http::HeaderMap;
use http::request::Parts;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use crate::auth::{self, Identity};
use crate::body::{self, BodyLimits, Encoding};
use crate::error::ApiError;
use crate::gateway::App;
use crate::params::Params;

/// An authenticated request to a resource.
pub(crate) struct Call {
    pub(crate) app: App,
    pub(crate) headers: HeaderMap,
    pub(crate) params: Params,
    pub(crate) who: Identity,
    /// In a mutex only because a body cannot be shared, and a call must be.
    body: Mutex<Body>,
}

impl Call {
    /// Reads the URL and authenticates; the body stays unread.
    pub(crate) async fn open(app: App, request: Request) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let params = Params::of_uri(&parts.uri, app.options.limits.params_max)?;
        let who = auth::v2(&app, &parts.headers).await?;
        Ok(Self { app, headers: parts.headers, params, who, body: Mutex::new(body) })
    }

    /// Reads the body as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        json_body(&self.app, &self.headers, std::mem::take(self.body.get_mut())).await
    }

    /// Reads the body as JSON, where there is one.
    pub(crate) async fn json_or_nothing<T: DeserializeOwned + Default>(&mut self) -> Result<T, ApiError> {
        let limit = (self.app.options.limits.json_bytes_max, "max-json-size");
        let text = small_body(&self.app, &self.headers, std::mem::take(self.body.get_mut()), limit).await?;
        if text.is_empty() || text == "null" { Ok(T::default()) } else { read_json(&text) }
    }

    /// The time of whatever this request makes.
    pub(crate) fn now(&self) -> model::Timestamp {
        self.app.ports.clock.now()
    }
}

/// The `{id}` of a route. What is no text is refused in the API's own words.
pub(crate) struct PathId(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(rejection) => Err(ApiError::invalid(format!("invalid id: {}", rejection.body_text()))),
        }
    }
}

/// Reads a small JSON body. Errors name line and column.
pub(crate) async fn json_body<T: DeserializeOwned>(
    app: &App,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, ApiError> {
    let limit = (app.options.limits.json_bytes_max, "max-json-size");
    let text = small_body(app, headers, body, limit).await?;
    read_json(&text)
}

fn read_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(text).map_err(|error| ApiError::invalid(format!("invalid JSON: {error}")))
}

/// Reads a small body, unpacked.
pub(crate) async fn small_body(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    limit: (usize, &'static str),
) -> Result<bytes::Bytes, ApiError> {
    let encoding = Encoding::of(headers)?;
    let mut held = app.reserve();
    let limits = BodyLimits { bytes_max: limit, idle_max: app.options.limits.body_idle_max };
    let packed = body::read(headers, body, limits, &mut held).await?;
    body::unpack(packed, encoding, limit, &mut held)
}
