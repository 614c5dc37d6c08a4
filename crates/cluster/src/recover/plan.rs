//! One plan for all groups, from the reports of all nodes that are left: a pure decision.
//!
//! Of each group the member is chosen that has the greatest position, by term and index, of those that the catalog places.
//! It has whatever was acknowledged, if a majority of the group's voters is among those that are left: every entry that a
//! majority has is in the log of one of them, and a later term, or a longer log of the same, includes it. Otherwise what
//! only the others had is lost, and nobody can say how much that is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use catalog::{ClusterNode, Command, Placement, Replica, Role};
use model::{GroupId, LogPosition, NodeId, ReplicaId};
use serde::{Deserialize, Serialize};

use super::report::{CatalogText, GroupText, SurvivorReport};
use super::sealed::{Sealed, SealedError};
use super::texts::{At, NodeText, PlacementText, ReplicaText, RoleText, hex128, text};

/// How much greater the terms of the chosen members get, so that nothing that lost nodes have is ever taken for newer.
const TERMS: u64 = 1_000_000;

/// What is to become of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The cluster as it was.
    #[serde(with = "hex128")]
    pub(super) from: u128,
    /// As it will be: nobody who belongs to the former is heard any more.
    #[serde(with = "hex128")]
    pub(super) to: u128,
    /// The nodes that are left.
    pub(super) survivors: Vec<SurvivorText>,
    /// The members that are to be the only voters of their groups.
    pub(super) chosen: Vec<ChosenText>,
    /// Groups that are made anew without anything.
    pub(super) emptied: Vec<String>,
    /// What the catalog is to say.
    pub(super) catalog: RecoverText,
}

impl Sealed for Plan {
    const KIND: &'static str = "tidemark recovery plan";
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SurvivorText {
    #[serde(with = "text")]
    pub(super) node: NodeId,
    #[serde(with = "hex128")]
    pub(super) uuid: u128,
    /// Checksum of the report that the plan was made of.
    pub(super) report: String,
    /// Its member of the meta group: the chosen one, or a new one that gets the catalog from that.
    pub(super) meta_replica: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChosenText {
    #[serde(with = "text")]
    pub(super) group: GroupId,
    #[serde(with = "text")]
    pub(super) node: NodeId,
    pub(super) replica: u64,
    /// Where its log is to go on.
    pub(super) after: At,
    /// In which term.
    pub(super) term: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecoverText {
    pub(super) next_node: u64,
    pub(super) next_replica: u64,
    pub(super) nodes: Vec<NodeText>,
    pub(super) lost: Vec<NodeText>,
    pub(super) placements: Vec<PlacementText>,
}

impl Plan {
    /// The id that the cluster has had, as it is to be typed.
    #[must_use]
    pub fn old_cluster(&self) -> String {
        format!("{:032x}", self.from)
    }

    /// The id that the cluster will have.
    #[must_use]
    pub fn new_cluster(&self) -> String {
        format!("{:032x}", self.to)
    }

    /// The nodes on which it is to be applied.
    pub fn survivors(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.survivors.iter().map(|survivor| survivor.node)
    }

    /// The nodes that are given up.
    pub fn lost(&self) -> impl Iterator<Item = (NodeId, &str)> {
        self.catalog.lost.iter().map(|node| (node.id, node.address.as_str()))
    }

    /// Whether partitions are made anew without anything.
    #[must_use]
    pub fn makes_empty(&self) -> bool {
        !self.emptied.is_empty()
    }

    /// The entry of the meta group's log that makes the catalog say so.
    pub(super) fn command(&self) -> Command {
        let RecoverText { next_node, next_replica, nodes, lost, placements } = self.catalog.clone();
        Command::Recover {
            cluster_id: self.to,
            next_node,
            next_replica,
            nodes: nodes.into_iter().map(ClusterNode::from).collect(),
            lost: lost.into_iter().map(|node| node.id).collect(),
            placements: placements.into_iter().map(Placement::from).collect(),
        }
    }

    /// Where a node that is left is.
    pub(super) fn address(&self, node: NodeId) -> Option<&NodeText> {
        self.catalog.nodes.iter().find(|known| known.id == node)
    }
}

/// What becomes of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFate {
    /// The group.
    pub group: GroupId,
    /// Voters that are left, and how many there were.
    pub voters: (usize, usize),
    /// What is lost.
    pub fate: Fate,
}

/// What is lost of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing: a majority is left.
    Whole {
        /// The node that has all of it.
        node: NodeId,
    },
    /// Perhaps the newest entries: no majority is left.
    MayLack {
        /// The node that has most.
        node: NodeId,
        /// Up to where.
        last: LogPosition,
    },
    /// Everything: nobody who is left has any of it.
    Lost,
}

impl fmt::Display for GroupFate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, voters: (left, all), fate } = self;
        let votes = format!("{left} of {all} voters are left");
        match fate {
            Fate::Whole { node } => {
                write!(f, "{group}: {votes}; node {node} has everything that was acknowledged")
            }
            Fate::MayLack { node, last } => write!(
                f,
                "{group}: {votes}; node {node} has most ({}), and may lack the last acknowledged entries",
                At::from(*last)
            ),
            Fate::Lost => write!(f, "{group}: {votes}, and nobody has any of it: all of its data are lost"),
        }
    }
}

/// What was found, and what can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prospect {
    /// Of every group, the meta group first.
    pub groups: Vec<GroupFate>,
    /// The plan; none when nothing is lost, or partitions would have to be made anew without leave.
    pub plan: Result<Plan, PlanError>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No reports.
    #[error("a plan is made of the reports of all nodes that are left, and none was given")]
    NoReports,
    /// Reports of two clusters.
    #[error("the reports are of two clusters, {0:032x} and {1:032x}")]
    Clusters(u128, u128),
    /// Two reports of a node.
    #[error("there are two reports of node {0}")]
    Twice(NodeId),
    /// A node that the catalog has given up.
    #[error(
        "node {0} is out of the cluster already, so what it has does not count: make the plan without its report"
    )]
    Out(NodeId),
    /// A node of which nobody knows where it is.
    #[error("no catalog that is left knows node {0}: make the plan without its report")]
    Unknown(NodeId),
    /// Nobody has the catalog.
    #[error("no node that is left has the catalog: nothing can be recovered")]
    NoCatalog,
    /// All is there.
    #[error(
        "every group has a majority of its voters among these nodes, so nothing is lost: start them instead"
    )]
    NothingLost,
    /// Partitions of which nobody has anything.
    #[error(
        "nobody has anything of {0} partitions. Look for another node that has; or, to go on with empty ones, say so by \
         --make-lost-partitions-empty"
    )]
    PartitionsLost(usize),
    /// There is no new id.
    #[error("{0}")]
    Id(String),
    /// A checksum cannot be made.
    #[error("{0}")]
    Checksum(String),
}

impl From<SealedError> for PlanError {
    fn from(error: SealedError) -> Self {
        Self::Checksum(error.to_string())
    }
}

/// A member that may be chosen.
struct Candidate<'a> {
    report: &'a SurvivorReport,
    member: &'a GroupText,
    end: At,
}

/// Says what is lost, and makes a plan when something is. `to` is the id that the cluster gets.
///
/// # Errors
/// See [`PlanError`]: when the reports do not even say what is lost.
pub(super) fn plan(
    reports: &[SurvivorReport],
    to: u128,
    may_make_empty: bool,
) -> Result<Prospect, PlanError> {
    let first = reports.first().ok_or(PlanError::NoReports)?;
    let mut seen = BTreeSet::new();
    for report in reports {
        if report.cluster != first.cluster {
            return Err(PlanError::Clusters(first.cluster, report.cluster));
        }
        if !seen.insert(report.node) {
            return Err(PlanError::Twice(report.node));
        }
    }
    let (meta, catalog) = choose_meta(reports)?;
    if let Some(out) = catalog.nodes.iter().find(|node| node.is_out() && seen.contains(&node.id)) {
        return Err(PlanError::Out(out.id));
    }
    let survey = Survey { reports, catalog };
    let mut groups = vec![survey.fate(GroupId::Meta, Some(&meta))];
    let mut chosen = Vec::new();
    for placement in &catalog.placements {
        if placement.group == GroupId::Meta {
            continue;
        }
        let candidate = survey.choose(placement.group);
        groups.push(survey.fate(placement.group, candidate.as_ref()));
        chosen.push((placement, candidate));
    }
    let plan = make(&survey, &meta, &chosen, &groups, to, may_make_empty);
    Ok(Prospect { groups, plan })
}

/// The member of the meta group that has most, with the catalog that it will have.
fn choose_meta(reports: &[SurvivorReport]) -> Result<(Candidate<'_>, &CatalogText), PlanError> {
    let candidates = reports.iter().filter_map(|report| {
        let catalog = report.catalog.as_ref()?;
        let member = report.groups.iter().find(|member| member.group == GroupId::Meta)?;
        Some((Candidate { report, member, end: member.end()? }, catalog))
    });
    let best =
        candidates.max_by_key(|(candidate, _)| (candidate.end, std::cmp::Reverse(candidate.report.node)));
    best.ok_or(PlanError::NoCatalog)
}

struct Survey<'a> {
    reports: &'a [SurvivorReport],
    /// The chosen one.
    catalog: &'a CatalogText,
}

impl<'a> Survey<'a> {
    /// All members of a group that are left.
    fn members(&self, group: GroupId) -> impl Iterator<Item = (&'a SurvivorReport, &'a GroupText)> {
        let of = move |report: &'a SurvivorReport| {
            let member = report.groups.iter().find(|member| member.group == group)?;
            Some((report, member))
        };
        self.reports.iter().filter_map(of)
    }

    /// Those that count: of a partition those that are placed, or may have been since. One that was removed may have files
    /// still, and may lack what the group has acknowledged without it.
    fn placed(&self, group: GroupId) -> impl Iterator<Item = (&'a SurvivorReport, &'a GroupText)> {
        let placement = self.catalog.placements.iter().find(|placement| placement.group == group);
        let next = self.catalog.next_replica;
        self.members(group).filter(move |(report, member)| {
            let there = |replica: &ReplicaText| replica.id == member.replica && replica.node == report.node;
            group == GroupId::Meta
                || member.replica >= next
                || placement.is_some_and(|placement| placement.replicas.iter().any(there))
        })
    }

    /// The member of a partition that has most.
    fn choose(&self, group: GroupId) -> Option<Candidate<'a>> {
        let candidates = self
            .placed(group)
            .filter_map(|(report, member)| Some(Candidate { report, member, end: member.end()? }));
        candidates.max_by_key(|candidate| (candidate.end, std::cmp::Reverse(candidate.report.node)))
    }

    /// What is lost of a group when this member is chosen.
    fn fate(&self, group: GroupId, chosen: Option<&Candidate<'_>>) -> GroupFate {
        let left: BTreeSet<u64> = self.placed(group).map(|(_, member)| member.replica).collect();
        // As the chosen member knows it, else as the catalog does.
        let known = chosen.and_then(|chosen| chosen.member.membership.as_ref());
        let placed = || {
            let placement = self.catalog.placements.iter().find(|placement| placement.group == group);
            let voters = placement.into_iter().flat_map(|placement| &placement.replicas);
            let is_voter = |replica: &&ReplicaText| replica.role == RoleText::Voter;
            vec![voters.filter(is_voter).map(|replica| replica.id).collect::<Vec<u64>>()]
        };
        let sets = known.map_or_else(placed, |membership| membership.voters.clone());
        let of = |set: &Vec<u64>| set.iter().filter(|voter| left.contains(voter)).count();
        let is_majority = |set: &Vec<u64>| !set.is_empty() && 2 * of(set) > set.len();
        // While voters change, the set that is worse off counts.
        let worst =
            sets.iter().map(|set| (of(set), set.len())).min_by_key(|(left, all)| (2 * left > *all, *left));
        let fate = match chosen {
            None => Fate::Lost,
            Some(chosen) if !sets.is_empty() && sets.iter().all(is_majority) => {
                Fate::Whole { node: chosen.report.node }
            }
            Some(chosen) => Fate::MayLack { node: chosen.report.node, last: chosen.end.into() },
        };
        GroupFate { group, voters: worst.unwrap_or((0, 0)), fate }
    }

    /// The greatest term of which anybody who is left has heard in a group.
    fn term(&self, group: GroupId) -> u64 {
        let terms = self.members(group).flat_map(|(_, member)| {
            let vote = member.vote.map(|vote| vote.term);
            [vote, member.last.map(|at| at.term), member.durable.map(|at| at.term)]
        });
        terms.flatten().max().unwrap_or(0)
    }

    /// The nodes that are left, as some catalog knows them: the chosen one, or their own where that is behind.
    fn nodes(&self) -> Result<Vec<NodeText>, PlanError> {
        let of = |report: &SurvivorReport| {
            let own = report.catalog.as_ref();
            let known = [Some(self.catalog), own].into_iter().flatten();
            let mut nodes = known.flat_map(|catalog| &catalog.nodes);
            let node =
                nodes.find(|node| node.id == report.node && node.uuid == report.uuid && !node.is_out());
            node.cloned().ok_or(PlanError::Unknown(report.node))
        };
        self.reports.iter().map(of).collect()
    }
}

/// Makes the plan.
fn make(
    survey: &Survey<'_>,
    meta: &Candidate<'_>,
    chosen: &[(&PlacementText, Option<Candidate<'_>>)],
    fates: &[GroupFate],
    to: u128,
    may_make_empty: bool,
) -> Result<Plan, PlanError> {
    let nodes = survey.nodes()?;
    if fates.iter().all(|fate| matches!(fate.fate, Fate::Whole { .. })) {
        return Err(PlanError::NothingLost);
    }
    let lost = fates.iter().filter(|fate| fate.fate == Fate::Lost).count();
    if lost > 0 && !may_make_empty {
        return Err(PlanError::PartitionsLost(lost));
    }
    let (catalog, reports) = (survey.catalog, survey.reports);
    let seen = reports
        .iter()
        .flat_map(|report| report.groups.iter().map(|member| member.replica).chain([report.meta_replica]));
    let mut next_replica =
        seen.map(|replica| replica.saturating_add(1)).max().unwrap_or(0).max(catalog.next_replica);
    let mut fresh = || {
        next_replica += 1;
        ReplicaId(next_replica - 1)
    };
    let next_node = nodes.iter().map(|node| node.id.get().saturating_add(1)).max().unwrap_or(0);
    // The meta group: one voter, and copies for the others, who get them from it.
    let mut survivors = Vec::with_capacity(reports.len());
    let mut copies = Vec::with_capacity(reports.len());
    for report in reports {
        let is_chosen = report.node == meta.report.node;
        let (id, role) =
            if is_chosen { (ReplicaId(meta.member.replica), Role::Voter) } else { (fresh(), Role::Copy) };
        copies.push(Replica { id, node: report.node, role });
        let report_checksum = report.checksum()?;
        let (node, uuid) = (report.node, report.uuid);
        survivors.push(SurvivorText { node, uuid, report: report_checksum, meta_replica: id.0 });
    }
    copies.sort_by_key(|replica| !replica.is_voter());
    let generation = catalog.placements.iter().find(|placement| placement.group == GroupId::Meta);
    let generation = generation.map_or(0, |placement| placement.generation) + 1;
    let mut placements = vec![Placement { group: GroupId::Meta, replicas: copies, generation }];
    let mut only = vec![only_voter(survey, GroupId::Meta, meta)];
    let mut held: BTreeMap<NodeId, usize> = nodes.iter().map(|node| (node.id, 0)).collect();
    for candidate in chosen.iter().filter_map(|(_, candidate)| candidate.as_ref()) {
        *held.entry(candidate.report.node).or_default() += 1;
    }
    let mut emptied = Vec::new();
    for (placement, candidate) in chosen {
        let group = placement.group;
        let (replica, generation) = match candidate {
            Some(candidate) => {
                only.push(only_voter(survey, group, candidate));
                let id = ReplicaId(candidate.member.replica);
                (Replica { id, node: candidate.report.node, role: Role::Voter }, placement.generation + 1)
            }
            None => {
                let least = held.iter().min_by_key(|(node, count)| (**count, **node)).map(|(node, _)| *node);
                let node = least.ok_or(PlanError::NoReports)?;
                *held.entry(node).or_default() += 1;
                emptied.push(group.to_string());
                // It is founded anew.
                (Replica { id: fresh(), node, role: Role::Voter }, 0)
            }
        };
        placements.push(Placement { group, replicas: vec![replica], generation });
    }
    let is_lost = |node: &&NodeText| !node.is_out() && reports.iter().all(|report| report.node != node.id);
    let lost: Vec<NodeText> = catalog.nodes.iter().filter(is_lost).cloned().collect();
    let catalog = RecoverText {
        next_node: next_node.max(catalog.next_node),
        next_replica,
        nodes,
        lost,
        placements: placements.iter().map(PlacementText::from).collect(),
    };
    Ok(Plan { from: meta.report.cluster, to, survivors, chosen: only, emptied, catalog })
}

fn only_voter(survey: &Survey<'_>, group: GroupId, candidate: &Candidate<'_>) -> ChosenText {
    ChosenText {
        group,
        node: candidate.report.node,
        replica: candidate.member.replica,
        after: candidate.end,
        term: survey.term(group).saturating_add(TERMS),
    }
}
