//! A plan loses nothing that is there, says what may be lost, and fits the catalog; files that were changed are refused.

use catalog::{Command, NodeInfo, Response, State};
use model::{GroupId, NodeId, PartitionId, ReplicaId};

use super::plan::plan;
use super::report::{CatalogText, GroupText, MembershipText, VoteText};
use super::texts::{At, NodeText, PlacementText, StateText};
use super::*;
use crate::placement::spread;

const OLD: u128 = 0x01d;
const NEW: u128 = 0x2e3;

fn id(node: u64) -> NodeId {
    NodeId::new(node).unwrap()
}

fn data(partition: u16) -> GroupId {
    GroupId::Data(PartitionId(partition))
}

fn info(node: u64) -> NodeInfo {
    NodeInfo {
        uuid: 100 + u128::from(node),
        address: format!("n-{node}:1"),
        zone: String::new(),
        version: "1".to_owned(),
        level: catalog::Level::FIRST,
    }
}

/// A cluster of so many nodes and partitions, as its catalog has it.
fn founded(nodes: usize, partitions: u16) -> State {
    let mut state = State::default();
    let zones = vec![""; nodes];
    let placements = spread(&zones, partitions, 3);
    let nodes = (1..).take(nodes).map(info).collect();
    let command = Command::Bootstrap { cluster_id: OLD, replication: 3, nodes, placements };
    assert_eq!(catalog::apply(&mut state, &command), Response::Done);
    state
}

fn at(term: u64, index: u64) -> At {
    At { term, index, leader: 1 }
}

fn catalog_of(state: &State) -> CatalogText {
    let cluster = state.cluster().unwrap();
    CatalogText {
        applied: Some(at(1, 5)),
        next_node: cluster.next_node,
        next_replica: cluster.next_replica,
        nodes: state.nodes().map(NodeText::from).collect(),
        placements: state.placements().map(PlacementText::from).collect(),
    }
}

/// What a node has when everybody has everything.
fn report_of(state: &State, node: u64) -> SurvivorReport {
    let members = state.placements().filter_map(|placement| {
        let voters: Vec<u64> = placement.voters().map(|voter| voter.id.0).collect();
        Some(GroupText {
            group: placement.group,
            replica: placement.on(id(node))?.id.0,
            last: Some(at(2, 50)),
            vote: Some(VoteText { term: 2, replica: voters[0] }),
            durable: Some(at(1, 20)),
            membership: Some(MembershipText { members: voters.clone(), voters: vec![voters] }),
        })
    });
    SurvivorReport {
        cluster: OLD,
        node: id(node),
        uuid: info(node).uuid,
        meta_replica: state.replica_on(GroupId::Meta, id(node)).unwrap().0,
        catalog: Some(catalog_of(state)),
        groups: members.collect(),
    }
}

fn member(report: &mut SurvivorReport, group: GroupId) -> &mut GroupText {
    report.groups.iter_mut().find(|member| member.group == group).unwrap()
}

fn chosen(plan: &Plan, group: GroupId) -> (u64, At, u64) {
    let one = plan.chosen.iter().find(|one| one.group == group).unwrap();
    (one.node.get(), one.after, one.term)
}

/// The catalog after the plan.
fn recovered(state: &State, plan: &Plan) -> State {
    let mut state = state.clone();
    let command = Command::decode(&plan.command().encode()).unwrap();
    assert_eq!(catalog::apply(&mut state, &command), Response::Done);
    state
}

#[test]
fn where_majorities_are_left_there_is_no_plan() {
    let state = founded(3, 4);
    let prospect = plan(&[report_of(&state, 1), report_of(&state, 3)], NEW, true).unwrap();
    assert_eq!(prospect.plan, Err(PlanError::NothingLost));
    assert_eq!(prospect.groups.len(), 5);
    for group in &prospect.groups {
        assert_eq!((group.voters, group.fate), ((2, 3), Fate::Whole { node: id(1) }), "{group}");
    }
}

#[test]
fn one_of_three_goes_on_alone_with_everything() {
    let state = founded(3, 4);
    let prospect = plan(&[report_of(&state, 2)], NEW, false).unwrap();
    assert!(prospect.groups.iter().all(|group| matches!(group.fate, Fate::MayLack { .. })));
    let line = prospect.groups[1].to_string();
    let said = "data-0: 1 of 3 voters are left; node 0000000000000002 has most (term 2, index 50), and may lack the last \
                acknowledged entries";
    assert_eq!(line, said);
    let plan = prospect.plan.unwrap();
    assert_eq!(chosen(&plan, GroupId::Meta), (2, at(2, 50), 1_000_002));
    assert_eq!(plan.lost().map(|(node, _)| node).collect::<Vec<_>>(), [id(1), id(3)]);
    let after = recovered(&state, &plan);
    assert_eq!(after.cluster().unwrap().id, NEW);
    for placement in after.placements() {
        let before = state.replica_on(placement.group, id(2));
        assert_eq!(placement.voters().map(|voter| voter.id).collect::<Vec<_>>(), [before.unwrap()]);
        assert!(placement.generation > 0, "nobody founds it again");
    }
    assert_eq!(plan.survivors[0].meta_replica, 2);
}

#[test]
fn of_five_nodes_two_are_left_and_each_partition_goes_on_where_most_of_it_is() {
    let state = founded(5, 16);
    let mut reports = [report_of(&state, 1), report_of(&state, 2)];
    let held =
        |node| state.placements().filter(|p| p.group != GroupId::Meta && p.on(id(node)).is_some()).count();
    let both = |p: &&catalog::Placement| p.on(id(1)).is_some() && p.on(id(2)).is_some();
    let neither = |p: &&catalog::Placement| p.on(id(1)).is_none() && p.on(id(2)).is_none();
    let (both, neither) =
        (state.placements().skip(1).filter(both).count(), state.placements().filter(neither).count());
    assert!(both > 0 && neither > 0 && held(1) > both, "{both} {neither}");
    member(&mut reports[1], GroupId::Meta).last = Some(at(2, 51));

    let prospect = plan(&reports, NEW, false).unwrap();
    assert_eq!(prospect.plan, Err(PlanError::PartitionsLost(neither)));
    let count = |is: fn(&Fate) -> bool| prospect.groups.iter().filter(|group| is(&group.fate)).count();
    assert_eq!(count(|fate| *fate == Fate::Lost), neither);
    assert_eq!(count(|fate| matches!(fate, Fate::Whole { .. })), both);

    let plan = plan(&reports, NEW, true).unwrap().plan.unwrap();
    assert!(plan.makes_empty());
    assert_eq!(chosen(&plan, GroupId::Meta).0, 2);
    let after = recovered(&state, &plan);
    assert!(after.placements().all(|placement| placement.voters().count() == 1));
    let meta = after.placement(GroupId::Meta).unwrap();
    let copy = meta.on(id(1)).unwrap();
    assert!(!copy.is_voter() && copy.id.0 >= state.cluster().unwrap().next_replica, "{copy:?}");
    let of_first = plan.survivors.iter().find(|survivor| survivor.node == id(1)).unwrap();
    assert_eq!(of_first.meta_replica, copy.id.0, "it gets the catalog anew");
    // Those that are made anew are founded by whoever gets them, under ids that nobody has had.
    let empty: Vec<_> = after.placements().filter(|placement| placement.generation == 0).collect();
    assert_eq!(empty.len(), neither);
    assert!(empty.iter().all(|p| p.replicas[0].id.0 >= state.cluster().unwrap().next_replica));
    let mut ids: Vec<ReplicaId> =
        after.placements().flat_map(|p| &p.replicas).map(|replica| replica.id).collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
    assert!(ids.last().unwrap().0 < after.cluster().unwrap().next_replica);
}

#[test]
fn a_later_term_counts_more_than_a_longer_log_and_files_count_too() {
    let state = founded(5, 8);
    let group = state
        .placements()
        .find(|p| p.group != GroupId::Meta && p.on(id(1)).is_some() && p.on(id(2)).is_some());
    let group = group.unwrap().group;
    let chosen_of = |first: (Option<At>, Option<At>), second: (Option<At>, Option<At>)| {
        let mut reports = [report_of(&state, 1), report_of(&state, 2)];
        for (report, (last, durable)) in reports.iter_mut().zip([first, second]) {
            let member = member(report, group);
            (member.last, member.durable) = (last, durable);
        }
        chosen(&plan(&reports, NEW, true).unwrap().plan.unwrap(), group)
    };
    assert_eq!(chosen_of((Some(at(3, 90)), None), (Some(at(4, 70)), None)), (2, at(4, 70), 1_000_004));
    assert_eq!(chosen_of((Some(at(3, 90)), None), (Some(at(3, 91)), None)).0, 2);
    assert_eq!(
        chosen_of((Some(at(3, 90)), None), (Some(at(3, 80)), Some(at(3, 95)))),
        (2, at(3, 95), 1_000_003)
    );
    assert_eq!(chosen_of((Some(at(3, 90)), None), (None, None)).0, 1, "one that has nothing is not chosen");
    // A vote says that there was a term in which somebody may have led.
    let mut reports = [report_of(&state, 1), report_of(&state, 2)];
    member(&mut reports[1], group).vote = Some(VoteText { term: 9, replica: 1 });
    assert_eq!(chosen(&plan(&reports, NEW, true).unwrap().plan.unwrap(), group).2, 1_000_009);
}

#[test]
fn what_was_removed_is_not_taken_up_again_and_what_came_since_is() {
    let state = founded(5, 8);
    let away = state.placements().find(|p| p.group != GroupId::Meta && p.on(id(1)).is_none()).unwrap();
    let next = state.cluster().unwrap().next_replica;
    let with = |replica: u64| {
        let mut report = report_of(&state, 1);
        let other = GroupText { group: away.group, replica, ..report.groups[1].clone() };
        report.groups.push(other);
        report.groups.sort_by_key(|member| member.group);
        plan(&[report], NEW, true).unwrap()
    };
    let fate = |prospect: &Prospect| prospect.groups.iter().find(|g| g.group == away.group).unwrap().fate;
    let old = with(away.replicas[0].id.0);
    assert_eq!(fate(&old), Fate::Lost, "that id is another node's");
    let since = with(next + 3);
    assert!(matches!(fate(&since), Fate::MayLack { .. }));
    let after = recovered(&state, &since.plan.unwrap());
    assert!(after.cluster().unwrap().next_replica > next + 3);
}

#[test]
fn what_was_removed_does_not_count_for_a_majority() {
    // A voter has been replaced by one on the fourth node: those that are lost may have acknowledged without the other.
    let mut state = founded(3, 1);
    let apply = |state: &mut State, command| assert_eq!(catalog::apply(state, &command), Response::Done);
    apply(&mut state, Command::RegisterNode { node: info(4) });
    let before = report_of(&state, 3);
    let old = state.placement(data(0)).unwrap().on(id(3)).unwrap().id;
    apply(&mut state, Command::AddReplica { group: data(0), node: id(4), replaces: Some(old) });
    let new = state.placement(data(0)).unwrap().on(id(4)).unwrap().id;
    apply(&mut state, Command::ChangeVotes { group: data(0), gain: vec![new], lose: vec![old] });
    apply(&mut state, Command::RemoveReplica { group: data(0), replica: old });
    // The first knows nothing of it yet, and the third has its files still.
    let mut first = report_of(&state, 1);
    *member(&mut first, data(0)) = report_of(&founded(3, 1), 1).groups[1].clone();
    let third = SurvivorReport { catalog: Some(catalog_of(&state)), ..before };
    let prospect = plan(&[first, third], NEW, false).unwrap();
    assert!(matches!(prospect.groups[0].fate, Fate::Whole { .. }), "{:?}", prospect.groups);
    assert_eq!((prospect.groups[1].voters, chosen(&prospect.plan.unwrap(), data(0)).0), ((1, 3), 1));
    assert!(matches!(prospect.groups[1].fate, Fate::MayLack { .. }));
}

#[test]
fn while_voters_change_a_majority_of_both_sets_is_needed() {
    let state = founded(3, 2);
    let mut reports = [report_of(&state, 1), report_of(&state, 2)];
    for report in &mut reports {
        let member = member(report, data(1));
        let voters = member.membership.as_ref().unwrap().voters[0].clone();
        member.membership.as_mut().unwrap().voters = vec![voters.clone(), vec![voters[0], 70, 71]];
    }
    let prospect = plan(&reports, NEW, false).unwrap();
    assert!(matches!(prospect.groups[2].fate, Fate::MayLack { .. }), "{:?}", prospect.groups);
    assert_eq!(prospect.groups[2].voters, (1, 3));
    assert!(matches!(prospect.groups[1].fate, Fate::Whole { .. }));
    let plan = prospect.plan.unwrap();
    assert_eq!(plan.lost().count(), 1);
}

#[test]
fn reports_that_do_not_belong_together_are_refused() {
    let state = founded(3, 2);
    let one = report_of(&state, 1);
    assert_eq!(plan(&[], NEW, false), Err(PlanError::NoReports));
    assert_eq!(plan(&[one.clone(), one.clone()], NEW, false), Err(PlanError::Twice(id(1))));
    let other = SurvivorReport { cluster: 9, ..report_of(&state, 2) };
    assert_eq!(plan(&[one.clone(), other], NEW, false), Err(PlanError::Clusters(OLD, 9)));
    let bare = SurvivorReport { catalog: None, ..one.clone() };
    assert_eq!(plan(&[bare], NEW, false), Err(PlanError::NoCatalog));
    let mut out = one.clone();
    out.catalog.as_mut().unwrap().nodes[0].state = StateText::Lost;
    assert_eq!(plan(&[out], NEW, false), Err(PlanError::Out(id(1))));
    let mut unknown = one;
    unknown.catalog.as_mut().unwrap().nodes.remove(0);
    let prospect = plan(&[unknown], NEW, false).unwrap();
    assert_eq!(prospect.plan, Err(PlanError::Unknown(id(1))));
}

#[test]
fn files_come_back_as_they_were_and_changed_ones_are_refused() {
    let state = founded(3, 2);
    let report = report_of(&state, 1);
    let file = report.to_file().unwrap();
    assert_eq!(SurvivorReport::from_file(&file).unwrap(), report);
    let plan = plan(std::slice::from_ref(&report), NEW, false).unwrap().plan.unwrap();
    assert_eq!(Plan::from_file(&plan.to_file().unwrap()).unwrap(), plan);
    assert!(matches!(Plan::from_file(&file), Err(SealedError::Kind { .. })));
    for garbage in ["", "{", "[]", "null", "{}", r#"{"format":1}"#, r#"{"format":"x","kind":3}"#] {
        assert!(
            matches!(SurvivorReport::from_file(garbage.as_bytes()), Err(SealedError::Json { .. })),
            "{garbage}"
        );
    }
    let newer = String::from_utf8(file.clone()).unwrap().replace(r#""format": 1"#, r#""format": 2"#);
    assert!(matches!(
        SurvivorReport::from_file(newer.as_bytes()),
        Err(SealedError::Format { format: 2, .. })
    ));
    let longer = String::from_utf8(file.clone()).unwrap().replace(r#""index": 50"#, r#""index": 51"#);
    assert!(matches!(SurvivorReport::from_file(longer.as_bytes()), Err(SealedError::Checksum { .. })));
    for position in 0..file.len() {
        let mut flipped = file.clone();
        flipped[position] ^= 1 << (position % 8);
        if let Ok(read) = SurvivorReport::from_file(&flipped) {
            assert_eq!(read, report, "white space, or the case of a digit: byte {position}");
        }
    }
    for cut in (0..file.len() - 2).step_by(7) {
        SurvivorReport::from_file(&file[..cut]).unwrap_err();
    }
}
