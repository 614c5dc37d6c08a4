//! The signal that this process must stop: durable state is in doubt, or a replica cannot go on.

use std::sync::Arc;

use tokio::sync::watch;

/// Raised once, by whoever finds that the process must stop; the server waits for it and exits.
#[derive(Debug, Clone)]
pub struct Fatal(Arc<watch::Sender<Option<Arc<str>>>>);

impl Default for Fatal {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Fatal {
    /// Says that the process must stop. Only the first reason is kept.
    pub fn raise(&self, reason: &str) {
        let first = self.0.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(reason.into());
            }
            first
        });
        if first {
            tracing::error!(reason, "fatal: this node must stop");
        }
    }

    /// The reason, when there is one.
    #[must_use]
    pub fn reason(&self) -> Option<Arc<str>> {
        self.0.borrow().clone()
    }

    /// Waits for the reason.
    pub async fn raised(&self) -> Arc<str> {
        let mut watch = self.0.subscribe();
        let reason = watch.wait_for(Option::is_some).await;
        reason.ok().and_then(|reason| reason.clone()).expect("waited for Some, and the sender lives in self")
    }
}
