//! Single numbers: how often something happened, and how many there are now.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::page::Number;

/// How often something happened, or how much there was of it. All clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Once more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    /// How often so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl From<&Counter> for Number {
    fn from(counter: &Counter) -> Self {
        counter.get().into()
    }
}

/// How many there are now. All clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// One more, as long as what is answered lives.
    #[must_use = "it counts as long as this lives"]
    pub fn enter(&self) -> Inside {
        self.0.fetch_add(1, Ordering::Relaxed);
        Inside(self.clone())
    }

    /// How many.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl From<&Gauge> for Number {
    fn from(gauge: &Gauge) -> Self {
        gauge.get().into()
    }
}

/// One of those that a [`Gauge`] counts.
#[derive(Debug)]
pub struct Inside(Gauge);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
