//! One Raft group as this node takes part in it: proposals with their limits, read barriers, state, and the purge
//! of what storage has flushed.

pub(crate) mod members;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use disk::Vfs;
use futures::FutureExt as _;
use futures::future::join_all;
use model::{Clock, GroupId, LogPosition, ReplicaId};
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{ClientWriteError, LinearizableReadError, RaftError};
use openraft::raft::ClientWriteResult;
use openraft::raft::linearizable_read::Linearizer;
use openraft::{LinearizerOption, Raft, RaftMetrics};
use proto::log;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::barrier::Proof;
use crate::comparison::Compared;
use crate::entry::{LogEntry, Op, Payload, Proposal};
use crate::error::{HandOverError, OpenError, ProposeError};
use crate::fatal::Fatal;
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

/// How long a purge waits for openraft to take note of a snapshot.
const SNAPSHOT_NOTED: Duration = Duration::from_secs(30);
/// How often a group of several looks what its members have got.
const LOOK_AT_MEMBERS_EVERY: Duration = Duration::from_secs(1);
/// Whoever is to lead has answered within this time.
const SUCCESSOR_HEARD_WITHIN: Duration = Duration::from_secs(1);
/// Entries that whoever is to lead may lack: some milliseconds' worth of writes.
const SUCCESSOR_LACKS_MAX: u64 = 1024;
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
    all_have: Arc<AtomicU64>,
    /// Reads that wait for a heartbeat.
    awaited: Arc<AtomicU32>,
    /// Nanoseconds of monotonic time until which all that was acknowledged is applied here, as far as is known; 0 when
    /// nothing is.
    has_all_until: AtomicU64,
    lane: Arc<Lane>,
    never_voted: bool,
    had_data: bool,
    /// That the group's task is to end.
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
        let machine = StateMachine::new(target.clone(), Arc::clone(&log), around.fatal.clone(), vfs)
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
        let (never_voted, had_data) = (log.vote().is_none(), machine.applied_index().is_some());
        let store = LogStore::new(Arc::clone(&around.lane), log);
        let (all_have, awaited) = (Arc::<AtomicU64>::default(), Arc::<AtomicU32>::default());
        let network = Network {
            myself: Arc::clone(&around.myself),
            links: Arc::clone(&around.links),
            throttle: Arc::clone(&around.throttle),
            group: id,
            replica,
            all_have: Arc::clone(&all_have),
            awaited: Arc::clone(&awaited),
        };
        let raft = Raft::new(replica.0, config, network, store, machine)
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
            all_have,
            awaited,
            has_all_until: AtomicU64::new(0),
            lane: Arc::clone(&around.lane),
            never_voted,
            had_data,
            ended: CancellationToken::new(),
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

    /// Whether there is room for what the leader sends. The catalog's entries are few, and the log has made room ahead.
    pub(crate) fn takes_entries(&self) -> bool {
        self.myself.room() < Room::Spent || self.id == GroupId::Meta
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

    /// Returns when everything acknowledged before the call is applied here. Only the leader can say so.
    pub(crate) async fn read_barrier(&self, proof: Proof) -> Result<(), ProposeError> {
        self.barrier(proof, Duration::from_millis(self.limits.admission_ms_max)).await
    }

    async fn barrier(&self, proof: Proof, wait: Duration) -> Result<(), ProposeError> {
        if self.has_all_applied() {
            return Ok(());
        }
        let linearizer = self.linearizer(proof, wait).await?;
        let applied = linearizer.try_await_ready(&self.raft, Some(wait)).await;
        match applied.map_err(|fatal| self.unavailable(&fatal))? {
            Ok(_state) => Ok(()),
            Err(_late) => Err(self.late()),
        }
    }

    async fn linearizer(&self, proof: Proof, wait: Duration) -> Result<Linearizer<Types>, ProposeError> {
        let age_max = match proof {
            // As long as the lease.
            Proof::Lease => None,
            Proof::Quorum => Some(Duration::ZERO),
        };
        let option = LinearizerOption::new(age_max, true).with_wait_timeout(wait);
        let _awaited = Awaited::begin(&self.awaited);
        match self.raft.get_read_linearizer(option).await {
            Ok(linearizer) => Ok(linearizer),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(to))) => {
                Err(ProposeError::NotLeader { group: self.id, leader: to.leader_id.map(ReplicaId) })
            }
            Err(error) => Err(self.unavailable(&error)),
        }
    }

    fn unavailable(&self, error: &dyn std::error::Error) -> ProposeError {
        ProposeError::Unavailable { group: self.id, reason: with_causes(error) }
    }

    const fn late(&self) -> ProposeError {
        ProposeError::Behind { group: self.id }
    }

    /// The index up to which any replica must have applied, so that everything acknowledged before the call is applied
    /// there. Only the leader can say so.
    pub(crate) async fn read_index(&self, proof: Proof) -> Result<u64, ProposeError> {
        let wait = Duration::from_millis(self.limits.admission_ms_max);
        Ok(self.linearizer(proof, wait).await?.read_log_id().index())
    }

    /// Notes that everything acknowledged before a moment of monotonic time is applied here.
    pub(crate) fn has_all_until(&self, moment: Duration) {
        let nanoseconds = u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX);
        self.has_all_until.fetch_max(nanoseconds, Ordering::Relaxed);
    }

    /// For how long, at most, entries have been acknowledged that are not applied here; `None` when that is not known.
    pub(crate) fn age(&self, now: Duration) -> Option<Duration> {
        let until = self.has_all_until.load(Ordering::Relaxed);
        (until > 0).then(|| now.saturating_sub(Duration::from_nanos(until)))
    }

    /// Returns when entries up to `index` are applied here.
    pub(crate) async fn wait_applied(&self, index: u64, at_most: Duration) -> Result<(), ProposeError> {
        let is_there = |metrics: &RaftMetrics<Types>| {
            metrics.last_applied.as_ref().is_some_and(|applied| applied.index >= index)
                || metrics.running_state.is_err()
        };
        let waited = self.raft.wait(Some(at_most)).metrics(is_there, "applied").await;
        match waited.map(|metrics| metrics.running_state) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fatal)) => Err(self.unavailable(&fatal)),
            Err(_late) => Err(self.late()),
        }
    }

    /// Returns when entries beyond `index` are applied here; `false` when the group has stopped.
    pub(crate) async fn applied_beyond(&self, index: Option<u64>) -> bool {
        let mut watch = self.raft.metrics();
        loop {
            {
                let metrics = watch.borrow_watched();
                if metrics.running_state.is_err() {
                    return false;
                }
                if metrics.last_applied.as_ref().map(|applied| applied.index) > index {
                    return true;
                }
            }
            if watch.changed().await.is_err() {
                return false;
            }
        }
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

    /// Index up to which all members have the log, as far as this one knows.
    pub(crate) fn all_have(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.all_have)
    }

    /// Purges the log as the machine makes entries durable, for ever. What a member has not got yet is kept for it, as
    /// long as the log is not too long.
    pub(crate) async fn purge_flushed(self: Arc<Self>) {
        let mut watch = self.flushed.subscribe();
        // What was flushed before this task began counts too.
        watch.mark_changed();
        let mut look = interval(LOOK_AT_MEMBERS_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut purged = None;
        loop {
            tokio::select! {
                () = self.ended.cancelled() => return,
                changed = watch.changed() => if changed.is_err() { return },
                _ = look.tick(), if !self.is_alone() => self.incoming.forget_old(),
            }
            let Some(position) = *watch.borrow_and_update() else { continue };
            let upto = position.index.min(self.needed_by_nobody());
            if purged >= Some(upto) || upto == 0 {
                continue;
            }
            match self.purge(position, upto).await {
                Ok(()) => purged = Some(upto),
                Err(reason) => {
                    tracing::warn!(group = %self.id, index = upto, reason, "the log was not purged");
                }
            }
        }
    }

    /// Index up to which no member needs the log of this one; a leader finds out, and tells with what it sends.
    fn needed_by_nobody(&self) -> u64 {
        if self.is_alone() || self.lane.bytes() > self.limits.log_bytes_soft {
            return u64::MAX;
        }
        let matched = self.raft.metrics().borrow_watched().replication.as_ref().map(|members| {
            members.values().map(|matched| matched.as_ref().map_or(0, |id| id.index)).min().unwrap_or(0)
        });
        if let Some(matched) = matched {
            self.all_have.fetch_max(matched, Ordering::Relaxed);
        }
        self.all_have.load(Ordering::Relaxed)
    }

    /// Lets openraft take note of a snapshot at `position` and purges up to `upto`.
    async fn purge(&self, position: LogPosition, upto: u64) -> Result<(), String> {
        let text = |error: &dyn std::error::Error| with_causes(error);
        let noted = |metrics: &RaftMetrics<Types>| {
            metrics.snapshot.as_ref().is_some_and(|id| id.index >= position.index)
        };
        if !noted(&self.raft.metrics().borrow_watched()) {
            self.raft.trigger().snapshot().await.map_err(|error| text(&error))?;
            let wait = self.raft.wait(Some(SNAPSHOT_NOTED));
            wait.metrics(noted, "snapshot noted").await.map_err(|error| text(&error))?;
        }
        self.raft.trigger().purge_log(upto).await.map_err(|error| text(&error))
    }

    /// Takes a snapshot of the catalog at what is applied, and purges up to there.
    pub(crate) fn compact_to_applied(&self) {
        let applied = self.raft.metrics().borrow_watched().last_applied;
        if let Some(id) = applied {
            self.flushed(types::position(&id));
        }
    }

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
}
