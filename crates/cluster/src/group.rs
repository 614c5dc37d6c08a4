//! One Raft group as this node takes part in it: it opens, takes proposals within their limits, and says its state.

mod hand_over;
pub(crate) mod members;
mod purge;
mod reading;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use disk::Vfs;
use futures::FutureExt as _;
use futures::future::join_all;
use model::{Clock, GroupId, LogPosition, ReplicaId};
use openraft::Raft;
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::ClientWriteError;
use openraft::raft::ClientWriteResult;
use proto::log;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use trace::Traced as _;

use crate::barrier::Proof;
use crate::comparison::Compared;
use crate::entry::{LogEntry, Op, Payload, Proposal};
use crate::error::{OpenError, ProposeError};
use crate::fatal::Fatal;
use crate::figures::Counters;
use crate::lane::{Lane, LaneMetrics};
use crate::options::{Limits, Timing};
use crate::peer::links::Links;
use crate::peer::myself::{Myself, Room};
use crate::peer::reach::Reach;
use crate::raft::config;
use crate::raft::log_store::LogStore;
use crate::raft::machine::{StateMachine, Target, with_causes};
use crate::raft::network::Network;
use crate::raft::snapshot::files::Incoming;
use crate::raft::types::{self, Applied, Member, Reply, Types};
use crate::throttle::Throttle;

/// Bytes counted for a proposal above its envelope.
const PROPOSAL_OVERHEAD_BYTES: usize = 256;

/// What a group needs from the node it runs on.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) lane: Arc<Lane>,
    pub(crate) fatal: Fatal,
    pub(crate) timing: Timing,
    pub(crate) limits: Limits,
    pub(crate) myself: Arc<Myself>,
    pub(crate) links: Arc<Links>,
    /// What files that are sent share.
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) reach: Arc<Reach>,
}

/// The state of one group, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Bytes of files that have come, and bytes of all of them, while files come.
    pub files: Option<(u64, u64)>,
    /// The members that have a vote, as far as is known here; in the midst of a change, those that have one before
    /// and after it.
    pub voters: Vec<ReplicaId>,
    /// What this member held when it was last compared with the others.
    pub compared: Option<Compared>,
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
    timing: Timing,
    /// The newest position that the machine has made durable.
    flushed: watch::Sender<Option<LogPosition>>,
    target: Target,
    incoming: Arc<Incoming>,
    vfs: Arc<dyn Vfs>,
    /// The way to the other members.
    network: Network,
    /// Files of the machine are damaged, and are to be had from another member.
    is_damaged: AtomicBool,
    /// Nanoseconds of monotonic time until which all that was acknowledged is applied here, as far as is known; 0 when
    /// nothing is.
    has_all_until: AtomicU64,
    lane: Arc<Lane>,
    never_voted: bool,
    had_data: bool,
    /// That the group's task is to end.
    /// Nothing is applied any more.
    machine_end: CancellationToken,
    ended: CancellationToken,
    /// The counters of the log.
    log: Arc<LaneMetrics>,
    myself: Arc<Myself>,
    reach: Arc<Reach>,
    clock: Arc<dyn Clock>,
}

/// The way to a proposal's outcome.
type Outcome = oneshot::Receiver<ClientWriteResult<Types>>;

/// A proposal that is committed and applied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Committed {
    /// Index of its entry.
    pub(crate) index: u64,
    /// What applying it answered.
    pub(crate) answer: Applied,
}

/// A read that waits for a heartbeat, as long as this lives.
struct Awaited<'a>(&'a AtomicU32);

impl<'a> Awaited<'a> {
    fn begin(awaited: &'a AtomicU32) -> Self {
        awaited.fetch_add(1, Ordering::Relaxed);
        Self(awaited)
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Group {
    /// Opens a group: re-applies what is known to be committed, and starts its task.
    pub(crate) async fn open(
        around: &Surroundings,
        id: GroupId,
        replica: ReplicaId,
        target: Target,
    ) -> Result<Arc<Self>, OpenError> {
        let log = around.lane.log(id);
        let claimed = around.lane.claim(&log, replica).await;
        if !claimed.map_err(|error| OpenError::Group { group: id, reason: with_causes(&error) })? {
            return Err(OpenError::Gone { group: id, replica });
        }
        let config =
            config::of_group(id, around.timing).map_err(|error| OpenError::Timing(error.to_string()))?;
        let vfs = Arc::clone(&around.vfs);
        let tracer = around.myself.tracer.clone();
        let machine =
            StateMachine::new(target.clone(), Arc::clone(&log), around.fatal.clone(), vfs, tracer.clone())
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
        let machine_end = machine.end();
        let (never_voted, had_data) = (log.vote().is_none(), machine.applied_index().is_some());
        let store = LogStore::new(Arc::clone(&around.lane), log, tracer);
        let network = Network {
            myself: Arc::clone(&around.myself),
            links: Arc::clone(&around.links),
            throttle: Arc::clone(&around.throttle),
            group: id,
            replica,
            all_have: Arc::default(),
            awaited: Arc::default(),
            acknowledged: Arc::default(),
        };
        let raft = Raft::new(replica.0, config, network.clone(), store, machine)
            .await
            .map_err(|error| OpenError::Group { group: id, reason: with_causes(&error) })?;
        Ok(Arc::new(Self {
            id,
            replica,
            raft,
            in_flight: Arc::new(Semaphore::new(around.limits.in_flight_bytes_max as usize)),
            limits: around.limits,
            timing: around.timing,
            flushed: watch::Sender::new(None),
            target,
            incoming: Arc::default(),
            vfs: Arc::clone(&around.vfs),
            network,
            is_damaged: AtomicBool::new(false),
            has_all_until: AtomicU64::new(0),
            lane: Arc::clone(&around.lane),
            never_voted,
            had_data,
            ended: CancellationToken::new(),
            machine_end,
            log: around.lane.metrics(),
            myself: Arc::clone(&around.myself),
            reach: Arc::clone(&around.reach),
            clock: Arc::clone(&around.clock),
        }))
    }

    /// Whether nothing is in the log, so that the group has no members as far as is known here.
    pub(crate) fn is_blank(&self) -> bool {
        self.lane.log(self.id).last_index().is_none()
    }

    /// Whether the log held no vote when the group was opened: it was new, or lost.
    pub(crate) const fn never_voted(&self) -> bool {
        self.never_voted
    }

    /// Whether the machine held anything when the group was opened.
    pub(crate) const fn had_data(&self) -> bool {
        self.had_data
    }

    /// Whether the group has members.
    pub(crate) async fn is_founded(&self) -> Result<bool, OpenError> {
        self.raft.is_initialized().await.map_err(|error| self.open_error(&error))
    }

    /// Founds the group with these voters. Only one of them may do that, and only once.
    pub(crate) async fn found(&self, members: BTreeMap<u64, Member>) -> Result<(), OpenError> {
        self.raft.initialize(members).await.map_err(|error| self.open_error(&error))
    }

    /// Whether this member has voted in any term.
    pub(crate) fn has_voted(&self) -> bool {
        self.lane.log(self.id).vote().is_some_and(|vote| vote.term > 0)
    }

    /// Writes the entry that founds the group with these voters, when the log is empty and the group's task has ended.
    pub(crate) async fn write_founding(&self, members: BTreeMap<u64, Member>) -> Result<(), OpenError> {
        let log = self.lane.log(self.id);
        if !self.ended.is_cancelled() || log.last_index().is_some() {
            let reason = "it has a log already".to_owned();
            return Err(OpenError::Group { group: self.id, reason });
        }
        let voters = types::first_membership(members).map_err(|error| self.open_error(&error))?;
        let position = LogPosition { index: 0, term: 0, leader: self.replica };
        let entry = LogEntry { position, payload: Payload::Membership(voters) };
        let written = self.lane.append_durably(&log, vec![entry]).await;
        written.map_err(|error| self.open_error(&error))
    }

    /// What peers talk to.
    pub(crate) const fn raft(&self) -> &Raft<Types, StateMachine> {
        &self.raft
    }

    /// What this node's groups have done.
    pub(crate) fn counters(&self) -> &Counters {
        &self.myself.counters
    }

    /// What the log is applied to.
    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }

    /// The files that come from other members.
    pub(crate) const fn incoming(&self) -> &Arc<Incoming> {
        &self.incoming
    }

    /// Where files are.
    pub(crate) const fn vfs(&self) -> &Arc<dyn Vfs> {
        &self.vfs
    }

    /// The way to the other members.
    pub(crate) const fn network(&self) -> &Network {
        &self.network
    }

    /// Notes whether files of the machine are to be had from another member.
    pub(crate) fn note_damage(&self, is_damaged: bool) {
        self.is_damaged.store(is_damaged, Ordering::Relaxed);
    }

    /// Whether files of the machine are damaged, and on their way from another member: whoever can read elsewhere should,
    /// and somebody else should lead.
    pub(crate) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
    }

    /// Index of the last entry that the log has no more.
    pub(crate) fn purged(&self) -> Option<u64> {
        self.lane.log(self.id).index().purged.map(|purged| purged.index)
    }

    /// The voters on other nodes, who leads first.
    pub(crate) fn other_voters(&self) -> Vec<(ReplicaId, Member)> {
        let watch = self.raft.metrics();
        let metrics = watch.borrow_watched();
        let members = metrics.membership_config.membership();
        let others = members.voter_ids().filter(|id| *id != self.replica.0);
        let member = |id: u64| Some((ReplicaId(id), members.get_node(&id)?.clone()));
        let mut others: Vec<_> = others.filter_map(member).collect();
        others.sort_by_key(|(id, _)| metrics.current_leader != Some(id.0));
        others
    }

    /// This node's member.
    pub(crate) const fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// Whether this node's member leads, as far as is known here.
    pub(crate) fn leads(&self) -> bool {
        self.raft.metrics().borrow_watched().current_leader == Some(self.replica.0)
    }

    /// The member that leads, as far as is known here, and where it is.
    pub(crate) fn leader(&self) -> Option<(ReplicaId, Member)> {
        let watch = self.raft.metrics();
        let metrics = watch.borrow_watched();
        let leader = metrics.current_leader?;
        let member = metrics.membership_config.membership().get_node(&leader)?;
        Some((ReplicaId(leader), member.clone()))
    }

    /// Returns when this member hears of another term or leader than those given; never when the group has stopped.
    pub(crate) async fn leadership_beyond(&self, term: u64, leader: Option<ReplicaId>) {
        let mut watch = self.raft.metrics();
        loop {
            let status = self.status();
            if status.term > term || status.leader.is_some() && status.leader != leader {
                return;
            }
            if watch.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether this node is the only voter.
    pub(crate) fn is_alone(&self) -> bool {
        self.raft.voter_ids().eq([self.replica.0])
    }

    /// Whether there is room for what the leader sends. The catalog's entries are few, and the log has made room ahead; and
    /// where most voters are short no points are taken, so that what comes is little, and nobody could lead without it.
    pub(crate) fn takes_entries(&self) -> bool {
        self.myself.room() < Room::Spent || self.id == GroupId::Meta || self.most_are_short()
    }

    /// Whether the disks of most voters are nearly full: nobody who takes a lead can do more than who has it.
    pub(crate) fn most_are_short(&self) -> bool {
        let own = self.myself.identity().node_uuid;
        let watch = self.raft.metrics();
        let metrics = watch.borrow_watched();
        let members = metrics.membership_config.membership();
        let voters: Vec<u128> =
            members.voter_ids().filter_map(|id| Some(members.get_node(&id)?.node)).collect();
        let is_short = |node: &&u128| match **node {
            node if node == own => self.myself.room() > Room::Plenty,
            node => self.reach.is_short(node),
        };
        2 * voters.iter().filter(is_short).count() > voters.len()
    }

    /// Lets it stand for election when a leader is silent, or not.
    pub(crate) fn may_stand(&self, may: bool) {
        self.raft.runtime_config().elect(may);
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
                        && let Err(error) = self.barrier(Proof::Lease, at_most).await
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

    /// Proposes operations, in order, and waits until all of them are committed and applied; answers the last. After
    /// an error some of them may have been carried out; [`ProposeError::Unknown`] says so unless nothing was.
    pub(crate) async fn propose(&self, ops: Vec<(Bytes, Op)>) -> Result<Committed, ProposeError> {
        let mut span = trace::span("raft.propose");
        if span.is_wanted() {
            span.set("group", self.id.number());
            span.set("entries", ops.len());
        }
        let began = self.clock.monotonic();
        let result = self.propose_all(ops).in_span(&span).await;
        let counters = self.counters();
        counters.proposals.inc();
        match &result {
            Ok(_) => counters.proposal_durations.observe(self.clock.monotonic().saturating_sub(began)),
            Err(_) => counters.proposals_failed.inc(),
        }
        if span.is_wanted() {
            span.note(&result);
            span.set("term", self.raft.metrics().borrow_watched().current_term);
            span.set("index", result.as_ref().map_or(0, |committed| committed.index));
        }
        result
    }

    async fn propose_all(&self, ops: Vec<(Bytes, Op)>) -> Result<Committed, ProposeError> {
        // Others can do it: nothing that is proposed here would be acknowledged.
        if *self.log.waiting_for_space.borrow() && !self.is_alone() {
            return Err(ProposeError::NotLeader { group: self.id, leader: None });
        }
        let limit = self.lane.entry_bytes_max();
        if let Some(bytes) = ops.iter().map(|(encoded, _)| encoded.len()).find(|bytes| *bytes > limit) {
            return Err(ProposeError::TooLarge { bytes, limit });
        }
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(ops.len());
        let mut failed = None;
        for (encoded, op) in ops {
            match self.submit(encoded, op).await {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let mut last = None;
        for result in join_all(outcomes.into_iter().map(|outcome| self.outcome(outcome))).await {
            match result {
                Ok(committed) => last = Some(committed),
                Err(error) if error.nothing_done() => failed = failed.or(Some(error)),
                Err(unknown) => failed = Some(unknown),
            }
        }
        match (failed, last) {
            (None, Some(last)) => Ok(last),
            (None, None) => {
                Err(ProposeError::Unavailable { group: self.id, reason: "nothing was proposed".to_owned() })
            }
            (Some(error), None) => Err(error),
            (Some(error), Some(_done)) => {
                Err(ProposeError::Unknown { group: self.id, reason: error.to_string() })
            }
        }
    }

    /// Hands a proposal to the group. Proposals handed over one after the other are logged in that order. An error
    /// means that nothing was proposed.
    async fn submit(&self, encoded: Bytes, op: Op) -> Result<Outcome, ProposeError> {
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
    async fn outcome(&self, outcome: Outcome) -> Result<Committed, ProposeError> {
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
            Ok(Ok(Ok(response))) => Ok(Committed { index: response.log_id.index, answer: response.data }),
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

    fn unavailable(&self, error: &dyn std::error::Error) -> ProposeError {
        ProposeError::Unavailable { group: self.id, reason: with_causes(error) }
    }

    const fn late(&self) -> ProposeError {
        ProposeError::Behind { group: self.id }
    }

    /// Entries that are applied here, from one index up to and with another, in order; at most `bytes_max` of them, but
    /// always one. `None` when the log does not reach back so far.
    pub(crate) fn applied_entries(
        &self,
        from: u64,
        to: u64,
        bytes_max: usize,
    ) -> io::Result<Option<Vec<LogEntry>>> {
        let entries = self.lane.log(self.id).entries(from..to.saturating_add(1), bytes_max)?;
        Ok(entries.first().is_some_and(|first| first.position.index == from).then_some(entries))
    }

    /// Whether the log has this very entry, or has it purged last.
    pub(crate) fn has_entry(&self, position: LogPosition) -> bool {
        let log = self.lane.log(self.id);
        let index = log.index();
        index.position(position.index).or(index.purged) == Some(position)
    }

    /// Whether this replica is the group's only voter, leads it, and has applied an entry of its term, so all that was
    /// there before. What it has acknowledged since it applied first, and nobody else acknowledges anything: a leader
    /// that adds a voter knows of it before the voter does.
    pub(crate) fn has_all_applied(&self) -> bool {
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
        let members = metrics.membership_config.membership();
        // Looked at after what is applied: who has applied the order to compare has told something of it.
        let compared = match &self.target {
            Target::Partition(_, comparison) => comparison.told(),
            Target::Catalog(_) => None,
        };
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
            files: self.incoming.progress(),
            voters: members
                .voter_ids()
                .filter(|id| members.get_joint_config().iter().all(|voters| voters.contains(id)))
                .map(ReplicaId)
                .collect(),
            compared,
            running: metrics.running_state.is_ok(),
        }
    }

    /// The last entry that was applied here.
    pub(crate) fn applied(&self) -> Option<LogPosition> {
        self.raft.metrics().borrow_watched().last_applied.as_ref().map(types::position)
    }

    /// This member's vote.
    pub(crate) fn vote(&self) -> log::Vote {
        types::stored_vote(&self.raft.metrics().borrow_watched().vote)
    }

    /// The last entry of each leader in the log, and before them the last one that was purged.
    pub(crate) fn log_positions(&self) -> Vec<LogPosition> {
        let log = self.lane.log(self.id);
        let index = log.index();
        let purged = index.purged.into_iter();
        let held = index.first_index().map(|first| index.leaders(first, u64::MAX));
        purged.chain(held.into_iter().flatten()).collect()
    }

    /// Whether the group's task has ended and nobody has asked for it: after a panic, or an error of log or machine. The
    /// group will never do anything again, whatever it said last.
    pub(crate) fn has_failed(&self) -> bool {
        let mut metrics = self.raft.metrics();
        // The first may be a change that nobody has looked at.
        let has_gone = (0..2).any(|_| matches!(metrics.changed().now_or_never(), Some(Err(_))));
        !self.ended.is_cancelled() && (has_gone || metrics.borrow_watched().running_state.is_err())
    }

    /// Stops the group's task.
    pub(crate) async fn shutdown(&self) {
        self.ended.cancel();
        if let Target::Partition(_, comparison) = &self.target {
            comparison.end();
        }
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(group = %self.id, %error, "the group's task did not end well");
        }
    }

    /// Returns when nothing is applied any more, which may be later than the group has stopped; `false` when that takes
    /// longer.
    pub(crate) async fn machine_ends(&self, within: Duration) -> bool {
        timeout(within, self.machine_end.cancelled()).await.is_ok()
    }
}
