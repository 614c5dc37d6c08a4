//! Nodes that join, and nodes that leave for good.

use std::time::Duration;

use serde_json::Value;

use super::{Active, FaultError};
use crate::clock::{now, wait_until};
use crate::cluster::{Cluster, ClusterError, TOKEN};

/// How long everything may take to have its new place.
const MOVES: Duration = Duration::from_secs(240);
/// How long a node that was decommissioned may take to end.
const END: Duration = Duration::from_secs(30);
/// How far from an even share a node may stay.
const UNEVEN: u64 = 2;

impl Active {
    /// Waits until every node has its share.
    pub(super) fn settle(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        let begun = now();
        let shares = wait_until(MOVES, || shares(cluster)).map_err(|said| {
            FaultError::from(ClusterError::Order { order: "an even share for each node".to_owned(), said })
        })?;
        let took = now().saturating_duration_since(begun).as_secs_f64();
        self.saw(true, format!("replicas of the nodes after {took:.1} s: {shares:?}"));
        Ok(())
    }

    /// Notes which node is about to be lost, if it is to be known afterwards.
    pub(super) fn note_lost(&mut self, cluster: &Cluster, node: usize) -> Result<(), FaultError> {
        if self.nodes.len() < cluster.up().len() {
            let failed = |said| ClusterError::Order { order: format!("looking for node {node}"), said };
            self.lost.push(wait_until(MOVES, || id(cluster, node, node)).map_err(failed)?);
        }
        Ok(())
    }

    /// Starts a spare node, and says of one that is lost that it will not come back. Answers the spare one.
    pub(super) fn take_place(&mut self, cluster: &mut Cluster, node: usize) -> Result<usize, FaultError> {
        let by = cluster.up().first().copied().ok_or(ClusterError::NoLeader)?;
        let spare = (0..cluster.nodes.len()).find(|place| !cluster.nodes[*place].was_started());
        let spare = spare.ok_or(ClusterError::NoSpare)?;
        cluster.nodes[spare].start()?;
        for id in self.lost.clone() {
            let order = format!("node replace {id}");
            cluster.nodes[by].command(&order, TOKEN).map_err(FaultError::Command)?;
            self.saw(
                true,
                format!("node {by} was told that {id}, once node {node}, is lost; node {spare} joins"),
            );
        }
        Ok(spare)
    }

    /// Looks at what the cluster knows of nodes that are lost.
    pub(super) fn look_at_lost(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        let by = cluster.up().first().copied().ok_or(ClusterError::NoLeader)?;
        for id in self.lost.clone() {
            let failed = |said| ClusterError::Order { order: format!("looking for node {id}"), said };
            let said = wait_until(MOVES, || survey(cluster, by)).map_err(failed)?;
            let mut all = said["nodes"].as_array().into_iter().flatten();
            let one = all.find(|one| one["id"] == *id).cloned().unwrap_or_default();
            let (state, replicas) = (&one["state"], &one["replicas"]);
            self.saw(
                *state == "lost" && *replicas == 0,
                format!("the node that was {id} is {state}, with {replicas} replicas"),
            );
        }
        Ok(())
    }

    /// Drains a node, decommissions it, and waits until its process has ended.
    pub(super) fn leave(&mut self, cluster: &mut Cluster, node: usize) -> Result<(), FaultError> {
        let by = cluster.up().into_iter().find(|other| *other != node).ok_or(ClusterError::NoLeader)?;
        let begun = now();
        let order = |verb: &str| {
            let failed = |said| ClusterError::Order { order: format!("{verb} of node {node}"), said };
            let id = wait_until(MOVES, || id(cluster, by, node)).map_err(failed)?;
            let path = format!("/api/v1/cluster/nodes/{id}/{verb}");
            // An order that was not answered may be given again.
            wait_until(MOVES, || match cluster.ask(by, "POST", &path) {
                Ok(reply) if reply.status == 204 => Ok(()),
                Ok(reply) => Err(format!("{}: {}", reply.status, reply.text())),
                Err(error) => Err(error),
            })
            .map_err(failed)
        };
        let had =
            wait_until(MOVES, || of_node(cluster, by, node)).ok().and_then(|one| one["replicas"].as_u64());
        order("drain")?;
        let drained = wait_until(MOVES, || match of_node(cluster, by, node)?["holds"].as_u64() {
            Some(0) => Ok(()),
            left => Err(format!("it holds {left:?}")),
        });
        drained.map_err(|said| ClusterError::Order { order: format!("draining node {node}"), said })?;
        let took = now().saturating_duration_since(begun).as_secs_f64();
        order("decommission")?;
        let ended = cluster.nodes[node].wait_for_end(END)?;
        self.saw(
            had.is_some_and(|had| had > 0) && ended.is_some_and(|status| status.success()),
            format!("node {node} gave {had:?} replicas away in {took:.1} s, and ended: {ended:?}"),
        );
        Ok(())
    }
}

fn survey(cluster: &Cluster, by: usize) -> Result<Value, String> {
    let reply = cluster.ask(by, "GET", "/api/v1/cluster/status")?;
    let said: Value = serde_json::from_slice(&reply.body).map_err(|error| error.to_string())?;
    if said["isCurrent"] == true { Ok(said) } else { Err(format!("{}: {}", reply.status, reply.text())) }
}

/// What a node says of another.
pub(super) fn of_node(cluster: &Cluster, by: usize, node: usize) -> Result<Value, String> {
    let said = survey(cluster, by)?;
    let address = &cluster.nodes[node].whereabouts.reached_at;
    let mut all = said["nodes"].as_array().into_iter().flatten();
    let is_out = |one: &Value| one["state"] == "lost" || one["state"] == "decommissioned";
    all.find(|one| one["address"] == **address && !is_out(one))
        .cloned()
        .ok_or_else(|| format!("no node at {address}"))
}

fn id(cluster: &Cluster, by: usize, node: usize) -> Result<String, String> {
    let one = of_node(cluster, by, node)?;
    one["id"].as_str().map(str::to_owned).ok_or_else(|| one.to_string())
}

/// How many replicas each node has, once all have about as many and none is on its way.
fn shares(cluster: &Cluster) -> Result<Vec<u64>, String> {
    let up = cluster.up();
    let by = *up.first().ok_or("no node is up")?;
    let said = survey(cluster, by)?;
    let moves = said["moves"].as_array().map_or(0, Vec::len);
    let of = |node: &usize| of_node(cluster, by, *node).map(|one| one["replicas"].as_u64().unwrap_or(0));
    let shares = up.iter().map(of).collect::<Result<Vec<_>, _>>()?;
    let (least, most) = (shares.iter().min().copied(), shares.iter().max().copied());
    let even = least.zip(most).is_some_and(|(least, most)| most - least <= UNEVEN && least > 0);
    if even && moves == 0 { Ok(shares) } else { Err(format!("{moves} on their way, replicas {shares:?}")) }
}
