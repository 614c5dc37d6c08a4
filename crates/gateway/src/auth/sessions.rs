//! Signed-in sessions, in memory: they end with the process, as a client with a cookie expects of any sign-in.

use std::collections::HashMap;
use std::time::Duration;

use model::UserId;
use parking_lot::Mutex;

#[derive(Debug)]
struct Session {
    user: UserId,
    last_used: Duration,
}

/// The sessions of this node.
#[derive(Debug)]
pub(crate) struct Sessions {
    by_key: Mutex<HashMap<String, Session>>,
    max: usize,
    idle_max: Duration,
}

impl Sessions {
    pub(crate) fn new(max: usize, idle_max: Duration) -> Self {
        Self { by_key: Mutex::new(HashMap::new()), max: max.max(1), idle_max }
    }

    /// Begins a session under a random key. The one that was idle longest goes when there are too many.
    pub(crate) fn begin(&self, key: String, user: UserId, now: Duration) {
        let mut sessions = self.by_key.lock();
        if sessions.len() >= self.max {
            sessions.retain(|_, s| now.saturating_sub(s.last_used) < self.idle_max);
        }
        if sessions.len() >= self.max
            && let Some(oldest) = sessions.iter().min_by_key(|(_, s)| s.last_used).map(|(k, _)| k.clone())
        {
            sessions.remove(&oldest);
        }
        sessions.insert(key, Session { user, last_used: now });
    }

    /// The user of a session, which lives on.
    pub(crate) fn touch(&self, key: &str, now: Duration) -> Option<UserId> {
        let mut sessions = self.by_key.lock();
        let session = sessions.get_mut(key)?;
        if now.saturating_sub(session.last_used) >= self.idle_max {
            sessions.remove(key);
            return None;
        }
        session.last_used = now;
        Some(session.user)
    }

    /// Ends a session; whether there was one.
    pub(crate) fn end(&self, key: &str) -> bool {
        self.by_key.lock().remove(key).is_some()
    }
}

#[cfg(test)]
mod tests;
