//! What should move in a running cluster: a pure plan over the catalog, one step at a time. What is on its way already is
//! counted where it goes, so that a plan made again asks for nothing twice.
//!
//! A node that has been silent for too long counts as one that is gone, as long as those that are left are enough for all
//! replicas, in as many zones. Its state stays as it is: when it comes back, it gets its share again.
//!
//! Nodes that are not to hold anything are emptied first, then zones are put right, then nodes hold as many replicas as
//! one another, give or take one where zones allow. Last, partitions are led by as many from each node.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use catalog::{Command, NodeState, Placement, Replica, State};
use model::{GroupId, NodeId, ReplicaId};

use crate::group::members::Members;

/// Voters of the meta group, where there are as many nodes.
const META_VOTERS: usize = 3;

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
    commands.extend(Moves::new(&nodes, moves_per_node_max).plan());
    commands.extend(leads(&nodes));
    commands
}

/// The nodes as they count in a plan.
struct Nodes<'a> {
    state: &'a State,
    /// Silent ones that count as gone.
    gone: BTreeSet<NodeId>,
}

impl<'a> Nodes<'a> {
    fn new(state: &'a State, silent: &BTreeSet<NodeId>) -> Self {
        let mut nodes = Self { state, gone: BTreeSet::new() };
        let before = nodes.zones();
        nodes.gone = silent.iter().copied().filter(|node| nodes.is_active(*node)).collect();
        let replication = usize::from(state.cluster().map_or(0, |cluster| cluster.replication));
        if nodes.active().count() < replication || nodes.zones() < before.min(replication) {
            nodes.gone.clear();
        }
        nodes
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

/// Replicas that will never catch up, and copies of the catalog on nodes that are out.
fn abandoned(nodes: &Nodes<'_>) -> Vec<Command> {
    let state = nodes.state;
    let is_out = |node| state.node(node).is_none_or(|node| node.state.is_out());
    let joining = data(state).filter_map(|placement| Some((placement.group, placement.joining()?)));
    let joining = joining.filter(|(_, replica)| !nodes.is_active(replica.node));
    let meta = state.placement(GroupId::Meta).into_iter().flat_map(|placement| &placement.replicas);
    let copies = meta.filter(|replica| !replica.is_voter && is_out(replica.node));
    joining
        .chain(copies.map(|replica| (GroupId::Meta, replica)))
        .map(|(group, replica)| Command::RemoveReplica { group, replica: replica.id })
        .collect()
}

/// The votes of the meta group leave nodes that are not to hold anything, and there are three where there can be.
fn meta_votes(nodes: &Nodes<'_>, meta: &Members) -> Vec<Command> {
    let state = nodes.state;
    let Some(placement) = state.placement(GroupId::Meta) else { return Vec::new() };
    let voters: Vec<&Replica> = placement.voters().collect();
    // One change after the other.
    if meta.is_joint || !meta.is_committed || voters.iter().any(|voter| !meta.voters.contains(&voter.id)) {
        return Vec::new();
    }
    let can_vote = |replica: &&Replica| {
        !replica.is_voter && nodes.is_active(replica.node) && meta.fresh.contains(&replica.id)
    };
    let mut candidates: Vec<&Replica> = placement.replicas.iter().filter(can_vote).collect();
    let zones = Zones(state);
    if let Some(old) = voters.iter().find(|voter| !nodes.is_active(voter.node)) {
        let others: Vec<NodeId> =
            voters.iter().filter(|voter| voter.id != old.id).map(|voter| voter.node).collect();
        let new = candidates.iter().min_by_key(|new| (zones.is_crowded(new.node, &others), new.node));
        return new.map(|new| promote(new.id, Some(old.id))).into_iter().collect();
    }
    let missing = META_VOTERS.saturating_sub(voters.len());
    if missing == 0 || candidates.len() < missing {
        return Vec::new();
    }
    let mut held: Vec<NodeId> = voters.iter().map(|voter| voter.node).collect();
    let mut commands = Vec::with_capacity(missing);
    while commands.len() < missing {
        let at = (0..candidates.len())
            .min_by_key(|at| (zones.is_crowded(candidates[*at].node, &held), candidates[*at].node));
        let Some(at) = at else { break };
        let new = candidates.remove(at);
        held.push(new.node);
        commands.push(promote(new.id, None));
    }
    commands
}

const fn promote(replica: ReplicaId, replaces: Option<ReplicaId>) -> Command {
    Command::PromoteReplica { group: GroupId::Meta, replica, replaces }
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
            held: all.active().map(|node| (node, 0)).collect(),
            incoming: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            commands: Vec::new(),
        };
        for placement in data(state) {
            let joining = placement.joining();
            let replaced = joining.and_then(|joining| joining.replaces);
            let stay = placement.voters().filter(|voter| Some(voter.id) != replaced);
            let nodes: Vec<NodeId> = stay.chain(joining).map(|replica| replica.node).collect();
            for node in &nodes {
                *moves.held.entry(*node).or_default() += 1;
            }
            let leaving =
                replaced.and_then(|replaced| placement.replica(replaced)).or_else(|| placement.leaving());
            if let Some(joining) = joining {
                *moves.incoming.entry(joining.node).or_default() += 1;
            }
            if let Some(leaving) = leaving {
                *moves.outgoing.entry(leaving.node).or_default() += 1;
            }
            if joining.is_some() || leaving.is_some() {
                moves.moving.insert(placement.group);
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
        self.part_zones();
        while self.even_out() {}
        self.commands
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
        let on_their_way = |count: Option<&usize>| count.copied().unwrap_or(0);
        // What is lost is not taken from where it was.
        let is_out = self.state.node(from).is_none_or(|node| node.state.is_out());
        let is_there = !is_out && !self.all.gone.contains(&from);
        if on_their_way(self.incoming.get(&to)) >= self.at_most
            || is_there && on_their_way(self.outgoing.get(&from)) >= self.at_most
        {
            return false;
        }
        let Some(replaces) = self.state.replica_on(group, from) else { return false };
        self.commands.push(Command::AddReplica { group, node: to, replaces });
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
        let replaced = placement.joining().and_then(|joining| joining.replaces);
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
