//! Everything that is shown at one scrape, before it is written in some form.

use std::time::Duration;

use crate::distribution::{Distribution, Snapshot};
use crate::form::Form;
use crate::{protobuf, text};

/// Labels of a sample: names, and values of which there are few.
pub type Labels = Vec<(&'static str, String)>;

/// The value of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number.
    Whole(u64),
    /// Any other.
    Real(f64),
}

impl Number {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Real(real) => real,
        }
    }
}

impl From<u64> for Number {
    fn from(whole: u64) -> Self {
        Self::Whole(whole)
    }
}

impl From<usize> for Number {
    fn from(whole: usize) -> Self {
        Self::Whole(whole as u64)
    }
}

impl From<bool> for Number {
    fn from(is: bool) -> Self {
        Self::Whole(is.into())
    }
}

impl From<f64> for Number {
    fn from(real: f64) -> Self {
        Self::Real(real)
    }
}

impl From<Duration> for Number {
    /// In seconds.
    fn from(duration: Duration) -> Self {
        Self::Real(duration.as_secs_f64())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// A sum and a number, as a summary without quantiles.
    Sum,
}

#[derive(Debug)]
pub(crate) enum Value {
    Number(Number),
    Histogram(Snapshot),
    /// What was summed, and over how many.
    Sum(u64, u64),
}

#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) labels: Labels,
    pub(crate) value: Value,
}

/// Samples of one name.
#[derive(Debug)]
pub(crate) struct Family {
    /// That of a counter ends in `_total`.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    pub(crate) samples: Vec<Sample>,
}

/// What is shown at one scrape.
#[derive(Debug, Default)]
pub struct Page {
    pub(crate) families: Vec<Family>,
}

impl Page {
    /// Adds a counter; its name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str, value: impl Into<Number>) {
        self.counters(name, help, [(Labels::new(), value)]);
    }

    /// Adds a counter of several labels.
    pub fn counters<N: Into<Number>>(
        &mut self,
        name: &'static str,
        help: &'static str,
        rows: impl IntoIterator<Item = (Labels, N)>,
    ) {
        debug_assert!(name.ends_with("_total"), "{name}");
        self.numbers(name, help, Kind::Counter, rows);
    }

    /// Adds a gauge.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, value: impl Into<Number>) {
        self.gauges(name, help, [(Labels::new(), value)]);
    }

    /// Adds a gauge of several labels.
    pub fn gauges<N: Into<Number>>(
        &mut self,
        name: &'static str,
        help: &'static str,
        rows: impl IntoIterator<Item = (Labels, N)>,
    ) {
        self.numbers(name, help, Kind::Gauge, rows);
    }

    /// Adds a histogram; its name ends in `_seconds`.
    pub fn distribution(&mut self, name: &'static str, help: &'static str, value: &Distribution) {
        self.distributions(name, help, [(Labels::new(), value)]);
    }

    /// Adds a histogram of several labels.
    pub fn distributions<'d>(
        &mut self,
        name: &'static str,
        help: &'static str,
        rows: impl IntoIterator<Item = (Labels, &'d Distribution)>,
    ) {
        let sample = |(labels, value): (_, &Distribution)| Sample {
            labels,
            value: Value::Histogram(value.snapshot()),
        };
        self.add(name, help, Kind::Histogram, rows.into_iter().map(sample).collect());
    }

    /// Adds a sum, and of how many it is.
    pub fn sum(&mut self, name: &'static str, help: &'static str, sum: u64, count: u64) {
        let sample = Sample { labels: Labels::new(), value: Value::Sum(sum, count) };
        self.add(name, help, Kind::Sum, vec![sample]);
    }

    fn numbers<N: Into<Number>>(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        rows: impl IntoIterator<Item = (Labels, N)>,
    ) {
        let sample = |(labels, value): (_, N)| Sample { labels, value: Value::Number(value.into()) };
        self.add(name, help, kind, rows.into_iter().map(sample).collect());
    }

    fn add(&mut self, name: &'static str, help: &'static str, kind: Kind, samples: Vec<Sample>) {
        match self.families.iter_mut().find(|family| family.name == name) {
            // Another part has samples of it too.
            Some(family) => family.samples.extend(samples),
            None => self.families.push(Family { name, help, kind, samples }),
        }
    }

    /// Writes it down.
    #[must_use]
    pub fn encode(&self, form: Form) -> Vec<u8> {
        match form {
            Form::Text => text::encode(&self.families, false).into_bytes(),
            Form::OpenMetrics => text::encode(&self.families, true).into_bytes(),
            Form::Protobuf => protobuf::encode(&self.families),
        }
    }
}
