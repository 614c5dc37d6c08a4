//! Errors as the two API families word them: `{"code","message"}` under `/api/v2`, `{"error"}` on the 1.x routes.
//!
//! Invariant: an outcome that is unknown, or a node that cannot answer now, is never a 4xx below 429: clients drop
//! data on those.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use catalog::{CatalogError, ErrorCode};
use http::{HeaderValue, StatusCode, header};

use crate::ports::{OrderError, QueryError, Unavailable, WriteError};
use crate::v1::json::Json;

/// The classes of errors of InfluxDB's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Our fault (500).
    Internal,
    /// Not part of this server (501).
    NotImplemented,
    /// Nothing has that name or id (404).
    NotFound,
    /// Something has that name already (422, as InfluxDB answers).
    Conflict,
    /// The request makes no sense (400).
    Invalid,
    /// The request was understood and cannot be carried out (422).
    Unprocessable,
    /// A value is missing (400).
    EmptyValue,
    /// Not now (503).
    Unavailable,
    /// The rights do not suffice (403).
    Forbidden,
    /// A queue is full (429).
    TooManyRequests,
    /// Who are you (401).
    Unauthorized,
    /// Not with this method (405).
    MethodNotAllowed,
    /// The body is too large (413).
    TooLarge,
    /// A `Content-Encoding` or `Content-Type` that we do not read (415).
    UnsupportedMediaType,
    /// The client stopped sending (408).
    Timeout,
}

impl Code {
    /// The name in the body and in `X-Platform-Error-Code`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal error",
            Self::NotImplemented => "not implemented",
            Self::NotFound => "not found",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::Unprocessable => "unprocessable entity",
            Self::EmptyValue => "empty value",
            Self::Unavailable => "unavailable",
            Self::Forbidden => "forbidden",
            Self::TooManyRequests => "too many requests",
            Self::Unauthorized => "unauthorized",
            Self::MethodNotAllowed => "method not allowed",
            Self::TooLarge => "request too large",
            Self::UnsupportedMediaType => "unsupported media type",
            Self::Timeout => "request timeout",
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict | Self::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Invalid | Self::EmptyValue => StatusCode::BAD_REQUEST,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

/// What a client is told when its request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The class.
    pub code: Code,
    /// The text.
    pub message: String,
    /// When to come again (429 and 503).
    pub retry_after: Option<Duration>,
}

/// The text of every error whose cause is none of the client's business.
pub(crate) const INTERNAL_TEXT: &str = "An internal error has occurred - check server logs";

impl ApiError {
    /// An error of a class.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let retry_after =
            matches!(code, Code::TooManyRequests | Code::Unavailable).then_some(Duration::from_secs(1));
        Self { code, message: message.into(), retry_after }
    }

    /// See [`Code::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message)
    }

    /// See [`Code::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// See [`Code::Forbidden`].
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, message)
    }

    /// 401 in the words of 2.x.
    pub fn unauthorized() -> Self {
        Self::new(Code::Unauthorized, "unauthorized access")
    }

    /// Logs the cause and hides it from the client.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed on our side");
        Self::new(Code::Internal, INTERNAL_TEXT)
    }

    fn common_headers(&self, response: &mut Response) {
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
    }

    /// The error as `/api/v2` words it.
    pub(crate) fn v2_response(&self) -> Response {
        let body = serde_json::json!({ "code": self.code.name(), "message": self.message });
        let mut response = json(self.code.status(), &body);
        response.headers_mut().insert("x-platform-error-code", HeaderValue::from_static(self.code.name()));
        self.common_headers(&mut response);
        response
    }

    /// The error as the 1.x routes word it.
    pub(crate) fn v1_response(&self, pretty: bool) -> Response {
        let mut body = Json::new(pretty);
        body.begin(b'{');
        body.key("error");
        body.string(&self.message);
        body.end(b'}');
        body.out.push(b'\n');
        self.v1_response_of("application/json", body.out)
    }

    /// The same for who wants CSV.
    pub(crate) fn v1_csv_response(&self, csv: Vec<u8>) -> Response {
        self.v1_response_of("text/csv", csv)
    }

    fn v1_response_of(&self, content_type: &'static str, body: Vec<u8>) -> Response {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert("x-influxdb-error", header_text(&self.message));
        if self.code == Code::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"InfluxDB\""));
        }
        self.common_headers(&mut response);
        response
    }
}

/// The first 1,024 bytes of a text, made fit for a header.
fn header_text(text: &str) -> HeaderValue {
    let clean: Vec<u8> = text
        .bytes()
        .take(1024)
        .map(|b| if b == b'\n' || b == b'\r' { b' ' } else { b })
        .filter(|b| *b == b'\t' || (*b >= 0x20 && *b != 0x7f))
        .collect();
    HeaderValue::from_bytes(&clean).unwrap_or_else(|_control| HeaderValue::from_static("error"))
}

/// A JSON answer with InfluxDB's content type.
pub(crate) fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.v2_response()
    }
}

/// An error on a 1.x route.
#[derive(Debug)]
pub(crate) struct V1Error(pub(crate) ApiError);

impl From<ApiError> for V1Error {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for V1Error {
    fn into_response(self) -> Response {
        self.0.v1_response(false)
    }
}

impl From<Unavailable> for ApiError {
    fn from(error: Unavailable) -> Self {
        let message = match error {
            Unavailable::TryLater(message) => message,
            Unavailable::OutcomeUnknown(message) => {
                format!("outcome unknown: {message}; the change may or may not have been made")
            }
        };
        Self::new(Code::Unavailable, message)
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        let code = match error.code {
            ErrorCode::Conflict => Code::Conflict,
            ErrorCode::NotFound => Code::NotFound,
            ErrorCode::Invalid => Code::Invalid,
            ErrorCode::Forbidden => Code::Forbidden,
            ErrorCode::UnprocessableEntity => Code::Unprocessable,
        };
        Self::new(code, error.message)
    }
}

impl From<OrderError> for ApiError {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::NotFound(message) => Self::not_found(message),
            OrderError::Refused(refusal) => refusal.into(),
            OrderError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Invalid(message) | QueryError::LimitReached(message) => Self::invalid(message),
            QueryError::NotFound(message) => Self::not_found(message),
            QueryError::Forbidden(message) => Self::forbidden(message),
            QueryError::Unavailable(unavailable) => unavailable.into(),
            QueryError::Internal(cause) => Self::internal(&cause),
            QueryError::Cancelled => Self::new(Code::Unavailable, "query cancelled"),
        }
    }
}

/// A write's error under `/api/v2`.
impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            partial @ WriteError::Partial { .. } => {
                Self::new(Code::Unprocessable, format!("failure writing points to database: {partial}"))
            }
            WriteError::BucketNotFound => Self::not_found("bucket not found"),
            WriteError::Invalid(message) => Self::invalid(message),
            WriteError::Unavailable(unavailable) => unavailable.into(),
            WriteError::Overloaded { message, retry_after } => {
                Self { retry_after: Some(retry_after), ..Self::new(Code::TooManyRequests, message) }
            }
            WriteError::Catalog(refusal) => refusal.into(),
        }
    }
}
