//! One picture of what several say.

use catalog::{Catalog, Command, MemoryStore, NodeInfo, Response};
use disk::Space;
use model::{LogPosition, PartitionId};

use super::*;

const DATA: GroupId = GroupId::Data(PartitionId(0));

fn id(n: u64) -> NodeId {
    NodeId::new(n).unwrap()
}

fn info(n: u64) -> NodeInfo {
    NodeInfo {
        uuid: u128::from(n),
        address: format!("host-{n}:8088"),
        zone: format!("zone-{n}"),
        version: "1".to_owned(),
        level: catalog::Level::FIRST,
    }
}

/// Three nodes; the meta group's members are 1 to 3, the partition's 4 to 6.
fn catalog() -> Catalog {
    let command = Command::Bootstrap {
        cluster_id: 99,
        replication: 3,
        nodes: (1..=3).map(info).collect(),
        placements: vec![vec![0, 1, 2]],
    };
    let catalog = Catalog::open(Box::new(MemoryStore::default())).unwrap();
    let position = LogPosition { index: 1, term: 1, leader: ReplicaId(1) };
    assert_eq!(catalog.apply(position, &command).unwrap(), Response::Done);
    catalog
}

fn status(group: GroupId, replica: u64, leader: u64, term: u64, committed: u64, applied: u64) -> GroupStatus {
    GroupStatus {
        group,
        replica: ReplicaId(replica),
        leader: Some(ReplicaId(leader)),
        leading: replica == leader,
        term,
        last: Some(committed),
        committed: Some(committed),
        applied: Some(applied),
        purged: None,
        in_flight_bytes: 0,
        files: None,
        compared: None,
        voters: if group == GroupId::Meta { 1..=3 } else { 4..=6 }.map(ReplicaId).collect(),
        running: true,
    }
}

fn report(groups: Vec<GroupStatus>) -> Result<NodeReport, String> {
    Ok(NodeReport { groups, space: Some(Space { free_bytes: 30, total_bytes: 100 }), gateways: Vec::new() })
}

#[test]
fn one_picture_comes_of_what_several_say() {
    let catalog = catalog();
    let reports: Reports = [
        // It has not heard yet that it leads no more.
        (id(1), report(vec![status(GroupId::Meta, 1, 1, 2, 9, 9), status(DATA, 4, 4, 5, 40, 40)])),
        (id(2), report(vec![status(GroupId::Meta, 2, 1, 2, 8, 8), status(DATA, 5, 5, 6, 50, 47)])),
        (id(3), Err("no answer in time".to_owned())),
    ]
    .into();
    let seen = survey(&catalog.read(), id(1).to_string(), &reports);
    assert_eq!((seen.partitions, seen.replication, seen.node.as_str()), (1, 3, "0000000000000001"));
    let [meta, data] = &seen.groups[..] else { panic!("{seen:?}") };
    assert_eq!((meta.group.as_str(), meta.partition, meta.term, meta.committed), ("meta", None, 2, 9));
    assert_eq!(meta.leader.as_deref(), Some("0000000000000001"));
    assert_eq!((data.group.as_str(), data.partition, data.term, data.committed), ("data-0", Some(0), 6, 50));
    assert_eq!(data.leader.as_deref(), Some("0000000000000002"), "the newest term counts");
    let lags: Vec<_> =
        data.replicas.iter().map(|replica| (replica.is_up, replica.applied, replica.lag)).collect();
    assert_eq!(lags, [(true, Some(40), Some(10)), (true, Some(47), Some(3)), (false, None, None)]);

    let [first, second, third] = &seen.nodes[..] else { panic!("{seen:?}") };
    assert_eq!((first.state, first.leads, first.replicas, first.role), ("up", 1, 2, "data"));
    assert_eq!((first.term, first.committed, first.applied, first.lag), (6, 59, 49, 10));
    assert_eq!((first.disk_free_bytes, first.disk_total_bytes), (Some(30), Some(100)));
    assert_eq!((second.leads, second.lag, second.zone.as_str()), (1, 1 + 3, "zone-2"));
    assert_eq!((third.state, third.reason.as_deref()), ("away", Some("no answer in time")));
    assert_eq!((third.leads, third.replicas, third.lag, third.disk_free_bytes), (0, 2, 0, None));
}

#[test]
fn a_member_that_is_not_the_catalogs_does_not_count() {
    let catalog = catalog();
    let groups = vec![status(GroupId::Meta, 1, 1, 2, 9, 9), status(DATA, 77, 77, 9, 70, 70)];
    let reports: Reports = [(id(1), report(groups))].into();
    let seen = survey(&catalog.read(), id(1).to_string(), &reports);
    assert_eq!((seen.groups[1].leader.as_deref(), seen.groups[1].committed), (None, 0));
    assert!(seen.groups[1].replicas.iter().all(|replica| !replica.is_up));
    assert_eq!((seen.nodes[1].state, seen.nodes[1].reason.as_deref()), ("away", Some("not asked yet")));
}

#[test]
fn what_is_on_its_way_is_shown_with_how_far_it_is() {
    let catalog = catalog();
    let mut index = 1;
    let mut done = |command: Command| {
        index += 1;
        let position = LogPosition { index, term: 1, leader: ReplicaId(1) };
        assert_eq!(catalog.apply(position, &command).unwrap(), Response::Done, "{command:?}");
    };
    done(Command::RegisterNode { node: info(4) });
    done(Command::SetNodeState { node: id(3), state: NodeState::Draining });
    let (old, replica) = (ReplicaId(6), ReplicaId(8));
    done(Command::AddReplica { group: DATA, node: id(4), replaces: Some(old) });
    let mut reports: Reports = [
        (id(1), report(vec![status(DATA, 4, 4, 5, 40, 40)])),
        (id(3), report(vec![status(DATA, 6, 4, 5, 40, 40)])),
        (id(4), report(Vec::new())),
    ]
    .into();
    let node = |id: u64| format!("{id:016x}");
    let moving = |to: Option<u64>, stage| MoveSurvey {
        group: "data-0".to_owned(),
        from: Some(node(3)),
        to: to.map(node),
        stage,
        ..MoveSurvey::default()
    };
    let seen = survey(&catalog.read(), id(1).to_string(), &reports);
    assert_eq!(seen.moves, [moving(Some(4), "waiting")]);
    let third = &seen.nodes[2];
    assert_eq!((third.state, third.reason.as_deref(), third.replicas, third.holds), ("draining", None, 2, 2));
    assert_eq!(
        (seen.nodes[3].state, seen.nodes[3].holds),
        ("up", 1),
        "its copy of the catalog keeps no node"
    );

    let coming = GroupStatus { files: Some((3, 9)), ..status(DATA, 8, 4, 5, 40, 10) };
    reports.insert(id(4), report(vec![coming]));
    let seen = survey(&catalog.read(), id(1).to_string(), &reports);
    let far = MoveSurvey {
        lag: Some(30),
        files_bytes: Some(3),
        files_bytes_all: Some(9),
        ..moving(Some(4), "catching up")
    };
    assert_eq!(seen.moves, [far]);
    done(Command::ChangeVotes { group: DATA, gain: vec![replica], lose: vec![old] });
    let seen = survey(&catalog.read(), id(1).to_string(), &reports);
    let voting = MoveSurvey { from: None, ..moving(Some(4), "voting") };
    assert_eq!((&seen.moves[..], seen.replicas_least), (&[moving(None, "leaving"), voting][..], Some(3)));
    let voters = vec![ReplicaId(4), ReplicaId(5), replica];
    reports.insert(id(1), report(vec![GroupStatus { voters, ..status(DATA, 4, 4, 5, 40, 40) }]));
    let seen = survey(&catalog.read(), id(1).to_string(), &reports);
    assert_eq!((&seen.moves[..], seen.replicas_least), (&[moving(None, "leaving")][..], Some(3)));
    done(Command::RemoveReplica { group: DATA, replica: old });
    let seen = survey(&catalog.read(), id(1).to_string(), &reports);
    assert_eq!((seen.moves.len(), seen.nodes[2].holds), (0, 1), "its vote in the meta group is left");
    // One that is out is not asked, and has no reason.
    done(Command::SetNodeState { node: id(2), state: NodeState::Lost });
    let seen = survey(&catalog.read(), id(1).to_string(), &reports);
    assert_eq!((seen.nodes[1].state, seen.nodes[1].reason.as_deref()), ("lost", None));
}
