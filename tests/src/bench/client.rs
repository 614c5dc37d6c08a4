//! One kept-alive connection to a server, and the answers it gives, checked.

use std::io::Read as _;
use std::time::Duration;

use serde_json::Value;
use testkit::node::encode;

/// Bytes of a streamed answer that are read at once.
const STREAM_BUFFER: usize = 1 << 18;
/// No request may take longer.
const REQUEST_MAX: Duration = Duration::from_secs(600);

/// A connection. Answers other than 2xx are errors.
#[derive(Debug)]
pub(crate) struct Client {
    agent: ureq::Agent,
    url: String,
    authorization: Option<String>,
}

impl Client {
    pub(crate) fn new(url: &str, token: Option<&str>) -> Self {
        Self::with_limit(url, token, REQUEST_MAX)
    }

    /// A connection whose requests end after `limit`.
    pub(crate) fn with_limit(url: &str, token: Option<&str>, limit: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(limit))
            .accept_encoding("identity")
            .max_idle_age(REQUEST_MAX)
            .build();
        let authorization = token.map(|token| format!("Token {token}"));
        Self { agent: config.into(), url: url.to_owned(), authorization }
    }

    pub(crate) fn get(&self, path: &str) -> Result<String, String> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        answer(path, request.call())
    }

    /// Hands over an answer's bytes as they come.
    pub(crate) fn stream(&self, path: &str, accept: &str, mut take: impl FnMut(&[u8])) -> Result<(), String> {
        let mut request = self.agent.get(format!("{}{path}", self.url)).header("accept", accept);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut response = request.call().map_err(|e| format!("{path}: {e}"))?;
        if !response.status().is_success() {
            return answer(path, Ok(response)).map(drop);
        }
        let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0; STREAM_BUFFER];
        loop {
            match body.read(&mut buffer).map_err(|e| format!("{path}: {e}"))? {
                0 => return Ok(()),
                length => take(&buffer[..length]),
            }
        }
    }

    pub(crate) fn post(&self, path: &str, body: impl ureq::AsSendBody) -> Result<String, String> {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        request = request.content_type("text/plain; charset=utf-8");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        answer(path, request.send(body))
    }

    pub(crate) fn post_json(&self, path: &str, body: &Value) -> Result<String, String> {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        answer(path, request.send_json(body))
    }

    /// A statement of InfluxQL to Tidemark or InfluxDB; the answer's JSON text, which holds no error.
    pub(crate) fn influxql(&self, statement: &str) -> Result<String, String> {
        let path = format!("/query?db=bench&epoch=ms&q={}", encode(statement));
        let text = if statement.starts_with("SELECT") || statement.starts_with("SHOW") {
            self.get(&path)?
        } else {
            self.post(&path, "")?
        };
        // An error stands at the beginning of an answer or nowhere.
        let head = text.get(..text.len().min(400)).unwrap_or(&text);
        if head.contains("\"error\"") { Err(format!("{statement}: {text}")) } else { Ok(text) }
    }

    /// The numbers of the only row of a statement's answer, without its time.
    pub(crate) fn influxql_row(&self, statement: &str) -> Result<Vec<f64>, String> {
        let text = self.influxql(statement)?;
        let answer: Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
        let row = answer["results"][0]["series"][0]["values"][0].as_array().cloned().unwrap_or_default();
        Ok(row.iter().skip(1).filter_map(Value::as_f64).collect())
    }

    /// The number that an instant query of VictoriaMetrics gives at `time_s`.
    pub(crate) fn metricsql_number(&self, query: &str, time_s: i64) -> Result<f64, String> {
        let text = self.get(&format!("/api/v1/query?time={time_s}&nocache=1&query={}", encode(query)))?;
        let answer: Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
        let number = answer["data"]["result"][0]["value"][1].as_str().unwrap_or("0");
        number.parse().map_err(|e| format!("{e}: {text}"))
    }
}

fn answer(path: &str, sent: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<String, String> {
    let mut response = sent.map_err(|e| format!("{path}: {e}"))?;
    let status = response.status();
    let body = response.body_mut().with_config().limit(1 << 30).read_to_string();
    let body = body.map_err(|e| format!("{path}: {e}"))?;
    if status.is_success() { Ok(body) } else { Err(format!("{path}: {status} {body}")) }
}
