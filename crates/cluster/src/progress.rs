//! How far a node that is opening has got: one sentence, for whoever asks.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// What an opening node does or waits for. All clones are the same.
#[derive(Clone)]
pub struct Progress(Arc<Mutex<Cow<'static, str>>>);

impl Progress {
    /// Says what is done or waited for now.
    pub fn set(&self, what: impl Into<Cow<'static, str>>) {
        *self.0.lock() = what.into();
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Cow::Borrowed("opening"))))
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.lock())
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
