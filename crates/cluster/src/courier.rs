//! The way to whoever leads a group, on this node or another: proposals, and with `barrier` reads, tried again while
//! leaders change, until their time is up. "Not the leader" never leaves these modules.
//!
//! What must always hold: what may have been proposed is never proposed again here, and its outcome is unknown; but for
//! points, which are the same however often they are written.

mod outlook;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use catalog::{Catalog, ClusterNode, Command, Level, NodeInfo, NodeState, Replica, Response};
use futures::future::join_all;
use hashbrown::HashMap;
use model::{Clock, GroupId, NodeId, ReplicaId};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};
use trace::{Collected, TraceId};

use crate::barrier::Proof;
use crate::entry::{CommandError, Op, read_op};
use crate::error::{HandOverError, ProposeError};
use crate::group::{Committed, Group};
use crate::identity::Belongs;
use crate::lane::LaneMetrics;
use crate::mirror::Mirror;
use crate::options::{ENTRY_BYTES_MAX, Limits};
use crate::peer::calls;
use crate::peer::links::{Link, Links};
use crate::peer::myself::Myself;
use crate::peer::reach::{Reach, Way};
use crate::peer::route::{Route, Within};
use crate::peer::status::{self, NodeReport};
use crate::peer::watch::Watchers;
use crate::raft::machine::with_causes;
use crate::raft::types::Applied;
use crate::replicas::Replicas;

/// How long a member may take to take the lead over.
pub(crate) const HAND_OVER_WITHIN: Duration = Duration::from_secs(2);
/// How long a node may take to say how it is.
const REPORT_WITHIN: Duration = Duration::from_secs(2);
/// Pause before a leader is looked for again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// How often somebody who waits looks whether the group can still do anything.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a leader that is silent is believed, before another member is asked who leads; also how long that may take.
const ASK_OTHERS_AFTER: Duration = Duration::from_millis(250);

/// The way to leaders.
pub(crate) struct Courier {
    pub(crate) myself: Arc<Myself>,
    pub(crate) links: Arc<Links>,
    pub(crate) replicas: Arc<Replicas>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) reach: Arc<Reach>,
    /// Of this node's log.
    pub(crate) log: Arc<LaneMetrics>,
    /// Of groups without a member here: who led when somebody last said so.
    pub(crate) hints: Mutex<HashMap<GroupId, ReplicaId>>,
    /// The copy of the catalog, on a gateway.
    pub(crate) mirror: Option<Arc<Mirror>>,
    /// The gateways that follow the catalog through this node.
    pub(crate) watchers: Arc<Watchers>,
    /// Told that reads count on what is here being new.
    pub(crate) refresh: Notify,
    /// Whether this node is about to stop.
    pub(crate) leaving: AtomicBool,
}

/// A member of a group on another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) replica: ReplicaId,
    pub(crate) node: u128,
    address: String,
}

/// Where a group's leader seems to be.
pub(crate) enum Place {
    Here(Arc<Group>),
    There(Remote),
    Unknown,
}

/// The time of one request.
pub(crate) struct Patience {
    until: Instant,
    /// Most requests need no second try.
    pace: Option<Interval>,
    tries: usize,
}

impl Patience {
    fn new(time: Duration) -> Self {
        Self { until: Instant::now() + time, pace: None, tries: 0 }
    }

    /// Time that is left.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Tries so far.
    pub(crate) const fn tries(&self) -> usize {
        self.tries
    }

    /// Waits before another try; `false` when there is no time for one.
    pub(crate) async fn again(&mut self) -> bool {
        self.tries += 1;
        if self.left() <= LOOK_AGAIN_AFTER {
            return false;
        }
        let pace = self.pace.get_or_insert_with(|| {
            let mut pace = interval(LOOK_AGAIN_AFTER);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pace.reset();
            pace
        });
        pace.tick().await;
        true
    }
}

impl Courier {
    /// The time of one request.
    pub(crate) fn patience(&self) -> Patience {
        Patience::new(Duration::from_millis(self.limits.proposal_ms_max))
    }

    /// A member elsewhere of a group that is not read here: the leader where it is known and reached, else another with
    /// each try.
    pub(crate) fn remote(&self, group: GroupId, tries: usize) -> Option<Remote> {
        let is_reached = |remote: &Remote| self.reach.way(remote.node) == Way::Direct;
        if let Place::There(leader) = self.place(group, tries)
            && tries.is_multiple_of(2)
            && is_reached(&leader)
        {
            return Some(leader);
        }
        self.member(group, None, tries / 2).filter(is_reached)
    }

    /// The route of a call to a node that is about no group.
    pub(crate) fn route_to(&self, node: u128) -> Route {
        self.route(node, None)
    }

    /// Whether the catalog knows the cluster, as far as it is applied here.
    pub(crate) fn is_founded(&self) -> bool {
        self.catalog.read().cluster().is_some()
    }

    /// Refuses who does not understand what the cluster may use.
    pub(crate) fn check_level(&self, understood: Level) -> Result<(), tonic::Status> {
        let level = self.catalog.read().level();
        if understood >= level {
            return Ok(());
        }
        Err(tonic::Status::failed_precondition(format!(
            "it understands feature levels up to {understood}, and the cluster is at {level}: a newer version is needed"
        )))
    }

    /// What is expected of a node, as far as the catalog here knows.
    pub(crate) fn state_of(&self, node: u128) -> Option<NodeState> {
        self.catalog.read().node_by_uuid(node).map(|node| node.state)
    }

    /// Proposes operations to a group, in order, wherever it is led, and waits until all of them are committed and
    /// applied there. What may be done twice ([`Op::may_repeat`]) is done again when it is not known whether it was, because a
    /// leader went away or gave its lead to another.
    pub(crate) async fn propose(
        &self,
        group: GroupId,
        ops: Vec<(Bytes, Op)>,
    ) -> Result<Committed, ProposeError> {
        // Alone, nobody else leads: its log is full, or slow, and has the points already.
        let may_repeat = ops.iter().all(|(_, op)| op.may_repeat()) && self.voters(group).len() > 1;
        let mut unknown = None;
        let mut first = Some(ops);
        let mut entries: Vec<Bytes> = Vec::new();
        let mut patience = self.patience();
        loop {
            let result = match self.place(group, patience.tries) {
                Place::Here(local) => {
                    let ops = match first.take() {
                        Some(ops) => {
                            entries = ops.iter().map(|(encoded, _)| encoded.clone()).collect();
                            ops
                        }
                        None => reread(group, &entries)?,
                    };
                    let proposed = self.while_quorum(group, local.propose(ops));
                    tokio::select! {
                        biased;
                        result = proposed => result,
                        leader = self.overtaken(group, local.replica()), if may_repeat => {
                            self.hint(group, Some(leader));
                            Err(Self::leader_changed(group))
                        }
                    }
                }
                Place::There(remote) => {
                    if let Some(ops) = first.take() {
                        entries = ops.into_iter().map(|(encoded, _)| encoded).collect();
                    }
                    self.propose_there(group, &remote, entries.clone(), &patience).await
                }
                Place::Unknown => Err(ProposeError::NotLeader { group, leader: None }),
            };
            match result {
                Err(ProposeError::NotLeader { leader, .. }) => self.hint(group, leader),
                Err(error @ ProposeError::Unknown { .. }) if may_repeat => unknown = Some(error),
                Ok(committed) => return Ok(committed),
                Err(error) => return Err(unknown.unwrap_or(error)),
            }
            if !patience.again().await {
                let reason = "no leader was found in time".to_owned();
                return Err(unknown.unwrap_or(ProposeError::Unavailable { group, reason }));
            }
            if !self.reaches_quorum(group) {
                return Err(unknown.unwrap_or_else(|| Self::cut_off(group)));
            }
        }
    }

    /// Waits for a proposal to this node's own member, as long as it can succeed.
    async fn while_quorum(
        &self,
        group: GroupId,
        proposed: impl Future<Output = Result<Committed, ProposeError>>,
    ) -> Result<Committed, ProposeError> {
        let cut_off = async {
            let mut look = interval(LOOK_EVERY);
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            look.reset();
            loop {
                look.tick().await;
                if !self.reaches_quorum(group) {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            result = proposed => result,
            () = cut_off => {
                let reason = "this node reaches no majority of the group's members any more".to_owned();
                Err(ProposeError::Unknown { group, reason })
            }
        }
    }

    /// Hands entries on to a member elsewhere, for a node that does not reach it.
    pub(crate) async fn hand_on(
        &self,
        group: GroupId,
        to: ReplicaId,
        entries: Vec<Bytes>,
    ) -> Result<Committed, ProposeError> {
        let not_there = ProposeError::NotLeader { group, leader: None };
        let remote = self.member(group, Some(to), 0).filter(|remote| remote.replica == to);
        // Over one node only, so that nothing goes in circles.
        let remote = remote.filter(|remote| self.reach.way(remote.node) == Way::Direct).ok_or(not_there)?;
        self.propose_there(group, &remote, entries, &self.patience()).await
    }

    /// Proposes to a member elsewhere, in messages of a bounded size. Its outcome is unknown as soon as another leads.
    /// Where the member is silent, a third node that reaches it hands the messages on.
    async fn propose_there(
        &self,
        group: GroupId,
        remote: &Remote,
        entries: Vec<Bytes>,
        patience: &Patience,
    ) -> Result<Committed, ProposeError> {
        let limit = ENTRY_BYTES_MAX;
        if let Some(bytes) = entries.iter().map(Bytes::len).find(|bytes| *bytes > limit) {
            return Err(ProposeError::TooLarge { bytes, limit });
        }
        let way = self.reach.way(remote.node);
        let over = |other| Some((self.links.known(other)?, self.route(other, None), Some(remote.replica)));
        let through = match way {
            Way::Direct => {
                Some((self.link(remote), self.route(remote.node, Some((group, remote.replica))), None))
            }
            Way::Over(other) => over(other),
            Way::Nowhere => None,
        };
        let (link, route, hand_on) = through.ok_or(ProposeError::NotLeader { group, leader: None })?;
        let call = async {
            let mut last = None;
            for message in messages(entries) {
                match calls::propose(&link, route, group, hand_on, message, patience.left()).await {
                    Ok(committed) => last = Some(committed),
                    Err(error) if last.is_some() => {
                        return Err(ProposeError::Unknown { group, reason: error.to_string() });
                    }
                    Err(error) => return Err(error),
                }
            }
            let nothing = || ProposeError::Unavailable { group, reason: "nothing was proposed".to_owned() };
            last.ok_or_else(nothing)
        };
        let call = async {
            let silent = || ProposeError::Unknown { group, reason: "the leader is silent".to_owned() };
            self.reach.while_reached(remote.node, way, call).await.unwrap_or_else(|| Err(silent()))
        };
        let local = self.replicas.get(group).filter(|_| !self.is_late());
        let Some(local) = local else {
            return tokio::select! {
                result = call => result,
                leader = self.leader_beside(group, remote.replica) => {
                    self.hint(group, Some(leader));
                    Err(Self::leader_changed(group))
                }
            };
        };
        let term = local.status().term;
        tokio::select! {
            result = call => result,
            () = local.leadership_beyond(term, Some(remote.replica)) => Err(Self::leader_changed(group)),
        }
    }

    fn leader_changed(group: GroupId) -> ProposeError {
        ProposeError::Unknown { group, reason: "the leader changed".to_owned() }
    }

    /// Returns when another leads than this node's member, which may not have heard so, because its log takes long.
    async fn overtaken(&self, group: GroupId, own: ReplicaId) -> ReplicaId {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.reset();
        loop {
            look.tick().await;
            if self.is_late() {
                return self.leader_beside(group, own).await;
            }
        }
    }

    /// Returns when somebody says that a group is led by another member than `known`. The connection to a node that
    /// packets no longer reach looks whole for many seconds.
    async fn leader_beside(&self, group: GroupId, known: ReplicaId) -> ReplicaId {
        let mut pace = interval(ASK_OTHERS_AFTER);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace.reset();
        for tries in 0.. {
            pace.tick().await;
            let other = self.member(group, None, tries).filter(|other| other.replica != known);
            let Some(other) = other.filter(|other| self.reach.way(other.node) == Way::Direct) else {
                continue;
            };
            let (link, route) = (self.link(&other), self.route(other.node, None));
            let asked = [(group, other.replica)];
            let said = calls::read_index(&link, route, &asked, Proof::Lease, ASK_OTHERS_AFTER).await;
            match said.into_iter().next() {
                Some(Ok(_)) => return other.replica,
                Some(Err(ProposeError::NotLeader { leader: Some(leader), .. })) if leader != known => {
                    return leader;
                }
                _ => {}
            }
        }
        std::future::pending().await
    }

    /// Proposes a change of the catalog; when it returns, the change is visible in the local copy.
    pub(crate) async fn propose_catalog(
        &self,
        encoded: Bytes,
        command: Command,
    ) -> Result<Response, ProposeError> {
        let op = Op::Catalog(Box::new(command));
        let Committed { index, answer } = self.propose(GroupId::Meta, vec![(encoded, op)]).await?;
        let within = Duration::from_millis(self.limits.proposal_ms_max);
        let waited = match (self.replicas.get(GroupId::Meta), &self.mirror) {
            (Some(meta), _) => meta.wait_applied(index, within).await,
            (None, Some(mirror)) => self.wait_mirrored(mirror, index, within).await,
            (None, None) => Ok(()),
        };
        if let Err(error) = waited {
            // It is done all the same; a question that matters comes with a barrier.
            tracing::warn!(%error, "the local catalog is behind");
        }
        Ok(match answer {
            Applied::Catalog(response) => response,
            Applied::Done => Response::Done,
        })
    }

    /// What this node says of itself.
    pub(crate) fn own_report(&self) -> NodeReport {
        let groups = self.replicas.all().iter().map(|group| group.status()).collect();
        NodeReport { groups, space: self.myself.space(), gateways: self.watchers.gateways() }
    }

    /// What the nodes that are not out say of themselves, each in its own words when it does not.
    pub(crate) async fn reports(&self) -> BTreeMap<NodeId, Result<NodeReport, String>> {
        let own = self.myself.identity().node_uuid;
        let nodes: Vec<ClusterNode> = {
            let state = self.catalog.read();
            state.nodes().filter(|node| !node.state.is_out()).cloned().collect()
        };
        let asked = nodes.into_iter().map(|node| async move {
            let NodeInfo { uuid, address, .. } = &node.info;
            let report = if *uuid == own {
                Ok(self.own_report())
            } else {
                let link = self.links.to(*uuid, address);
                let asked = status::node_status(&link, self.route(*uuid, None), REPORT_WITHIN);
                timeout(REPORT_WITHIN, asked)
                    .await
                    .unwrap_or_else(|_late| Err("no answer in time".to_owned()))
            };
            (node.id, report)
        });
        join_all(asked).await.into_iter().collect()
    }

    /// The nodes that this one may ask: their ids, UUIDs and addresses.
    pub(crate) fn nodes_to_ask(&self) -> Vec<(NodeId, u128, String)> {
        let own = self.myself.identity().node_uuid;
        let state = self.catalog.read();
        let others = state.nodes().filter(|node| !node.state.is_out() && node.info.uuid != own);
        others.map(|node| (node.id, node.info.uuid, node.info.address.clone())).collect()
    }

    /// The parts of a trace that this node and the others hold; nothing where none holds any.
    pub(crate) async fn collect_trace(&self, trace: TraceId) -> Option<Collected> {
        let own = self.myself.identity().node_uuid;
        let nodes: Vec<NodeInfo> = {
            let state = self.catalog.read();
            let others = state.nodes().filter(|node| !node.state.is_out() && node.info.uuid != own);
            others.map(|node| node.info.clone()).collect()
        };
        let asked = nodes.iter().map(|NodeInfo { uuid, address, .. }| async move {
            let link = self.links.to(*uuid, address);
            let asked = status::collect_trace(&link, self.route(*uuid, None), trace, REPORT_WITHIN);
            timeout(REPORT_WITHIN, asked).await.ok().flatten()
        });
        let others = join_all(asked).await.into_iter().flatten();
        let mut parts = self.myself.tracer.collected(trace).into_iter().chain(others);
        let mut all = parts.next()?;
        for Collected { owner, spans } in parts {
            all.owner = all.owner.or(owner);
            all.spans.extend(spans);
        }
        (!all.spans.is_empty()).then_some(all)
    }

    /// Lets the member of a group that is on a node lead it, whoever leads now.
    pub(crate) async fn hand_over(&self, group: GroupId, to: NodeId) -> Result<(), HandOverError> {
        let to = {
            let state = self.catalog.read();
            state.placement(group).ok_or(HandOverError::NoSuchGroup(group))?;
            state.replica_on(group, to).ok_or(HandOverError::NoVoter)?
        };
        let mut patience = Patience::new(HAND_OVER_WITHIN);
        loop {
            let result = match self.place(group, patience.tries) {
                Place::Here(local) => local.hand_over_to(to, HAND_OVER_WITHIN).await,
                Place::There(remote) => {
                    let route = self.route(remote.node, Some((group, remote.replica)));
                    status::hand_over(&self.link(&remote), route, to, HAND_OVER_WITHIN).await
                }
                Place::Unknown => Err(HandOverError::NotLeader(None)),
            };
            let Err(HandOverError::NotLeader(leader)) = result else { return result };
            self.hint(group, leader);
            if !patience.again().await {
                return Err(HandOverError::Failed("no leader was found in time".to_owned()));
            }
        }
    }

    /// Describes a node in the catalog, and answers its place in the cluster.
    pub(crate) async fn register(&self, node: NodeInfo) -> Result<Belongs, String> {
        let uuid = node.uuid;
        let command = Command::RegisterNode { node };
        let encoded = proto::encode_catalog(command.encode(), self.clock.now());
        match self.propose_catalog(encoded, command).await {
            Ok(Response::Refused(refusal)) => return Err(refusal.to_string()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
        let state = self.catalog.read();
        let place = || {
            let node_id = state.node_by_uuid(uuid)?.id;
            let meta_replica = state.replica_on(GroupId::Meta, node_id)?;
            Some(Belongs { cluster_id: state.cluster()?.id, node_id, meta_replica, founder: false })
        };
        place().ok_or_else(|| "the node is not in the catalog yet".to_owned())
    }

    /// Where the leader of a group seems to be; another guess with each try where nobody knows.
    pub(crate) fn place(&self, group: GroupId, tries: usize) -> Place {
        let local = self.replicas.get(group);
        // A group whose log is stuck or late may not have heard that another leads.
        if let Some(local) = local.clone().filter(|_| !self.is_stuck() && !self.is_late()) {
            if local.leads() {
                return Place::Here(local);
            }
            if let Some((replica, member)) = local.leader() {
                return Place::There(Remote { replica, node: member.node, address: member.address });
            }
            // Others may have heard from a leader that this member does not hear yet, or, where it joins, never does.
        }
        let hint = self.hints.lock().get(&group).copied();
        if let Some(local) = local.filter(|local| hint == Some(local.replica()) && local.leads()) {
            return Place::Here(local);
        }
        self.member(group, hint, tries).map_or(Place::Unknown, Place::There)
    }

    /// The member on another node that is hinted at, else another with each try.
    fn member(&self, group: GroupId, hint: Option<ReplicaId>, tries: usize) -> Option<Remote> {
        let own = self.myself.identity().node_uuid;
        let state = self.catalog.read();
        let remote = |replica: &Replica| {
            let info = &state.node(replica.node)?.info;
            Some(Remote { replica: replica.id, node: info.uuid, address: info.address.clone() })
        };
        let others = state.placement(group)?.voters().filter_map(remote);
        let others: Vec<_> = others.filter(|remote| remote.node != own).collect();
        let hinted = others.iter().find(|remote| Some(remote.replica) == hint);
        hinted.or_else(|| others.get(tries % others.len().max(1))).cloned()
    }

    /// Notes who leads a group that has no member here.
    pub(crate) fn hint(&self, group: GroupId, leader: Option<ReplicaId>) {
        let mut hints = self.hints.lock();
        match leader {
            Some(leader) => hints.insert(group, leader),
            None => hints.remove(&group),
        };
    }

    /// The connections to a member's node.
    pub(crate) fn link(&self, remote: &Remote) -> Arc<Link> {
        self.links.to(remote.node, &remote.address)
    }

    pub(crate) fn route(&self, to_node: u128, to: Option<(GroupId, ReplicaId)>) -> Route {
        Route {
            cluster: self.myself.cluster().unwrap_or(0),
            from_node: self.myself.identity().node_uuid,
            to_node,
            within: to.map(|(group, to)| Within {
                group,
                from: self.replicas.get(group).map(|group| group.replica()),
                to,
            }),
        }
    }
}

/// Entries in groups of at most so many bytes, but at least one.
fn messages(entries: Vec<Bytes>) -> Vec<Vec<Bytes>> {
    let mut messages: Vec<Vec<Bytes>> = Vec::with_capacity(1);
    let mut room = 0;
    for entry in entries {
        match messages.last_mut().filter(|_| entry.len() <= room) {
            Some(message) => {
                room -= entry.len();
                message.push(entry);
            }
            None => {
                room = ENTRY_BYTES_MAX.saturating_sub(entry.len());
                messages.push(vec![entry]);
            }
        }
    }
    messages
}

/// The operations of entries whose operations were given away with a try that did nothing.
fn reread(group: GroupId, entries: &[Bytes]) -> Result<Vec<(Bytes, Op)>, ProposeError> {
    let unreadable = |error: CommandError| ProposeError::Unavailable { group, reason: with_causes(&error) };
    let op = |encoded: &Bytes| Ok((encoded.clone(), read_op(group, encoded).map_err(unreadable)?));
    entries.iter().map(op).collect()
}
