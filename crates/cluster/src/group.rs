//! One Raft group as this node takes part in it: proposals with their limits, read barriers, state, and the purge
//! of what storage has flushed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{GroupId, LogPosition, NodeId, ReplicaId};
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{ClientWriteError, LinearizableReadError, RaftError};
use openraft::raft::ClientWriteResult;
use openraft::{LinearizerOption, Raft};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::timeout;

use crate::entry::{Op, Proposal};
use crate::error::{OpenError, ProposeError};
use crate::fatal::Fatal;
use crate::lane::{Lane, LaneMetrics};
use crate::options::{Limits, Timing};
use crate::raft::config;
use crate::raft::log_store::LogStore;
use crate::raft::machine::{StateMachine, Target, with_causes};
use crate::raft::network::Alone;
use crate::raft::types::{self, Applied, Member, Reply, Types};

/// How long a purge waits for openraft to take note of a snapshot.
const SNAPSHOT_NOTED: Duration = Duration::from_secs(30);
/// Bytes counted for a proposal above its envelope.
const PROPOSAL_OVERHEAD_BYTES: usize = 256;

/// What a group needs from the node it runs on.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) lane: Arc<Lane>,
    pub(crate) fatal: Fatal,
    pub(crate) timing: Timing,
    pub(crate) limits: Limits,
    pub(crate) node: NodeId,
    pub(crate) address: String,
}

/// The state of one group, as this node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupStatus {
    /// The group.
    pub group: GroupId,
    /// This node's member of it.
    pub replica: ReplicaId,
    /// The member that leads, as far as is known here.
    pub leader: Option<ReplicaId>,
    /// Whether it is ours.
    pub leading: bool,
    /// The term.
    pub term: u64,
    /// Index of the last entry in the local log.
    pub last: Option<u64>,
    /// Index up to which entries are known to be committed.
    pub committed: Option<u64>,
    /// Index up to which entries are applied here.
    pub applied: Option<u64>,
    /// Index up to which entries were purged here.
    pub purged: Option<u64>,
    /// Bytes proposed here and not yet applied.
    pub in_flight_bytes: u64,
    /// Whether the group works at all; it never does again after an error of its log or machine.
    pub running: bool,
}

impl GroupStatus {
    /// Whether writes and reads can be expected to work: a leader is known and, where it is ours, all that was
    /// committed is applied.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.running && self.leader.is_some() && (!self.leading || self.applied >= self.committed)
    }
}

/// A group.
pub(crate) struct Group {
    id: GroupId,
    replica: ReplicaId,
    raft: Raft<Types, StateMachine>,
    in_flight: Arc<Semaphore>,
    limits: Limits,
    /// The newest position that the machine has made durable.
    flushed: watch::Sender<Option<LogPosition>>,
    never_voted: bool,
    /// The counters of the log.
    log: Arc<LaneMetrics>,
}

/// The way to a proposal's outcome.
pub(crate) type Outcome = oneshot::Receiver<ClientWriteResult<Types>>;

impl Group {
    /// Opens a group: re-applies what is known to be committed, and starts its task.
    pub(crate) async fn open(
        around: &Surroundings,
        id: GroupId,
        replica: ReplicaId,
        target: Target,
    ) -> Result<Arc<Self>, OpenError> {
        let log = around.lane.log(id);
        let config =
            config::of_group(id, around.timing).map_err(|error| OpenError::Timing(error.to_string()))?;
        let machine = StateMachine::new(target, Arc::clone(&log), around.fatal.clone())
            .map_err(|source| OpenError::Machine { group: id, source })?;
        // A voter alone commits nothing that is not durable in its own log.
        if let Some(durable) = machine.applied_index()
            && machine.is_alone(replica)
            && log.last_index() < Some(durable)
        {
            return Err(OpenError::LogShort { group: id, last: log.last_index(), durable });
        }
        if let Some(applied) = machine.applied_position()
            && let Some(logged) = log.index().position(applied.index)
            && logged != applied
        {
            return Err(OpenError::ForeignData { group: id, index: applied.index });
        }
        let never_voted = log.vote().is_none();
        let store = LogStore::new(Arc::clone(&around.lane), log);
        let raft = Raft::new(replica.0, config, Alone, store, machine)
            .await
            .map_err(|error| OpenError::Group { group: id, reason: with_causes(&error) })?;
        Ok(Arc::new(Self {
            id,
            replica,
            raft,
            in_flight: Arc::new(Semaphore::new(around.limits.in_flight_bytes_max as usize)),
            limits: around.limits,
            flushed: watch::Sender::new(None),
            never_voted,
            log: around.lane.metrics(),
        }))
    }

    /// Whether the log held no vote when the group was opened: it was new, or lost.
    pub(crate) const fn never_voted(&self) -> bool {
        self.never_voted
    }

    /// Whether the group has members.
    pub(crate) async fn is_founded(&self) -> Result<bool, OpenError> {
        self.raft.is_initialized().await.map_err(|error| self.open_error(&error))
    }

    /// Founds the group with this node as its only member.
    pub(crate) async fn found_alone(&self, around: &Surroundings) -> Result<(), OpenError> {
        let member = Member { node: around.node.get(), address: around.address.clone() };
        let members = BTreeMap::from([(self.replica.0, member)]);
        self.raft.initialize(members).await.map_err(|error| self.open_error(&error))
    }

    /// Whether this node is the only voter.
    pub(crate) fn is_alone(&self) -> bool {
        self.raft.voter_ids().eq([self.replica.0])
    }

    /// Stands for election without waiting for a silence.
    pub(crate) async fn elect(&self) -> Result<(), OpenError> {
        self.raft.trigger().elect(false).await.map_err(|error| self.open_error(&error))
    }

    fn open_error(&self, error: &dyn std::error::Error) -> OpenError {
        OpenError::Group { group: self.id, reason: with_causes(error) }
    }

    /// Waits until a leader is known and, where it is this node, everything committed before is applied.
    pub(crate) async fn wait_ready(&self, at_most: Duration) -> Result<(), OpenError> {
        let mut metrics = self.raft.metrics();
        let ready = async {
            let mut has_barrier = false;
            // What the metrics say may lag behind the barrier, so they are waited for after it too.
            while !has_barrier || !self.status().ready() {
                if !has_barrier && self.status().ready() {
                    has_barrier = true;
                    if self.status().leading
                        && let Err(error) = self.barrier(at_most).await
                    {
                        tracing::warn!(group = %self.id, %error, "not ready yet");
                    }
                } else if metrics.changed().await.is_err() {
                    return;
                }
            }
        };
        // The last state decides, whoever came first.
        timeout(at_most, ready).await.ok();
        let status = self.status();
        if status.ready() { Ok(()) } else { Err(OpenError::NotReady { status: Box::new(status) }) }
    }

    /// The group's id.
    pub(crate) const fn id(&self) -> GroupId {
        self.id
    }

    /// Proposes and waits for commit and apply.
    pub(crate) async fn propose(&self, encoded: Bytes, op: Op) -> Result<Applied, ProposeError> {
        let outcome = self.submit(encoded, op).await?;
        self.outcome(outcome).await
    }

    /// Hands a proposal to the group. Proposals handed over one after the other are logged in that order. An error
    /// means that nothing was proposed.
    pub(crate) async fn submit(&self, encoded: Bytes, op: Op) -> Result<Outcome, ProposeError> {
        let bytes = encoded.len() + PROPOSAL_OVERHEAD_BYTES;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.limits.in_flight_bytes_max);
        let (tell, told) = Reply::pair();
        let hand_over = async {
            let admitted = Arc::clone(&self.in_flight).acquire_many_owned(bytes).await.ok();
            let proposal = Proposal::new(encoded, op, admitted);
            self.raft.client_write_ff(proposal, Some(tell)).await
        };
        match timeout(Duration::from_millis(self.limits.admission_ms_max), hand_over).await {
            Ok(Ok(())) => Ok(told),
            Ok(Err(fatal)) => Err(ProposeError::Unavailable { group: self.id, reason: with_causes(&fatal) }),
            Err(_elapsed) => Err(ProposeError::Overloaded { group: self.id }),
        }
    }

    /// Waits for the outcome of a proposal.
    pub(crate) async fn outcome(&self, outcome: Outcome) -> Result<Applied, ProposeError> {
        let unknown = |reason: String| ProposeError::Unknown { group: self.id, reason };
        let mut waiting = self.log.waiting_for_space.subscribe();
        let answer = async {
            tokio::select! {
                biased;
                answer = outcome => answer.map_err(|_dropped| "the group stopped"),
                Ok(_) = waiting.wait_for(|waits| *waits) => Err("the disk is full: the log waits for space"),
            }
        };
        match timeout(Duration::from_millis(self.limits.proposal_ms_max), answer).await {
            Ok(Ok(Ok(response))) => Ok(response.data),
            Ok(Ok(Err(error))) => Err(match error {
                ClientWriteError::ForwardToLeader(to) => {
                    ProposeError::NotLeader { group: self.id, leader: to.leader_id.map(ReplicaId) }
                }
                ClientWriteError::LogEntryDiscarded(_) => unknown("the leader changed".to_owned()),
                other => ProposeError::Unavailable { group: self.id, reason: with_causes(&other) },
            }),
            Ok(Err(reason)) => Err(unknown(reason.to_owned())),
            Err(_elapsed) => Err(unknown("no answer in time".to_owned())),
        }
    }

    /// Returns when everything acknowledged before the call is applied here. Only the leader can say so.
    pub(crate) async fn read_barrier(&self) -> Result<(), ProposeError> {
        self.barrier(Duration::from_millis(self.limits.admission_ms_max)).await
    }

    async fn barrier(&self, wait: Duration) -> Result<(), ProposeError> {
        if self.has_all_applied() {
            return Ok(());
        }
        let option = LinearizerOption::new(None, true).with_wait_timeout(wait);
        let unavailable = |error: &dyn std::error::Error| ProposeError::Unavailable {
            group: self.id,
            reason: with_causes(error),
        };
        let linearizer = match self.raft.get_read_linearizer(option).await {
            Ok(linearizer) => linearizer,
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(to))) => {
                return Err(ProposeError::NotLeader { group: self.id, leader: to.leader_id.map(ReplicaId) });
            }
            Err(error) => return Err(unavailable(&error)),
        };
        let applied = linearizer.try_await_ready(&self.raft, Some(wait)).await;
        match applied.map_err(|fatal| unavailable(&fatal))? {
            Ok(_state) => Ok(()),
            Err(_late) => Err(ProposeError::Unavailable {
                group: self.id,
                reason: "applying what is committed takes too long".to_owned(),
            }),
        }
    }

    /// Whether this replica is the group's only voter, leads it, and has applied an entry of its term, so all that was
    /// there before. What it has acknowledged since it applied first, and nobody else acknowledges anything: a leader
    /// that adds a voter knows of it before the voter does.
    fn has_all_applied(&self) -> bool {
        let watch = self.raft.metrics();
        let metrics = watch.borrow_watched();
        metrics.running_state.is_ok()
            && metrics.state.is_leader()
            && metrics.membership_config.voter_ids().eq([self.replica.0])
            && metrics.last_applied.as_ref().is_some_and(|id| id.leader_id.term == metrics.current_term)
    }

    /// The state.
    pub(crate) fn status(&self) -> GroupStatus {
        let watch = self.raft.metrics();
        let metrics = watch.borrow_watched();
        let index = |id: &Option<types::LogId>| id.as_ref().map(|id| id.index);
        let free = self.in_flight.available_permits() as u64;
        GroupStatus {
            group: self.id,
            replica: self.replica,
            leader: metrics.current_leader.map(ReplicaId),
            leading: metrics.current_leader == Some(self.replica.0),
            term: metrics.current_term,
            last: metrics.last_log_index,
            committed: index(&metrics.local_committed),
            applied: index(&metrics.last_applied),
            purged: index(&metrics.purged),
            in_flight_bytes: u64::from(self.limits.in_flight_bytes_max).saturating_sub(free),
            running: metrics.running_state.is_ok(),
        }
    }

    /// Notes that the machine has made everything up to `position` durable.
    pub(crate) fn flushed(&self, position: LogPosition) {
        self.flushed.send_if_modified(|newest| {
            let newer = newest.is_none_or(|newest| newest.index < position.index);
            if newer {
                *newest = Some(position);
            }
            newer
        });
    }

    /// Purges the log as the machine makes entries durable, for ever.
    pub(crate) async fn purge_flushed(self: Arc<Self>) {
        let mut watch = self.flushed.subscribe();
        // What was flushed before this task began counts too.
        watch.mark_changed();
        while watch.changed().await.is_ok() {
            let position = *watch.borrow_and_update();
            if let Some(position) = position
                && let Err(reason) = self.purge(position).await
            {
                tracing::warn!(group = %self.id, index = position.index, reason, "the log was not purged");
            }
        }
    }

    /// Lets openraft take note of a snapshot at `position` and purges up to there.
    async fn purge(&self, position: LogPosition) -> Result<(), String> {
        let text = |error: &dyn std::error::Error| with_causes(error);
        self.raft.trigger().snapshot().await.map_err(|error| text(&error))?;
        let noted = |metrics: &openraft::RaftMetrics<Types>| {
            metrics.snapshot.as_ref().is_some_and(|id| id.index >= position.index)
        };
        let wait = self.raft.wait(Some(SNAPSHOT_NOTED));
        wait.metrics(noted, "snapshot noted").await.map_err(|error| text(&error))?;
        self.raft.trigger().purge_log(position.index).await.map_err(|error| text(&error))
    }

    /// Takes a snapshot of the catalog at what is applied, and purges up to there.
    pub(crate) fn compact_to_applied(&self) {
        let applied = self.raft.metrics().borrow_watched().last_applied;
        if let Some(id) = applied {
            self.flushed(types::position(&id));
        }
    }

    /// Stops the group's task.
    pub(crate) async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(group = %self.id, %error, "the group's task did not end well");
        }
    }
}
