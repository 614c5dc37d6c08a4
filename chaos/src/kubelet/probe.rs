//! When a container is asked whether it has started, lives and is ready, and what follows from the answers: as kubelet's
//! probe workers decide, without clock or network.
//!
//! - Until the startup probe has succeeded, the others rest. It is asked no more once it has succeeded.
//! - A result counts once it came as often in a row as its threshold says.
//! - After a liveness or startup probe has failed so, nothing is asked until there is another container.
//! - Of a pod that is to end only readiness is asked on.

use std::time::Duration;

use super::template::Probe;

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Startup,
    Liveness,
    Readiness,
}

/// What is known of the container when a probe is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation {
    /// Since it was started.
    pub(crate) age: Duration,
    /// Whether its startup probe has succeeded, or it has none.
    pub(crate) has_started: bool,
    /// Whether its pod is to end.
    pub(crate) is_ending: bool,
}

/// The course of one probe of one container.
#[derive(Debug, Clone)]
pub(crate) struct Course {
    kind: Kind,
    initial_delay: Duration,
    failure_threshold: u32,
    success_threshold: u32,
    /// The last answer, and how often it came in a row.
    last: Option<bool>,
    run: u32,
    on_hold: bool,
    /// What holds; nothing as long as nothing is known.
    pub(crate) result: Option<bool>,
    /// Of all answers, how many were failures.
    pub(crate) failures: u32,
}

impl Course {
    /// The course of a probe of a container that was just started.
    pub(crate) fn new(kind: Kind, probe: &Probe) -> Self {
        // An empty period or threshold is taken as the default.
        let least_one = |count: u32| count.max(1);
        Self {
            kind,
            initial_delay: Duration::from_secs(probe.initial_delay_seconds),
            failure_threshold: least_one(probe.failure_threshold),
            success_threshold: least_one(probe.success_threshold),
            last: None,
            run: 0,
            on_hold: false,
            result: Self::initial(kind),
            failures: 0,
        }
    }

    fn initial(kind: Kind) -> Option<bool> {
        match kind {
            Kind::Startup => None,
            Kind::Liveness => Some(true),
            Kind::Readiness => Some(false),
        }
    }

    /// Whether to ask now.
    pub(crate) fn asks(&self, now: Situation) -> bool {
        if self.on_hold || (now.is_ending && self.kind != Kind::Readiness) || now.age < self.initial_delay {
            return false;
        }
        match self.kind {
            Kind::Startup => !now.has_started,
            Kind::Liveness | Kind::Readiness => now.has_started,
        }
    }

    /// Takes an answer. Answers whether the container must be restarted.
    pub(crate) fn take(&mut self, good: bool) -> bool {
        self.failures += u32::from(!good);
        if self.last == Some(good) {
            self.run += 1;
        } else {
            self.last = Some(good);
            self.run = 1;
        }
        let threshold = if good { self.success_threshold } else { self.failure_threshold };
        if self.run < threshold {
            return false;
        }
        self.result = Some(good);
        let restart = self.kind != Kind::Readiness && !good;
        if restart || self.kind == Kind::Startup {
            self.on_hold = true;
            self.run = 0;
        }
        restart
    }
}

#[cfg(test)]
mod tests;
