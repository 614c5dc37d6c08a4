//! Many small amounts of one holder, reserved in steps, so that most of them touch nothing that is shared.

use std::sync::Arc;

use crate::account::{Account, Exhausted, Reservation};

#[cfg(test)]
mod tests;

/// An account is asked for a multiple of so many bytes, as long as it has them.
const STEP_BYTES: usize = 128 << 10;

/// What one holder, such as a query, has of an account. Given back when dropped.
#[derive(Debug)]
pub struct Allowance {
    reservation: Reservation,
    held: usize,
}

impl Allowance {
    /// Nothing yet of an account.
    #[must_use]
    pub fn new(account: &Arc<Account>) -> Self {
        Self { reservation: Reservation::empty(account), held: 0 }
    }

    /// Bytes held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Holds so many bytes in all, more or fewer than before.
    ///
    /// # Errors
    /// When they are not there; what is held is then as it was.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let steps = bytes.checked_next_multiple_of(STEP_BYTES).unwrap_or(bytes);
        if bytes > self.reservation.bytes() {
            // The last bytes of an account are for whoever needs just them.
            self.reservation.cover(steps).or_else(|_full| self.reservation.cover(bytes))?;
        } else if self.reservation.bytes() > steps + STEP_BYTES {
            self.reservation.set(steps);
        }
        self.held = bytes;
        Ok(())
    }
}
