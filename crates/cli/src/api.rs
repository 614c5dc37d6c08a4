//! Calls to a server, with its errors in its own words.

use std::io::Read as _;

use serde_json::Value;

use crate::error::CliError;
use crate::profile::Target;

/// The largest error message that is read.
const ERROR_BYTES_MAX: u64 = 1 << 20;

/// Connections to one server.
#[derive(Debug)]
pub(crate) struct Api {
    agent: ureq::Agent,
    target: Target,
}

impl Api {
    pub(crate) fn new(target: Target) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(target.timeout))
            .user_agent(concat!("tidemark/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Self { agent, target }
    }

    /// The organization, which the verb needs.
    pub(crate) fn org(&self) -> Result<&str, CliError> {
        self.target.org.as_deref().ok_or_else(|| {
            CliError::Usage(
                "which organization? Give --org, set TIDEMARK_ORG, or run `tidemark setup`".to_owned(),
            )
        })
    }

    /// How long the person is willing to wait.
    pub(crate) const fn patience(&self) -> std::time::Duration {
        self.target.timeout
    }

    pub(crate) fn url(&self) -> &str {
        &self.target.url
    }

    pub(crate) fn get_json(&self, path: &str) -> Result<Value, CliError> {
        let request = self.request("GET", path).body(()).map_err(|e| self.unreachable(e.into()))?;
        let response = self.agent.run(request).map_err(|e| self.unreachable(e))?;
        json(accepted(response)?)
    }

    pub(crate) fn post_json(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        json(self.post(path, &[("content-type", "application/json")], body.to_string().into_bytes())?)
    }

    /// Posts a body; the answer is a success.
    pub(crate) fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<ureq::http::Response<ureq::Body>, CliError> {
        let mut builder = self.request("POST", path);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let request = builder.body(body).map_err(|e| self.unreachable(e.into()))?;
        accepted(self.agent.run(request).map_err(|e| self.unreachable(e))?)
    }

    /// Deletes something; the answer is a success.
    pub(crate) fn delete(&self, path: &str) -> Result<(), CliError> {
        let request = self.request("DELETE", path).body(()).map_err(|e| self.unreachable(e.into()))?;
        accepted(self.agent.run(request).map_err(|e| self.unreachable(e))?).map(drop)
    }

    fn request(&self, method: &str, path: &str) -> ureq::http::request::Builder {
        let builder = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.target.url));
        match &self.target.token {
            Some(token) => builder.header("authorization", format!("Token {token}")),
            None => builder,
        }
    }

    fn unreachable(&self, error: ureq::Error) -> CliError {
        CliError::Unreachable { url: self.target.url.clone(), source: Box::new(error) }
    }
}

/// Percent-encodes a value of a query string.
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    out
}

fn json(mut response: ureq::http::Response<ureq::Body>) -> Result<Value, CliError> {
    response.body_mut().read_json().map_err(|e| CliError::Answer(e.to_string()))
}

/// The response when it is a success, else the server's error.
fn accepted(
    response: ureq::http::Response<ureq::Body>,
) -> Result<ureq::http::Response<ureq::Body>, CliError> {
    let status = response.status().as_u16();
    if (200..300).contains(&status) {
        return Ok(response);
    }
    let mut text = String::new();
    let read = response.into_body().into_reader().take(ERROR_BYTES_MAX).read_to_string(&mut text);
    let spoken = serde_json::from_str::<Value>(&text).ok().and_then(|value| {
        let message = value.get("message").or_else(|| value.get("error"))?;
        Some(message.as_str()?.to_owned())
    });
    let message = match (spoken, read) {
        (Some(message), _) => message,
        (None, Ok(_)) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => format!("the server answered with status {status}"),
    };
    Err(CliError::Refused { status, message })
}
