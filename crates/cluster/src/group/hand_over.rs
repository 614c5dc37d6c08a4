//! A lead goes from one member to another at the wish of who has it.
//!
//! What must always hold: it goes to nobody who cannot lead soon, for nobody takes proposals while it is on its way.

use std::time::Duration;

use model::ReplicaId;
use openraft::RaftMetrics;
use openraft::async_runtime::WatchReceiver as _;

use super::Group;
use crate::error::HandOverError;
use crate::raft::machine::with_causes;
use crate::raft::types::Types;

/// Whoever is to lead has answered within this time.
const SUCCESSOR_HEARD_WITHIN: Duration = Duration::from_secs(1);
/// Entries that whoever is to lead may lack: some milliseconds' worth of writes.
const SUCCESSOR_LACKS_MAX: u64 = 1024;

impl Group {
    /// Gives the lead, where this member has it, to the one of these voters that has most of the log, and waits until
    /// another leads.
    pub(crate) async fn hand_over(&self, to: &[ReplicaId], at_most: Duration) {
        let next = {
            let watch = self.raft.metrics();
            let metrics = watch.borrow_watched();
            let voters: Vec<u64> = metrics.membership_config.voter_ids().collect();
            let matched = metrics.replication.iter().flatten();
            let can = |id: u64| id != self.replica.0 && voters.contains(&id) && to.contains(&ReplicaId(id));
            let others = matched.filter(|(id, _)| can(**id));
            others.max_by_key(|(_, matched)| matched.as_ref().map(|id| id.index)).map(|(id, _)| *id)
        };
        let Some(next) = next.filter(|_| self.leads()) else { return };
        if let Err(reason) = self.hand_over_to(ReplicaId(next), at_most).await {
            tracing::info!(group = %self.id, %reason, "the lead was not handed over");
        }
    }

    /// Gives the lead to another voter, and waits until it has it. Only the leader can.
    pub(crate) async fn hand_over_to(&self, next: ReplicaId, at_most: Duration) -> Result<(), HandOverError> {
        if !self.leads() {
            return Err(HandOverError::NotLeader(self.leader().map(|(leader, _)| leader)));
        }
        if next == self.replica {
            return Ok(());
        }
        if !self.raft.voter_ids().any(|voter| voter == next.0) {
            return Err(HandOverError::NoVoter);
        }
        self.check_successor(next).map_err(HandOverError::Failed)?;
        let triggered = self.raft.trigger().transfer_leader(next.0).await;
        triggered.map_err(|error| HandOverError::Failed(with_causes(&error)))?;
        let is_led = |metrics: &RaftMetrics<Types>| {
            metrics.current_leader.is_some_and(|leader| leader != self.replica.0)
        };
        let leads = match self.raft.wait(Some(at_most)).metrics(is_led, "another leads").await {
            Ok(metrics) => metrics.current_leader.map(ReplicaId),
            Err(_late) => None,
        };
        match leads {
            Some(leader) if leader == next => Ok(()),
            Some(leader) => Err(HandOverError::Failed(format!("member {leader} has taken the lead instead"))),
            None => Err(HandOverError::Failed("it has not taken the lead in time".to_owned())),
        }
    }

    /// Whether a voter can lead soon: while the lead is on its way nobody takes proposals.
    fn check_successor(&self, next: ReplicaId) -> Result<(), String> {
        use openraft::Instant as _;
        let watch = self.raft.metrics();
        let metrics = watch.borrow_watched();
        if let Some(member) = metrics.membership_config.membership().get_node(&next.0) {
            if self.reach.is_short(member.node) {
                return Err(format!("the disk of member {next} is nearly full"));
            }
            if self.reach.is_leaving(member.node) {
                return Err(format!("member {next} is about to stop"));
            }
            if self.reach.is_slow(member.node, self.log.slowness(self.clock.monotonic())) {
                return Err(format!("the disk of member {next} is slow"));
            }
            let nodes: Vec<u128> = metrics.membership_config.nodes().map(|(_, member)| member.node).collect();
            let (here, there) =
                (self.reach.silent(&nodes), self.reach.silent_as_seen_by(member.node, &nodes));
            if there > here {
                return Err(format!(
                    "member {next} does not reach {there} members, {here} of them silent here"
                ));
            }
        }
        let heard = metrics.heartbeat.as_ref().and_then(|heard| *heard.get(&next.0)?);
        if heard.is_none_or(|at| at.elapsed() > SUCCESSOR_HEARD_WITHIN) {
            return Err(format!("member {next} does not answer"));
        }
        let matched = metrics.replication.as_ref().and_then(|matched| *matched.get(&next.0)?);
        let lacks = metrics.last_log_index.unwrap_or(0).saturating_sub(matched.map_or(0, |id| id.index));
        if lacks > SUCCESSOR_LACKS_MAX {
            return Err(format!("member {next} lacks {lacks} entries"));
        }
        Ok(())
    }
}
