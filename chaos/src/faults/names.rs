//! Names that stand for nothing, and nodes that come back elsewhere.

use std::time::Duration;

use super::members::of_node;
use super::{Active, FaultError};
use crate::clock::{now, wait_until};
use crate::cluster::{Cluster, ClusterError};
use crate::name_server::{Answer, NameServer};
use crate::network;

/// How long the others may take to reach a node that is ready.
const REACHED: Duration = Duration::from_secs(20);

impl Active {
    /// Kills a node, and starts it at once where names are of no use.
    pub(super) fn break_names(&mut self, cluster: &mut Cluster, node: usize) -> Result<(), FaultError> {
        self.kill(cluster, node)?;
        names(cluster)?.answer(self.step.answer.unwrap_or(Answer::Unknown));
        Ok(cluster.nodes[node].start()?)
    }

    /// Makes names stand for what they should.
    pub(super) fn mend_names(&mut self, cluster: &Cluster, node: usize) -> Result<(), FaultError> {
        let asked = names(cluster)?.answer(Answer::True);
        let own = asked
            .iter()
            .filter(|(who, _)| **who == network::address(node))
            .map(|(_, count)| count)
            .sum::<usize>();
        let all: usize = asked.values().sum();
        let what = self.step.answer;
        self.saw(
            own > 0,
            format!("node {node} asked for names {own} times, others {} times, and got: {what:?}", all - own),
        );
        Ok(())
    }

    /// Kills a node, and takes its address away: others hear that their connections end, and nothing after that.
    pub(super) fn go_away(&mut self, cluster: &mut Cluster, node: usize) -> Result<(), FaultError> {
        self.kill(cluster, node)?;
        let address = cluster.nodes[node].whereabouts.address;
        Ok(cluster.network.remove_address(node, address).map_err(ClusterError::from)?)
    }

    /// Starts a node at another address.
    pub(super) fn come_back_elsewhere(
        &mut self,
        cluster: &mut Cluster,
        node: usize,
    ) -> Result<(), FaultError> {
        let before = cluster.nodes[node].whereabouts.address;
        cluster.relocate(node)?;
        let after = cluster.nodes[node].whereabouts.address;
        self.saw(before != after, format!("node {node} was at {before}, and is at {after}"));
        Ok(cluster.nodes[node].start()?)
    }

    /// Waits until others say that they reach a node, and are connected with where it is now.
    pub(super) fn await_reached(&mut self, cluster: &Cluster, node: usize) -> Result<(), FaultError> {
        let begun = now();
        let others: Vec<usize> = cluster.up().into_iter().filter(|other| *other != node).collect();
        let at = cluster.nodes[node].whereabouts.clone();
        let reached = wait_until(REACHED, || {
            for by in &others {
                let one = of_node(cluster, *by, node)?;
                if one["state"] != "up" {
                    return Err(format!("node {by} says: {one}"));
                }
            }
            let peers: Vec<_> = others.iter().map(|other| network::address(*other)).collect();
            let connected =
                cluster.network.accepted(node, at.address, &peers).map_err(|error| error.to_string())?;
            let all = connected.iter().all(|count| *count > 0);
            if all {
                Ok(connected)
            } else {
                Err(format!("connections of the others with {}: {connected:?}", at.address))
            }
        });
        let connected = reached.map_err(|last| FaultError::Unreached { node, limit: REACHED, last })?;
        let took = now().saturating_duration_since(begun).as_secs_f64();
        self.saw(
            true,
            format!("{took:.2} s later all others reach it at {}: {connected:?} connections", at.reached_at),
        );
        Ok(())
    }
}

fn names(cluster: &Cluster) -> Result<&NameServer, FaultError> {
    Ok(cluster.names.as_ref().ok_or(ClusterError::NoNames)?)
}
