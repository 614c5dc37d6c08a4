//! Scenarios of the miniature: a file says what is done to a cluster that the manifests have made, and what is promised.

use std::time::Duration;

use serde::Deserialize;

use super::manifest::{Management, Manifests};
use crate::scenario_file::{ScenarioFile, Set};

/// One scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Scenario {
    /// Its name: that of its file.
    #[serde(skip)]
    pub(crate) name: String,
    /// What it shows, in a sentence.
    pub(crate) about: String,
    /// The smallest set that it belongs to.
    #[serde(default)]
    pub(crate) set: Set,
    /// What is other than in the manifests.
    #[serde(default)]
    pub(crate) changes: Changes,
    /// How the cluster starts.
    #[serde(default)]
    pub(crate) start: Start,
    /// Clients in place of the oracle's usual ones.
    pub(crate) load: Option<Load>,
    /// What is done, one after the other.
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
    /// What is promised.
    pub(crate) promises: Promises,
}

/// What a scenario needs otherwise than the manifests have it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Changes {
    pod_management: Option<Management>,
}

/// How a cluster starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Start {
    /// All pods become ready.
    #[default]
    Ready,
    /// The first pod waits for others, which wait for it.
    Stuck,
}

/// Clients that write at a steady rate, and send each request that failed once more.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Load {
    pub(crate) writes_per_second: u32,
    pub(crate) clients: usize,
    /// How long a client waits before it sends a request again.
    pub(crate) retry_after_ms: u64,
}

/// Which pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Target {
    /// The one that leads most groups.
    Leader,
    /// The one that leads fewest.
    Follower,
}

/// Something that is done.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "do")]
pub(crate) enum Step {
    /// Nothing, for a while.
    Wait { for_ms: u64 },
    /// `kubectl rollout restart`; over when all pods are new and available.
    RollingUpdate {},
    /// Each machine with a pod in turn: cordoned, and its pods evicted.
    Drain {},
    /// Two pods are evicted at once; the second eviction is refused.
    EvictTwo {},
    /// More replicas; over when each has its share.
    ScaleUp { to: usize },
    /// As documented: drained, decommissioned, then fewer replicas.
    ScaleDown { to: usize },
    /// Fewer replicas than voters; refused by the manifests' own policy.
    ScaleTooFar { to: usize },
    /// A pod is deleted, and has its time to end.
    DeletePod { target: Target },
    /// A pod is deleted, and killed at once.
    ForceDelete { target: Target },
    /// A pod is killed and its volume removed; over when the node that comes back has its share.
    LoseVolume { target: Target },
    /// The machines of the leader's zone are without power.
    LoseZone { for_ms: u64 },
    /// The process of a pod stands still (SIGSTOP), until kubelet restarts it.
    Stop { target: Target },
    /// A pod is deleted, and its next process stands still from its start on for a while.
    SlowStart { for_ms: u64 },
    /// All pods are killed at once.
    FullOutage {},
    /// As above, with pods that come in order: they wait for one another for ever, and come once they need not.
    OrderedOutage { for_ms: u64 },
}

/// What must hold.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Promises {
    /// From applying until all pods are ready.
    pub(crate) ready_ms: Option<u64>,
    /// Longest time without an acknowledged write in a step.
    pub(crate) write_gap_ms: Option<u64>,
    /// Most requests of the load that failed twice.
    pub(crate) errors: Option<usize>,
    /// Least share of the load's rate that was acknowledged.
    pub(crate) rate_percent: Option<u32>,
    /// How long a step may take until all pods are ready again.
    pub(crate) recover_ms: u64,
}

impl Promises {
    /// Promises nothing of times; that all comes back is still promised.
    pub(crate) fn forget_times(&mut self) {
        self.ready_ms = None;
        self.write_gap_ms = None;
        self.rate_percent = None;
    }

    /// How long a step may take.
    pub(crate) fn recover(&self) -> Duration {
        Duration::from_millis(self.recover_ms)
    }
}

impl Changes {
    /// Changes the manifests.
    pub(crate) fn make(&self, manifests: &mut Manifests) {
        for set in &mut manifests.stateful_sets {
            if let Some(management) = self.pod_management {
                set.spec.pod_management_policy = management;
            }
        }
    }
}

impl ScenarioFile for Scenario {
    fn named(self, name: String) -> Self {
        Self { name, ..self }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn set(&self) -> Set {
        self.set
    }

    fn forget_times(&mut self) {
        self.promises.forget_times();
    }
}

#[cfg(test)]
mod tests;
