//! Requests as the run makes them: short timeouts, and a clear word on what an answer means.

use std::time::Duration;

use testkit::{Reply, Request};

use crate::history::Outcome;
use crate::oracle::Row;

/// The organization of a run's users, where nothing else is said.
const ORG: &str = "chaos";
/// The bucket of all points.
pub(crate) const BUCKET: &str = "chaos";
/// How long a writer waits for an answer.
pub(crate) const WRITE: Duration = Duration::from_secs(1);
/// How long a reader waits for an answer.
pub(crate) const READ: Duration = Duration::from_secs(5);
/// How long a probe waits for an answer: longer than any should take.
pub(crate) const PROBE: Duration = Duration::from_secs(20);

/// A client with connections of its own.
#[derive(Debug)]
pub(crate) struct Client {
    agent: ureq::Agent,
    token: String,
    org: String,
}

/// Why a read has no rows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// No answer, or one that says to come again.
    #[error("no answer: {status:?} {text}")]
    Later { status: Option<u16>, text: String },
    /// An answer that no client should get.
    #[error("the answer {status}: {text}")]
    Wrong { status: u16, text: String },
}

impl Client {
    /// A client that waits so long for answers.
    pub(crate) fn new(token: &str, timeout: Duration) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            .timeout_connect(Some(Duration::from_millis(500)))
            .build();
        Self { agent: agent.into(), token: token.to_owned(), org: ORG.to_owned() }
    }

    /// One of another organization.
    #[must_use]
    pub(crate) fn of_org(self, org: &str) -> Self {
        Self { org: org.to_owned(), ..self }
    }

    /// Sends; fails only when no answer comes.
    pub(crate) fn send(&self, request: Request) -> Result<Reply, ureq::Error> {
        request.token(&self.token).send_with(&self.agent)
    }

    /// Writes lines; answers what is known then, with the status.
    pub(crate) fn write(&self, url: &str, lines: String) -> (Outcome, Option<Reply>) {
        let org = testkit::node::encode(&self.org);
        let request =
            Request::new("POST", format!("{url}/api/v2/write?org={org}&bucket={BUCKET}")).body(lines);
        match self.send(request) {
            Ok(reply) if reply.status == 204 => (Outcome::Acknowledged, Some(reply)),
            Ok(reply) => (Outcome::Unknown, Some(reply)),
            Err(error) if never_left(&error) => (Outcome::Refused, None),
            Err(_) => (Outcome::Unknown, None),
        }
    }

    /// Asks for rows of time, `n`, `w`.
    pub(crate) fn read(&self, url: &str, query: &str) -> Result<Vec<Row>, ReadError> {
        let query = testkit::node::encode(query);
        let request = Request::new("GET", format!("{url}/query?db={BUCKET}&epoch=ns&q={query}"));
        let reply =
            self.send(request).map_err(|error| ReadError::Later { status: None, text: error.to_string() })?;
        if reply.status == 429 || reply.status >= 500 {
            return Err(ReadError::Later { status: Some(reply.status), text: excerpt(&reply) });
        }
        rows(&reply).ok_or_else(|| ReadError::Wrong { status: reply.status, text: excerpt(&reply) })
    }
}

/// The first characters of an answer.
pub(crate) fn excerpt(reply: &Reply) -> String {
    reply.text().chars().take(300).collect()
}

/// Whether an error came before the request could leave.
fn never_left(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => true,
        ureq::Error::Timeout(which) => matches!(which, ureq::Timeout::Connect | ureq::Timeout::Resolve),
        ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        _ => false,
    }
}

/// The rows of an answer to InfluxQL; nothing when it is not one.
fn rows(reply: &Reply) -> Option<Vec<Row>> {
    let json: serde_json::Value = serde_json::from_slice(&reply.body).ok()?;
    let result = json["results"].as_array()?.first()?;
    if reply.status != 200 || result.get("error").is_some() {
        return None;
    }
    let Some(series) = result["series"].as_array() else { return Some(Vec::new()) };
    let values = series.iter().flat_map(|one| one["values"].as_array().into_iter().flatten());
    let row = |row: &serde_json::Value| {
        Some(Row { time: row[0].as_u64()?, n: row[1].as_u64()?, w: row[2].as_u64()? })
    };
    values.map(row).collect()
}
