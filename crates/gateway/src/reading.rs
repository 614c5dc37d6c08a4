//! How new a client wants what it reads, by header or parameter, and what it must see in any case, by the tokens of the
//! writes before.

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use model::{Commits, Consistency, Reading};

use crate::commit;
use crate::error::{self, ApiError};
use crate::gateway::Shared;
use crate::params::Params;

const CONSISTENCY: HeaderName = HeaderName::from_static("x-tidemark-consistency");
const TOKEN: HeaderName = HeaderName::from_static("x-commit-token");

impl Shared {
    /// What a query demands of what it reads.
    pub(crate) fn reading(&self, headers: &HeaderMap, params: &Params) -> Result<Reading, ApiError> {
        let by_header = headers.get_all(CONSISTENCY).iter().map(|value| value.to_str().unwrap_or("?").trim());
        let named = by_header.chain(params.all("consistency"));
        let named = named.map(|name| name.parse().map_err(said::<model::ConsistencyError>));
        let named: Vec<Consistency> = named.collect::<Result<_, _>>()?;
        if named.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(ApiError::invalid(
                "headers X-Tidemark-Consistency and parameters consistency say different things",
            ));
        }
        let consistency = named.first().copied().unwrap_or(Consistency::Leader);
        Ok(Reading { consistency, seen: self.seen(headers)? })
    }

    /// What a client has seen: all of the tokens that it sends.
    pub(crate) fn seen(&self, headers: &HeaderMap) -> Result<Commits, ApiError> {
        let mut seen = Commits::default();
        for value in headers.get_all(TOKEN) {
            let text = value.to_str().map_err(|_bytes| said(commit::TokenError::Malformed))?;
            for token in text.split(',') {
                seen.extend(commit::decode(self.cluster(), token.trim()).map_err(said)?.iter());
            }
        }
        Ok(seen)
    }

    /// Acknowledges a write, with a token of it and of what the client had seen before.
    pub(crate) fn acknowledged(&self, mut seen: Commits, commits: &Commits) -> Response {
        seen.extend(commits.iter());
        let mut response = error::empty(StatusCode::NO_CONTENT);
        if !seen.is_empty() {
            let token = commit::encode(self.cluster(), &seen);
            let token = HeaderValue::from_str(&token).expect("letters, digits, dashes");
            response.headers_mut().insert(TOKEN, token);
        }
        response
    }

    fn cluster(&self) -> u128 {
        self.look(|state| state.cluster().map_or(0, |cluster| cluster.id))
    }
}

fn said<E: std::error::Error>(error: E) -> ApiError {
    ApiError::invalid(error.to_string())
}
