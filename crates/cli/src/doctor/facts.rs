//! What is known when checks judge. Everything that could not be found out says why not.

use std::path::PathBuf;

use serde_json::Value;
use server::config::Config;

use super::done::Done;
use super::exposition::Metrics;
use super::finding::{Finding, Judged, Place, Verdict};
use super::survey::{Survey, short};

/// Everything that was gathered.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) cluster: Result<ClusterFacts, Missing>,
    /// The processes that were asked, in the order in which they were named.
    pub(crate) nodes: Vec<NodeFacts>,
    pub(crate) machines: Result<Vec<MachineFacts>, String>,
    /// The objects of the file.
    pub(crate) kubernetes: Result<Vec<Value>, String>,
    pub(crate) prometheus: Result<PrometheusFacts, String>,
    pub(crate) done: Done,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

/// Why there is nothing of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) reason: String,
    /// Whether it should have been there: it was asked for, and did not come.
    pub(crate) is_failure: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterFacts {
    /// The newest picture that any of those who were asked has.
    pub(crate) survey: Survey,
    /// The same, looked at again while somebody was behind.
    pub(crate) later: Vec<Survey>,
    /// Who was asked, and the id of whose cluster it has told.
    pub(crate) told_by: Vec<(String, String)>,
}

/// Path and answer of a probe: status and body.
pub(crate) type Probed = (&'static str, Result<(u16, String), String>);

/// A process that was asked.
#[derive(Debug, Clone)]
pub(crate) struct NodeFacts {
    pub(crate) url: String,
    pub(crate) metrics: Result<Metrics, String>,
    /// Where the probes were asked.
    pub(crate) probes_at: String,
    pub(crate) probes: Vec<Probed>,
    /// Request and status of what was asked without a token.
    pub(crate) strangers: Vec<(&'static str, Result<u16, String>)>,
    /// Its settings, where it runs on this machine and they can be read.
    pub(crate) settings: Option<Config>,
}

/// A process of this machine, or the machine before there is one.
#[derive(Debug, Clone)]
pub(crate) struct MachineFacts {
    pub(crate) about: String,
    /// The URL by which the process was found.
    pub(crate) url: Option<String>,
    pub(crate) settings: Result<Config, String>,
    /// Names of variables that are not empty.
    pub(crate) environment: Result<Vec<String>, String>,
    /// Names of the settings that were given as flags, for every user of the machine to see.
    pub(crate) flags: Vec<String>,
    /// `/proc/swaps`.
    pub(crate) swaps: Result<String, String>,
    /// `/proc/PID/status`; `None` where there is no process yet.
    pub(crate) status: Option<Result<String, String>>,
    /// `/proc/PID/mountinfo`.
    pub(crate) mounts: Result<String, String>,
    /// Where the data directory is, links followed.
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub(crate) struct PrometheusFacts {
    pub(crate) url: String,
    /// Job, instance and value of `up`.
    pub(crate) up: Result<Vec<(String, String, f64)>, String>,
    pub(crate) rules: Result<Vec<Rule>, String>,
    /// Name and severity of what fires.
    pub(crate) firing: Result<Vec<(String, String)>, String>,
    /// Branch and signal, and how near it is to what the decision is taken at.
    pub(crate) pressure: Result<Vec<(String, f64)>, String>,
}

/// A rule that alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) name: String,
    /// Whether it could be evaluated.
    pub(crate) health: String,
    pub(crate) error: String,
}

impl Facts {
    /// What a check finds in the picture of the cluster.
    pub(crate) fn of_cluster(&self, judge: impl Fn(&Survey) -> Verdict) -> Vec<Finding> {
        let verdict = match &self.cluster {
            Ok(cluster) => judge(&cluster.survey),
            Err(missing) => Verdict::unknown(&missing.reason),
        };
        vec![verdict.about(Place::Cluster, "")]
    }

    /// What it finds in the figures of each process that was asked.
    pub(crate) fn of_nodes(&self, judge: impl Fn(&NodeFacts, &Metrics) -> Judged) -> Vec<Finding> {
        let verdict = |node: &NodeFacts| {
            let judged = match &node.metrics {
                Ok(metrics) => judge(node, metrics),
                Err(reason) => Err(reason.clone()),
            };
            Verdict::of(judged).about(Place::Node, node.name())
        };
        self.nodes.iter().map(verdict).collect()
    }

    /// What it finds out about each process of this machine.
    pub(crate) fn of_machines(&self, judge: impl Fn(&MachineFacts) -> Judged) -> Vec<Finding> {
        match &self.machines {
            Ok(machines) => machines
                .iter()
                .map(|machine| Verdict::of(judge(machine)).about(Place::Machine, &machine.about))
                .collect(),
            Err(reason) => vec![Verdict::unknown(reason).about(Place::Machine, "")],
        }
    }
}

impl NodeFacts {
    /// The id that it has in the cluster; `gateway` for one without data.
    pub(crate) fn id(&self) -> Option<&str> {
        let id = self.metrics.as_ref().ok()?.label("tidemark_build_info", "node")?;
        Some(short(id)).filter(|id| !id.is_empty())
    }

    /// What people call it.
    pub(crate) fn name(&self) -> String {
        match self.id() {
            Some("gateway") => format!("gateway at {}", self.url),
            Some(id) => format!("node {id} at {}", self.url),
            None => format!("node at {}", self.url),
        }
    }
}
