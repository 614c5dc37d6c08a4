//! One account: an atomic sum of reservations with a limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

#[cfg(test)]
mod tests;

/// Bytes of one purpose.
#[derive(Debug)]
pub struct Account {
    name: &'static str,
    limit: usize,
    /// What may be held beyond the limit, because another account lends it.
    borrow_max: usize,
    used: AtomicUsize,
    peak: AtomicUsize,
    refused: AtomicU64,
}

/// What an account holds and has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// What the account is for.
    pub name: &'static str,
    /// Bytes held now.
    pub used: usize,
    /// Its share of the memory, in bytes.
    pub limit: usize,
    /// Most bytes ever held.
    pub peak: usize,
    /// Reservations refused.
    pub refused: u64,
}

/// An account has no room. The caller's own doing or that of others; what it holds is as it was; once others give
/// back, the same reservation succeeds, unless it is larger than the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the memory of {account} is used up: {used} of {limit} bytes are held, and {wanted} more are needed (memory-bytes)"
)]
pub struct Exhausted {
    /// The account.
    pub account: &'static str,
    /// Bytes that were asked for.
    pub wanted: usize,
    /// Bytes held by all.
    pub used: usize,
    /// Most bytes that all may hold.
    pub limit: usize,
}

impl Account {
    /// An empty account of `limit` bytes, which may hold `borrow_max` more.
    #[must_use]
    pub fn new(name: &'static str, limit: usize, borrow_max: usize) -> Arc<Self> {
        let zero = || AtomicUsize::new(0);
        Arc::new(Self { name, limit, borrow_max, used: zero(), peak: zero(), refused: AtomicU64::new(0) })
    }

    /// Its share, in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Most bytes that it may hold, what is lent to it included.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.limit.saturating_add(self.borrow_max)
    }

    /// Bytes held now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether nothing more can be reserved.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.used() >= self.bytes_max()
    }

    /// What it holds and has seen.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            name: self.name,
            used: self.used(),
            limit: self.limit,
            peak: self.peak.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    fn try_take(&self, bytes: usize) -> Result<(), Exhausted> {
        let limit = self.bytes_max();
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= limit)
        });
        match taken {
            Ok(before) => {
                self.peak.fetch_max(before.saturating_add(bytes), Ordering::Relaxed);
                Ok(())
            }
            Err(used) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(Exhausted { account: self.name, wanted: bytes, used, limit })
            }
        }
    }

    fn take(&self, bytes: usize) {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        self.peak.fetch_max(before.saturating_add(bytes), Ordering::Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A part of an account, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    account: Arc<Account>,
    bytes: usize,
}

impl Reservation {
    /// Nothing yet of an account.
    #[must_use]
    pub fn empty(account: &Arc<Account>) -> Self {
        Self { account: Arc::clone(account), bytes: 0 }
    }

    /// So many bytes of an account.
    ///
    /// # Errors
    /// When they are not there.
    pub fn of(account: &Arc<Account>, bytes: usize) -> Result<Self, Exhausted> {
        let mut reservation = Self::empty(account);
        reservation.cover(bytes)?;
        Ok(reservation)
    }

    /// As [`Self::of`], and also when the account is empty: the first may always work, however much it needs.
    ///
    /// # Errors
    /// When the bytes are not there and somebody else holds some.
    pub fn of_or_first(account: &Arc<Account>, bytes: usize) -> Result<Self, Exhausted> {
        Self::of(account, bytes).or_else(|full| {
            let first = account.used.compare_exchange(0, bytes, Ordering::Relaxed, Ordering::Relaxed);
            first.map_err(|_held| full)?;
            account.peak.fetch_max(bytes, Ordering::Relaxed);
            Ok(Self { account: Arc::clone(account), bytes })
        })
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes the part at least so large.
    ///
    /// # Errors
    /// When the bytes are not there; the part is then as it was.
    pub fn cover(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let more = bytes.saturating_sub(self.bytes);
        if more > 0 {
            self.account.try_take(more)?;
            self.bytes = bytes;
        }
        Ok(())
    }

    /// Makes the part exactly so large, whether or not there is room: for what exists already.
    pub fn set(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.account.take(bytes - self.bytes);
        } else if bytes < self.bytes {
            self.account.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.account.give_back(self.bytes);
        }
    }
}
