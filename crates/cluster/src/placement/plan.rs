//! What should move in a running cluster: a pure plan over the catalog, one step at a time. What is on its way already is
//! counted where it goes, so that a plan made again asks for nothing twice.
//!
//! A node that has been silent for too long counts as one that is gone, as long as those that are left are enough for all
//! replicas, in as many zones. Its state stays as it is: when it comes back, it gets its share again.
//!
//! Nodes that are not to hold anything are emptied first, then partitions get the voters that they lack, then zones are
//! put right, then nodes hold as many replicas as one another, give or take one where zones allow. Last, partitions are
//! led by as many from each node. Voters are taken away when fewer are asked for, or when nodes are drained and too few
//! are left for all, not when nodes are missing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use catalog::{Command, NodeState, Placement, Replica, State};
use model::{GroupId, NodeId, ReplicaId};

use crate::group::members::Members;

/// Voters of the meta group, where there are as many nodes; with fewer than the lesser number there is one.
const META_VOTERS_MAX: usize = 5;
const META_VOTERS_MIN: usize = 3;

/// Votes of a partition below which draining takes none away.
const VOTERS_LEAST: usize = 3;

/// What the leader of the meta group sees of the others.
pub(crate) struct Seen<'a> {
    /// The members of the meta group.
    pub(crate) meta: &'a Members,
    /// Nodes that have been silent for too long.
    pub(crate) silent: &'a BTreeSet<NodeId>,
}

/// The commands that bring the catalog a step nearer to where everything should be; none when it is there, or waits.
pub(crate) fn plan(state: &State, seen: &Seen<'_>, moves_per_node_max: usize) -> Vec<Command> {
    let nodes = Nodes::new(state, seen.silent);
    let mut commands = abandoned(&nodes);
    commands.extend(meta_votes(&nodes, seen.meta));
    let votes = [recalled(&nodes), surplus(&nodes, seen.meta)].concat();
    // Where replicas should be, and who should lead, depends on who has votes then.
    if votes.is_empty() {
        commands.extend(Moves::new(&nodes, moves_per_node_max).plan());
        commands.extend(leads(&nodes));
    }
    commands.extend(votes);
    commands
}

/// The nodes as they count in a plan.
struct Nodes<'a> {
    state: &'a State,
    /// Silent ones that count as gone.
    gone: BTreeSet<NodeId>,
    /// Voters that each partition should have.
    wanted: usize,
}

impl<'a> Nodes<'a> {
    fn new(state: &'a State, silent: &BTreeSet<NodeId>) -> Self {
        let mut nodes = Self { state, gone: BTreeSet::new(), wanted: 0 };
        let before = nodes.zones();
        let wanted =
            |nodes: &Self| state.cluster().map_or(0, |cluster| cluster.voters_wanted(nodes.active().count()));
        let needed = wanted(&nodes);
        nodes.gone = silent.iter().copied().filter(|node| nodes.is_active(*node)).collect();
        if nodes.active().count() < needed || nodes.zones() < before.min(needed) {
            nodes.gone.clear();
        }
        nodes.wanted = wanted(&nodes);
        nodes
    }

    /// Votes that a partition may have: as many as are asked for, and fewer where nodes are drained or out and nothing else could
    /// be done with what they hold, but never for that fewer than tolerate the loss of one.
    fn votes_max(&self) -> usize {
        let not_drained = self.state.nodes().filter(|node| node.state == NodeState::Active).count();
        self.state.cluster().map_or(usize::MAX, |cluster| {
            cluster.voters_wanted(not_drained).max(VOTERS_LEAST).min(cluster.replication.into())
        })
    }

    /// Whether a node may hold something.
    fn is_active(&self, node: NodeId) -> bool {
        let state = self.state.node(node).map(|node| node.state);
        state == Some(NodeState::Active) && !self.gone.contains(&node)
    }

    /// The nodes that may hold something.
    fn active(&self) -> impl Iterator<Item = NodeId> {
        self.state.nodes().map(|node| node.id).filter(|node| self.is_active(*node))
    }

    /// The number of zones in which these are.
    fn zones(&self) -> usize {
        let zones = Zones(self.state);
        let (in_zones, alone): (Vec<NodeId>, Vec<NodeId>) =
            self.active().partition(|node| zones.of(*node).is_some());
        in_zones.into_iter().filter_map(|node| zones.of(node)).collect::<BTreeSet<_>>().len() + alone.len()
    }
}

fn data(state: &State) -> impl Iterator<Item = &Placement> {
    state.placements().filter(|placement| placement.group != GroupId::Meta)
}

/// Replicas that will never catch up, or are not wanted any more, and copies of the catalog on nodes that are out.
fn abandoned(nodes: &Nodes<'_>) -> Vec<Command> {
    let state = nodes.state;
    let is_out = |node| state.node(node).is_none_or(|node| node.state.is_out());
    let joining = data(state).flat_map(|placement| {
        let more = nodes.wanted.saturating_sub(placement.voters().count());
        let wanted = placement.additional().filter(|replica| nodes.is_active(replica.node)).take(more);
        let wanted: Vec<ReplicaId> = wanted.map(|replica| replica.id).collect();
        let is_wanted = move |replica: &Replica| match replica.replaces() {
            Some(_) => nodes.is_active(replica.node),
            None => wanted.contains(&replica.id),
        };
        let unwanted = placement.joining().filter(move |replica| !is_wanted(replica));
        unwanted.map(|replica| (placement.group, replica))
    });
    let meta = state.placement(GroupId::Meta).into_iter().flat_map(|placement| &placement.replicas);
    let copies = meta.filter(|replica| !replica.is_voter() && is_out(replica.node));
    joining
        .chain(copies.map(|replica| (GroupId::Meta, replica)))
        .map(|(group, replica)| Command::RemoveReplica { group, replica: replica.id })
        .collect()
}

/// Votes that go back to whoever has just lost them: those who have them are gone, and may not have had time to use them.
fn recalled(nodes: &Nodes<'_>) -> Vec<Command> {
    let recalled = data(nodes.state).filter_map(|placement| {
        let there = placement.leaving().filter(|old| nodes.is_active(old.node));
        let gone = placement.voters().filter(|voter| !nodes.is_active(voter.node));
        let (gain, lose): (Vec<_>, Vec<_>) = there.zip(gone).map(|(old, voter)| (old.id, voter.id)).unzip();
        (!gain.is_empty()).then_some(Command::ChangeVotes { group: placement.group, gain, lose })
    });
    recalled.collect()
}

/// Votes beyond those that were asked for: of nodes that are gone or silent, of zones that have others, of nodes with most.
fn surplus(nodes: &Nodes<'_>, meta: &Members) -> Vec<Command> {
    let state = nodes.state;
    let zones = Zones(state);
    let most = nodes.votes_max();
    let answers = |node| {
        let copy = state.replica_on(GroupId::Meta, node);
        nodes.is_active(node) && copy.is_some_and(|copy| !meta.silent.contains(&copy))
    };
    let mut held: BTreeMap<NodeId, usize> = BTreeMap::new();
    for voter in data(state).flat_map(Placement::voters) {
        *held.entry(voter.node).or_default() += 1;
    }
    let mut commands = Vec::new();
    for placement in data(state).filter(|placement| placement.is_at_rest()) {
        let mut left: Vec<&Replica> = placement.voters().collect();
        let mut lose = Vec::new();
        while left.len() > most {
            let worst = |at: &usize| {
                let node = left[*at].node;
                let others: Vec<NodeId> =
                    left.iter().map(|voter| voter.node).filter(|other| *other != node).collect();
                (!answers(node), zones.is_crowded(node, &others), held.get(&node), node)
            };
            let Some(at) = (0..left.len()).max_by_key(worst) else { break };
            let gone = left.remove(at);
            if let Some(held) = held.get_mut(&gone.node) {
                *held -= 1;
            }
            lose.push(gone.id);
        }
        let is_safe = left.iter().all(|voter| answers(voter.node));
        if !lose.is_empty() && is_safe && !left.len().is_multiple_of(2) {
            commands.push(Command::ChangeVotes { group: placement.group, gain: Vec::new(), lose });
        }
    }
    commands
}

/// The votes of the meta group leave nodes that are not to hold anything, and there are five or three where there can
/// be.
fn meta_votes(nodes: &Nodes<'_>, meta: &Members) -> Vec<Command> {
    let state = nodes.state;
    let Some(placement) = state.placement(GroupId::Meta) else { return Vec::new() };
    let voters: Vec<&Replica> = placement.voters().collect();
    // One change after the other.
    let is_half_done = voters.iter().any(|voter| !meta.voters.contains(&voter.id));
    if meta.is_joint || !meta.is_committed || is_half_done || placement.leaving().next().is_some() {
        return Vec::new();
    }
    let can_vote = |replica: &&Replica| {
        !replica.is_voter() && nodes.is_active(replica.node) && meta.fresh.contains(&replica.id)
    };
    let mut candidates: Vec<&Replica> = placement.replicas.iter().filter(can_vote).collect();
    let zones = Zones(state);
    // Those that are not there first: the others still count for something.
    let mut idle: Vec<&&Replica> = voters.iter().filter(|voter| !nodes.is_active(voter.node)).collect();
    idle.sort_by_key(|voter| meta.fresh.contains(&voter.id));
    let mut idle = idle.into_iter();
    if let Some(old) = idle.next() {
        let others: Vec<NodeId> =
            voters.iter().filter(|voter| voter.id != old.id).map(|voter| voter.node).collect();
        let new = candidates.iter().min_by_key(|new| (zones.is_crowded(new.node, &others), new.node));
        if let Some(new) = new {
            return vec![votes(vec![new.id], vec![old.id])];
        }
        let left = |lose: &[ReplicaId]| {
            voters.iter().map(|voter| voter.id).filter(|id| !lose.contains(id)).collect()
        };
        if voters.len().is_multiple_of(2) {
            let is_safe = meta.is_quorum_fresh(&left(&[old.id]));
            return if is_safe { vec![votes(Vec::new(), vec![old.id])] } else { Vec::new() };
        }
        // Nobody is there for so many votes: two less are enough.
        let worst = |voter: &&&Replica| {
            let others = others.iter().copied().filter(|other| *other != voter.node).collect::<Vec<_>>();
            let is_fresh = meta.fresh.contains(&voter.id);
            (voter.id == meta.leader, is_fresh, !zones.is_crowded(voter.node, &others), Reverse(voter.node))
        };
        let another = voters.iter().filter(|voter| voter.id != old.id).min_by_key(worst);
        let another = idle.next().or(another).filter(|_| voters.len() > META_VOTERS_MIN);
        let Some(another) = another else { return Vec::new() };
        let lose = vec![old.id, another.id];
        return if meta.is_quorum_fresh(&left(&lose)) { vec![votes(Vec::new(), lose)] } else { Vec::new() };
    }
    let active = nodes.active().count();
    let wanted = [META_VOTERS_MAX, META_VOTERS_MIN].into_iter().find(|wanted| *wanted <= active).unwrap_or(1);
    let mut more = wanted.saturating_sub(voters.len()).min(candidates.len());
    if (voters.len() + more).is_multiple_of(2) {
        more = more.saturating_sub(1);
    }
    let mut held: Vec<NodeId> = voters.iter().map(|voter| voter.node).collect();
    let mut gain = Vec::with_capacity(more);
    while gain.len() < more {
        let at = (0..candidates.len())
            .min_by_key(|at| (zones.is_crowded(candidates[*at].node, &held), candidates[*at].node));
        let Some(at) = at else { break };
        let new = candidates.remove(at);
        held.push(new.node);
        gain.push(new.id);
    }
    if !gain.is_empty() {
        return vec![votes(gain, Vec::new())];
    }
    // As it was founded: one less can lose as many.
    let is_even = voters.len().is_multiple_of(2);
    let worst = |voter: &&&Replica| (meta.fresh.contains(&voter.id), Reverse(voter.node));
    let surplus = voters.iter().filter(|voter| voter.id != meta.leader).min_by_key(worst);
    surplus.filter(|_| is_even).map(|voter| votes(Vec::new(), vec![voter.id])).into_iter().collect()
}

const fn votes(gain: Vec<ReplicaId>, lose: Vec<ReplicaId>) -> Command {
    Command::ChangeVotes { group: GroupId::Meta, gain, lose }
}

/// Failure domains. A node without a zone is one of its own.
struct Zones<'a>(&'a State);

impl Zones<'_> {
    fn of(&self, node: NodeId) -> Option<&str> {
        self.0.node(node).map(|node| node.info.zone.as_str()).filter(|zone| !zone.is_empty())
    }

    /// Whether one of these nodes shares the zone of `node`.
    fn is_crowded(&self, node: NodeId, others: &[NodeId]) -> bool {
        let zone = self.of(node);
        zone.is_some() && others.iter().any(|other| self.of(*other) == zone)
    }
}

/// Where replicas are, and will be when everything that is on its way has arrived.
struct Moves<'a> {
    state: &'a State,
    all: &'a Nodes<'a>,
    zones: Zones<'a>,
    at_most: usize,
    /// For each partition the nodes of its voters as they will be.
    nodes: BTreeMap<GroupId, Vec<NodeId>>,
    /// Partitions of which something is on its way.
    moving: BTreeSet<GroupId>,
    /// Those of them that may not get more voters meanwhile.
    exchanging: BTreeSet<GroupId>,
    held: BTreeMap<NodeId, usize>,
    incoming: BTreeMap<NodeId, usize>,
    outgoing: BTreeMap<NodeId, usize>,
    commands: Vec<Command>,
}

impl<'a> Moves<'a> {
    fn new(all: &'a Nodes<'a>, at_most: usize) -> Self {
        let state = all.state;
        let mut moves = Self {
            state,
            all,
            zones: Zones(state),
            at_most,
            nodes: BTreeMap::new(),
            moving: BTreeSet::new(),
            exchanging: BTreeSet::new(),
            held: all.active().map(|node| (node, 0)).collect(),
            incoming: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            commands: Vec::new(),
        };
        for placement in data(state) {
            let replaced = placement.replacement().map(|(_, replaced)| replaced);
            let stay = placement.voters().filter(|voter| Some(voter.id) != replaced);
            let nodes: Vec<NodeId> = stay.chain(placement.joining()).map(|replica| replica.node).collect();
            for node in &nodes {
                *moves.held.entry(*node).or_default() += 1;
            }
            for joining in placement.joining() {
                *moves.incoming.entry(joining.node).or_default() += 1;
            }
            let replaced = replaced.and_then(|replaced| placement.replica(replaced));
            for leaving in placement.leaving().chain(replaced) {
                *moves.outgoing.entry(leaving.node).or_default() += 1;
            }
            if !placement.is_at_rest() {
                moves.moving.insert(placement.group);
            }
            if replaced.is_some() || placement.leaving().next().is_some() {
                moves.exchanging.insert(placement.group);
            }
            moves.nodes.insert(placement.group, nodes);
        }
        moves
    }

    fn plan(mut self) -> Vec<Command> {
        let in_state = |state| self.state.nodes().filter(move |node| node.state == state).map(|node| node.id);
        let gone = in_state(NodeState::Lost).chain(self.all.gone.iter().copied());
        let from: Vec<NodeId> = gone.chain(in_state(NodeState::Draining)).collect();
        from.into_iter().for_each(|node| self.empty(node));
        self.grow();
        // What is even now would not be any more. And where each partition has one replica for want of nodes, every other
        // node that has some is one more that must not be lost.
        let replication = self.state.cluster().map_or(0, |cluster| cluster.replication);
        let is_for_want_of_nodes = self.all.wanted == 1 && replication > 1;
        if !is_for_want_of_nodes && self.nodes.values().all(|nodes| nodes.len() >= self.all.wanted) {
            self.part_zones();
            while self.even_out() {}
        }
        self.commands
    }

    /// Partitions get the voters that they lack, those first that need the fewest.
    fn grow(&mut self) {
        let lacks = |(group, nodes): (&GroupId, &Vec<NodeId>)| {
            let count = self.all.wanted.checked_sub(nodes.len()).filter(|count| *count > 0)?;
            (!self.exchanging.contains(group)).then_some((count, *group))
        };
        let mut lacking: Vec<(usize, GroupId)> = self.nodes.iter().filter_map(lacks).collect();
        lacking.sort_unstable();
        for (count, group) in lacking {
            for _ in 0..count {
                let there = self.nodes.get(&group).cloned().unwrap_or_default();
                let free = self.all.active().filter(|node| !there.contains(node));
                let best =
                    free.min_by_key(|node| (self.zones.is_crowded(*node, &there), self.held(*node), *node));
                let Some(to) = best.filter(|to| self.may_come(*to)) else { break };
                self.commands.push(Command::AddReplica { group, node: to, replaces: None });
                self.moving.insert(group);
                *self.incoming.entry(to).or_default() += 1;
                *self.held.entry(to).or_default() += 1;
                self.nodes.entry(group).or_default().push(to);
            }
        }
    }

    /// Whether another replica may be on its way to a node.
    fn may_come(&self, to: NodeId) -> bool {
        self.incoming.get(&to).copied().unwrap_or(0) < self.at_most
    }

    fn held(&self, node: NodeId) -> usize {
        self.held.get(&node).copied().unwrap_or(0)
    }

    /// Partitions with a voter on a node of which nothing is on its way.
    fn at_rest_on(&self, node: NodeId) -> Vec<GroupId> {
        let at_rest = self.nodes.iter().filter(|(group, _)| !self.moving.contains(group));
        at_rest.filter(|(_, nodes)| nodes.contains(&node)).map(|(group, _)| *group).collect()
    }

    /// Makes what a node holds anew elsewhere.
    fn empty(&mut self, from: NodeId) {
        for group in self.at_rest_on(from) {
            if let Some(to) = self.best(group, from) {
                self.move_one(group, from, to);
            }
        }
    }

    /// The node that should have what `from` has of a partition: in a zone of its own if there is one, with the least.
    fn best(&self, group: GroupId, from: NodeId) -> Option<NodeId> {
        let nodes = self.nodes.get(&group)?;
        let others: Vec<NodeId> = nodes.iter().copied().filter(|node| *node != from).collect();
        let free = self.all.active().filter(|node| !nodes.contains(node));
        free.min_by_key(|node| (self.zones.is_crowded(*node, &others), self.held(*node), *node))
    }

    /// Replicas that share a zone while another zone has none go there.
    fn part_zones(&mut self) {
        let groups: Vec<GroupId> = self.nodes.keys().copied().collect();
        for group in groups.into_iter().filter(|group| !self.moving.contains(group)).collect::<Vec<_>>() {
            let Some(nodes) = self.nodes.get(&group).cloned() else { continue };
            let others = |node: NodeId| nodes.iter().copied().filter(|o| *o != node).collect::<Vec<_>>();
            let crowded = nodes.iter().copied().filter(|node| self.zones.is_crowded(*node, &others(*node)));
            let Some(from) = crowded.max_by_key(|node| (self.held(*node), *node)) else { continue };
            if let Some(to) = self.best(group, from)
                && !self.zones.is_crowded(to, &others(from))
            {
                self.move_one(group, from, to);
            }
        }
    }

    /// Moves one replica from a node with more to one with less; whether one could be moved.
    fn even_out(&mut self) -> bool {
        let nodes: Vec<NodeId> = self.all.active().collect();
        let mut pairs: Vec<(NodeId, NodeId)> = Vec::new();
        for from in &nodes {
            let less = nodes.iter().filter(|to| self.held(*from) >= self.held(**to) + 2);
            pairs.extend(less.map(|to| (*from, *to)));
        }
        pairs.sort_by_key(|(from, to)| (Reverse(self.held(*from) - self.held(*to)), *from, *to));
        pairs.into_iter().any(|(from, to)| {
            let fits = |group: &GroupId| {
                let nodes = &self.nodes[group];
                let others: Vec<NodeId> = nodes.iter().copied().filter(|node| *node != from).collect();
                let is_worse = self.zones.is_crowded(to, &others) && !self.zones.is_crowded(from, &others);
                !nodes.contains(&to) && !is_worse
            };
            let group = self.at_rest_on(from).into_iter().find(fits);
            group.is_some_and(|group| self.move_one(group, from, to))
        })
    }

    /// Moves a replica, unless too many are on their way; whether it does.
    fn move_one(&mut self, group: GroupId, from: NodeId, to: NodeId) -> bool {
        // What is lost is not taken from where it was.
        let is_out = self.state.node(from).is_none_or(|node| node.state.is_out());
        let is_there = !is_out && !self.all.gone.contains(&from);
        let leaving = self.outgoing.get(&from).copied().unwrap_or(0);
        if !self.may_come(to) || is_there && leaving >= self.at_most {
            return false;
        }
        let Some(replaces) = self.state.replica_on(group, from) else { return false };
        self.commands.push(Command::AddReplica { group, node: to, replaces: Some(replaces) });
        self.moving.insert(group);
        *self.incoming.entry(to).or_default() += 1;
        *self.outgoing.entry(from).or_default() += 1;
        *self.held.entry(to).or_default() += 1;
        if let Some(held) = self.held.get_mut(&from) {
            *held -= 1;
        }
        for node in self.nodes.get_mut(&group).into_iter().flatten() {
            if *node == from {
                *node = to;
            }
        }
        true
    }
}

/// Who should lead what: none on nodes that are not to hold anything, and as many on each of the others as can be.
fn leads(nodes: &Nodes<'_>) -> Vec<Command> {
    let state = nodes.state;
    let mut led: BTreeMap<NodeId, usize> = nodes.active().map(|node| (node, 0)).collect();
    let mut commands = Vec::new();
    // For each partition who leads it and who else could.
    let mut choices: BTreeMap<GroupId, (NodeId, Vec<&Replica>)> = BTreeMap::new();
    let mut homeless = Vec::new();
    for placement in data(state) {
        let replaced = placement.replacement().map(|(_, replaced)| replaced);
        let can = |voter: &&Replica| nodes.is_active(voter.node) && Some(voter.id) != replaced;
        let can: Vec<&Replica> = placement.voters().filter(can).collect();
        match placement.voters().next() {
            Some(first) if nodes.is_active(first.node) => {
                *led.entry(first.node).or_default() += 1;
                choices.insert(placement.group, (first.node, can));
            }
            _ => homeless.push((placement.group, can)),
        }
    }
    let mut prefer = |group, replica: &Replica| {
        commands.push(Command::PreferLeader { group, replica: replica.id });
    };
    for (group, can) in homeless {
        if let Some(next) = can.iter().min_by_key(|voter| led.get(&voter.node)) {
            *led.entry(next.node).or_default() += 1;
            prefer(group, next);
            choices.insert(group, (next.node, can));
        }
    }
    while let Some(path) = shortest(&led, &choices) {
        for (group, to) in path {
            let Some((now, can)) = choices.get_mut(&group) else { continue };
            let Some(next) = can.iter().find(|voter| voter.node == to) else { continue };
            prefer(group, next);
            *led.entry(*now).or_default() -= 1;
            *led.entry(to).or_default() += 1;
            *now = to;
        }
    }
    commands
}

/// The fewest leads to give on so that one goes from a node with most of them to one with at least two less.
fn shortest(
    led: &BTreeMap<NodeId, usize>,
    choices: &BTreeMap<GroupId, (NodeId, Vec<&Replica>)>,
) -> Option<Vec<(GroupId, NodeId)>> {
    let most = *led.values().max()?;
    let starts = led.iter().filter(|(_, count)| **count == most).map(|(node, _)| *node);
    let mut came_by: BTreeMap<NodeId, Option<(GroupId, NodeId)>> = starts.map(|node| (node, None)).collect();
    let mut next: VecDeque<NodeId> = came_by.keys().copied().collect();
    while let Some(node) = next.pop_front() {
        if led.get(&node).is_some_and(|count| count + 2 <= most) {
            let mut path = Vec::new();
            let mut at = node;
            while let Some(Some((group, from))) = came_by.get(&at) {
                path.push((*group, at));
                at = *from;
            }
            return Some(path);
        }
        for (group, (_, can)) in choices.iter().filter(|(_, (now, _))| *now == node) {
            for voter in can {
                came_by.entry(voter.node).or_insert_with(|| {
                    next.push_back(voter.node);
                    Some((*group, node))
                });
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
