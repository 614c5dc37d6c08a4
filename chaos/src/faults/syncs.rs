//! Syncs of the log that fail or take long. The product puts these faults in itself (`disk-faults`), from the sync on that
//! its plan names; so the node is started with a plan for a time when it leads again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Active, FaultError, stop};
use crate::clock::{now, pause};
use crate::cluster::Cluster;
use crate::scenario::Target;

/// When the fault is to begin after the node is back: leads have returned to it by then.
const LATER: f64 = 15.0;
/// How long the rate of syncs is measured.
const MEASURE: Duration = Duration::from_secs(2);
/// Fewest syncs before the fault.
const SYNCS_MIN: u64 = 60;
/// How long it may take to begin.
const BEGINS: Duration = Duration::from_secs(120);
/// How long a process whose disk has failed may be there.
const LINGERS: Duration = Duration::from_secs(5);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(200);
const SYNCS: &str = "tidemark_wal_syncs_total";
const LONGEST: &str = "tidemark_wal_sync_seconds_max";
const VARIABLE: &str = "TIDEMARK_DISK_FAULTS";

impl Active {
    /// Every sync fails from some moment on, and the node must end then.
    pub(super) fn fail_sync(
        &mut self,
        cluster: &mut Cluster,
        node: usize,
        limit: Duration,
    ) -> Result<(), FaultError> {
        restart_with(cluster, node, "eio", limit)?;
        self.lead(cluster, node);
        let (begun, mut seen) = (now(), Vec::new());
        while cluster.nodes[node].ended().is_none() && now().saturating_duration_since(begun) < BEGINS {
            seen.push((now(), cluster.view().leads[node]));
            pause(LOOK);
        }
        // Others lead before its process has ended.
        let recent = |(at, _): &&(Instant, usize)| now().saturating_duration_since(*at) < LINGERS;
        let leads = seen.iter().filter(recent).map(|(_, leads)| *leads).max().unwrap_or_default();
        let ended = cluster.nodes[node].ended();
        cluster.nodes[node].kill()?;
        cluster.nodes[node].environment.clear();
        let (why, later) =
            (cluster.nodes[node].last_error(), now().saturating_duration_since(begun).as_secs_f64());
        let took = ended.is_some_and(|status| !status.success()) && self.is_leader_enough(leads);
        self.saw(
            took,
            format!(
                "node {node}, leading {leads} groups, ended by itself after {later:.0} s: {ended:?}: {why}"
            ),
        );
        Ok(())
    }

    /// Every sync takes long from some moment on.
    pub(super) fn slow_sync(
        &mut self,
        cluster: &mut Cluster,
        node: usize,
        limit: Duration,
    ) -> Result<(), FaultError> {
        let millis = self.step.by_ms.unwrap_or_default();
        restart_with(cluster, node, &format!("sleep={millis}"), limit)?;
        self.lead(cluster, node);
        let (begun, mut leads, mut longest) = (now(), 0, 0.0);
        #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
        let slow = millis as f64 / 1000.0;
        while longest < slow && now().saturating_duration_since(begun) < BEGINS {
            // It is known to be slow once the first has ended; until then others may lead already.
            leads = leads.max(cluster.view().leads[node]);
            longest = cluster.metric(node, LONGEST).unwrap_or(longest);
            pause(LOOK);
        }
        let took = longest >= slow && self.is_leader_enough(leads);
        self.saw(took, format!("node {node}, leading {leads} groups, had a sync of {longest:.1} s"));
        Ok(())
    }

    /// Gives a node that is to be a leader its share of leads at once, which would come back to it one by one.
    fn lead(&self, cluster: &Cluster, node: usize) {
        if self.step.target != Target::Leader {
            return;
        }
        let said = cluster.ask(node, "GET", "/api/v1/cluster/status");
        let Some(said) = said.ok().and_then(|reply| serde_json::from_slice::<Value>(&reply.body).ok()) else {
            return;
        };
        let address = &cluster.nodes[node].whereabouts.reached_at;
        let mut nodes = said["nodes"].as_array().into_iter().flatten();
        let Some(id) = nodes.find(|one| one["address"] == **address).map(|one| &one["id"]) else { return };
        let groups: Vec<&Value> = said["groups"].as_array().into_iter().flatten().collect();
        for group in groups.iter().take(groups.len() / 2) {
            let body = json!({ "group": group["group"], "node": id });
            // What it does not get others keep; that it leads at all is looked at.
            cluster.order(node, "transfer-leader", &body).ok();
        }
    }

    pub(super) fn hasten_sync(&mut self, cluster: &mut Cluster, node: usize) -> Result<(), FaultError> {
        let leads = cluster.view().leads[node];
        self.saw(true, format!("node {node} led {leads} groups when its disk was fast again"));
        cluster.nodes[node].kill()?;
        cluster.nodes[node].environment.clear();
        Ok(cluster.nodes[node].start()?)
    }

    fn is_leader_enough(&self, leads: usize) -> bool {
        self.step.target != Target::Leader || leads > 0
    }
}

/// Starts a node again so that something happens to each sync of its log, after a time.
fn restart_with(cluster: &mut Cluster, node: usize, action: &str, limit: Duration) -> Result<(), FaultError> {
    let before = cluster.metric(node, SYNCS).unwrap_or_default();
    pause(MEASURE);
    let rate = (cluster.metric(node, SYNCS).unwrap_or_default() - before) / MEASURE.as_secs_f64();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of syncs")]
    let first = ((rate * LATER) as u64).max(SYNCS_MIN);
    stop(cluster, node)?;
    cluster.nodes[node].environment = vec![(VARIABLE.to_owned(), format!("sync:raft:{first}+:{action}"))];
    cluster.nodes[node].start()?;
    Ok(cluster.wait_ready(node, limit)?)
}
