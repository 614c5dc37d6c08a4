//! Verifies passwords: a few at a time, because each costs tens of milliseconds and tens of MiB by design, and
//! remembers for a minute those that were right, because 1.x clients send one with every request.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use catalog::auth::os_random;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::error::{ApiError, Code};
use crate::gateway::Shared;
use crate::slots::Place;

/// How long a verified password is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How many are remembered.
const REMEMBERED_MAX: usize = 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Passwords {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    salt: [u64; 2],
    /// Digest of user, password and stored hash -> when it is forgotten.
    verified: Mutex<HashMap<[u8; 32], Duration>>,
}

impl Passwords {
    pub(crate) fn new(running_max: usize, waiting_max: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(running_max.max(1))),
            waiting: AtomicUsize::new(0),
            waiting_max,
            salt: [os_random(), os_random()],
            verified: Mutex::new(HashMap::new()),
        }
    }

    /// Whether the password belongs to the stored hash of a user.
    pub(crate) async fn verify(
        &self,
        app: &Shared,
        user: &str,
        password: &str,
        stored: &str,
    ) -> Result<bool, ApiError> {
        let digest = self.digest(user, password, stored);
        if self.remembers(&digest, app.ports.clock.monotonic()) {
            return Ok(true);
        }
        let place = Place::take(&self.waiting, self.waiting_max).ok_or_else(|| {
            ApiError::new(Code::TooManyRequests, "too many sign-ins at once (password-queue-max)")
        })?;
        let running = Arc::clone(&self.running);
        let permit = running.acquire_owned().await.map_err(|closed| ApiError::internal(&closed))?;
        drop(place);
        let (password, stored) = (password.to_owned(), stored.to_owned());
        let verify = move || {
            let _held = permit; // by the thread, not by a client that may go away
            catalog::auth::verify_password(&password, &stored)
        };
        let right = app.compute(true, verify).await?;
        if right {
            self.remember(digest, app.ports.clock.monotonic());
        }
        Ok(right)
    }

    fn digest(&self, user: &str, password: &str, stored: &str) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for part in self.salt {
            hasher.update(part.to_le_bytes());
        }
        for part in [user, password, stored] {
            hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }

    fn remembers(&self, digest: &[u8; 32], now: Duration) -> bool {
        self.verified.lock().get(digest).is_some_and(|until| now < *until)
    }

    fn remember(&self, digest: [u8; 32], now: Duration) {
        let mut verified = self.verified.lock();
        if verified.len() >= REMEMBERED_MAX {
            verified.retain(|_, until| now < *until);
        }
        if verified.len() >= REMEMBERED_MAX {
            verified.clear();
        }
        verified.insert(digest, now + REMEMBERED);
    }
}
