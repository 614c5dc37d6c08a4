//! What a scenario hands back: named figures of one server, and what is to be said about them.

use crate::peers::Peer;

/// A quantity that scenarios measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metric {
    /// What it is, with its unit.
    pub(crate) name: &'static str,
    /// Whether more of it is better.
    pub(crate) more_is_better: bool,
}

/// A quantity of which less is better.
pub(crate) const fn less(name: &'static str) -> Metric {
    Metric { name, more_is_better: false }
}

/// A quantity of which more is better.
pub(crate) const fn more(name: &'static str) -> Metric {
    Metric { name, more_is_better: true }
}

/// Why there is no figure when something went wrong.
pub(crate) const FAILED: &str = "failed";

/// One figure of one server, or why there is none.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) metric: Metric,
    pub(crate) value: Result<f64, String>,
}

/// The figures of one server in one scenario.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) peer: Peer,
    pub(crate) figures: Vec<Figure>,
    /// What else is to be said.
    pub(crate) notes: Vec<String>,
    /// What went wrong with some of them, while there are others.
    pub(crate) failures: Vec<String>,
}

impl Measured {
    pub(crate) fn new(peer: Peer) -> Self {
        Self { peer, figures: Vec::new(), notes: Vec::new(), failures: Vec::new() }
    }

    pub(crate) fn add(&mut self, metric: Metric, value: f64) {
        self.figures.push(Figure { metric, value: Ok(value) });
    }

    /// Says why there is no figure.
    pub(crate) fn without(&mut self, metric: Metric, reason: impl Into<String>) {
        self.figures.push(Figure { metric, value: Err(reason.into()) });
    }

    /// Says that there are no figures because something went wrong.
    pub(crate) fn fail(&mut self, metrics: &[Metric], what: &str, error: &str) {
        metrics.iter().for_each(|metric| self.without(*metric, FAILED));
        self.failures.push(format!("{what}: {error}"));
    }

    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|f| f.metric.name == name)?.value.as_ref().ok().copied()
    }
}

/// All servers in one scenario.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// The name by which the scenario is asked for.
    pub(crate) scenario: &'static str,
    /// What was sent and asked.
    pub(crate) what: String,
    /// Per server.
    pub(crate) servers: Vec<Measured>,
    /// Servers that have no figures, and why.
    pub(crate) failed: Vec<(Peer, String)>,
}
