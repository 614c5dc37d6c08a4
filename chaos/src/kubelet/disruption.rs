//! How many pods may be taken away: the arithmetic of PodDisruptionBudgets, and what the eviction of a pod is answered.

use serde_json::Value;

use super::manifest::BudgetSpec;

/// The pods that a budget is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    /// How many there are to be: what their controllers say.
    pub(crate) expected: usize,
    /// How many there are that are ready and not on their way out.
    pub(crate) healthy: usize,
}

/// What a budget says of its pods now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// How many must be healthy.
    pub(crate) desired: usize,
    pub(crate) healthy: usize,
    /// How many may be taken away.
    pub(crate) allowed: usize,
}

/// What is to be evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Victim {
    /// Whether it runs at all: one that does not is nobody's loss.
    pub(crate) is_running: bool,
    pub(crate) is_ready: bool,
}

/// A number, or a share of `of`, rounded up.
pub(crate) fn scaled(value: &Value, of: usize) -> usize {
    match value {
        Value::String(text) => {
            let percent: usize = text.trim_end_matches('%').parse().unwrap_or(0);
            (of * percent).div_ceil(100)
        }
        other => other.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
    }
}

/// A number, or a share of `of`, rounded down.
pub(crate) fn scaled_down(value: &Value, of: usize) -> usize {
    match value {
        Value::String(text) => of * text.trim_end_matches('%').parse::<usize>().unwrap_or(0) / 100,
        other => scaled(other, of),
    }
}

impl Budget {
    /// What a budget says of these pods.
    pub(crate) fn of(spec: &BudgetSpec, pods: Counted) -> Self {
        let desired = match (&spec.max_unavailable, &spec.min_available) {
            (Some(most), _) => pods.expected.saturating_sub(scaled(most, pods.expected)),
            (None, Some(least)) => scaled(least, pods.expected),
            (None, None) => pods.expected.saturating_sub(1),
        };
        let allowed = if pods.expected == 0 { 0 } else { pods.healthy.saturating_sub(desired) };
        Self { desired, healthy: pods.healthy, allowed }
    }

    /// Whether a pod may be evicted.
    pub(crate) fn permits(self, spec: &BudgetSpec, victim: Victim) -> bool {
        if !victim.is_running {
            return true;
        }
        if !victim.is_ready {
            let always = spec.unhealthy_pod_eviction_policy.as_deref() == Some("AlwaysAllow");
            if always || (self.healthy >= self.desired && self.desired > 0) {
                return true;
            }
        }
        self.allowed > 0
    }
}

#[cfg(test)]
mod tests;
