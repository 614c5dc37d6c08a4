//! How far a node that is opening has got: one sentence, for whoever asks, and whether that is work of its own, which ends by
//! itself, or waiting for other nodes, which may not.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// What an opening node does or waits for. All clones are the same.
#[derive(Clone, Default)]
pub struct Progress(Arc<Mutex<Step>>);

#[derive(Clone)]
struct Step {
    what: Cow<'static, str>,
    is_own: bool,
    /// How much of it is done, of how much.
    done: Option<(u64, u64)>,
}

impl Default for Step {
    fn default() -> Self {
        Self { what: Cow::Borrowed("opening"), is_own: true, done: None }
    }
}

impl Progress {
    /// Says what other nodes are waited for now.
    pub fn wait(&self, what: impl Into<Cow<'static, str>>) {
        *self.0.lock() = Step { what: what.into(), is_own: false, done: None };
    }

    /// Says what the node does now with what it has.
    pub fn work(&self, what: impl Into<Cow<'static, str>>) {
        *self.0.lock() = Step { what: what.into(), is_own: true, done: None };
    }

    /// Says how much of the work is done, of how much.
    pub fn done(&self, done: u64, of: u64) {
        self.0.lock().done = Some((done, of));
    }

    /// Whether the node works with what it has, and waits for nobody.
    #[must_use]
    pub fn is_own_work(&self) -> bool {
        self.0.lock().is_own
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { what, done, .. } = self.0.lock().clone();
        match done {
            Some((done, of)) => write!(f, "{what} ({done} of {of})"),
            None => f.write_str(&what),
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
