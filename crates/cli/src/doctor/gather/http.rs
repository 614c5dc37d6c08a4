//! Questions over HTTP, with an end to their time and to the size of their answers.

use std::time::Duration;

/// Asks servers.
#[derive(Debug)]
pub(crate) struct Http {
    agent: ureq::Agent,
}

/// Any answer: its status, and its beginning as text.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Http {
    pub(crate) fn new(timeout: Duration) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            .user_agent(concat!("tidemark/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Self { agent }
    }

    /// Asks; the error says whom and why not.
    pub(crate) fn get(&self, url: &str, token: Option<&str>, bytes_max: u64) -> Result<Answer, String> {
        self.ask("GET", url, token, bytes_max)
    }

    /// Sends a request with an empty body.
    pub(crate) fn ask(
        &self,
        method: &str,
        url: &str,
        token: Option<&str>,
        bytes_max: u64,
    ) -> Result<Answer, String> {
        let failed = |error: ureq::Error| format!("{url} does not answer: {error}");
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        if let Some(token) = token {
            request = request.header("authorization", format!("Token {token}"));
        }
        let answer = match method {
            "GET" => self.agent.run(request.body(()).map_err(|error| failed(error.into()))?),
            _ => self.agent.run(request.body(Vec::<u8>::new()).map_err(|error| failed(error.into()))?),
        };
        let mut answer = answer.map_err(failed)?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(bytes_max).read_to_vec().map_err(failed)?;
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
    }
}
