//! What `/metrics` shows, for listeners that are there longer than what it is about: first of a server that starts, then of one
//! that serves.

use std::fmt;
use std::sync::Arc;

use axum::response::Response;
use http::HeaderMap;
use parking_lot::Mutex;

use crate::error::{ApiError, Code};

/// Answers a request for metrics with these headers; `None` when what it is about is gone.
type Answer = dyn Fn(&HeaderMap) -> Option<Result<Response, ApiError>> + Send + Sync;

/// See the module. All clones are the same.
#[derive(Clone, Default)]
pub struct Exposed(Arc<Mutex<Option<Arc<Answer>>>>);

impl fmt::Debug for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposed").field("is_there", &self.0.lock().is_some()).finish()
    }
}

impl Exposed {
    /// From now on this answers.
    pub(crate) fn set(
        &self,
        answer: impl Fn(&HeaderMap) -> Option<Result<Response, ApiError>> + Send + Sync + 'static,
    ) {
        *self.0.lock() = Some(Arc::new(answer));
    }

    /// Answers a request. May wait for what is counted: not for a thread that must go on.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Result<Response, ApiError> {
        let answer = self.0.lock().clone();
        let gone = || ApiError::new(Code::Unavailable, "the server starts or stops".to_owned());
        answer.and_then(|answer| answer(headers)).ok_or_else(gone)?
    }
}
