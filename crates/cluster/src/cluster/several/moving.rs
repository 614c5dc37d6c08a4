//! Replicas move while the nodes run: to a node that joins, from one that drains, to one whose volume was lost. What was
//! acknowledged is where it should be afterwards, whoever stops in the middle.

use std::collections::BTreeMap;

use catalog::{NodeState, Placement};
use model::NodeId;
use tokio::time::{MissedTickBehavior, interval};

use super::*;
use crate::lane::LaneOptions;

const GROUPS: std::ops::Range<u16> = 0..PARTITIONS;

/// Waits until something is so; what is seen then fails the test when it never is.
async fn wait_for(what: &str, clusters: &[Arc<Cluster>], is_so: impl Fn(&[Arc<Cluster>]) -> bool) {
    let mut pace = interval(Duration::from_millis(20));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let waited = timeout(PATIENCE, async {
        while !is_so(clusters) {
            pace.tick().await;
        }
    });
    if waited.await.is_err() {
        let seen: Vec<_> =
            clusters.iter().map(|cluster| (cluster.node_id(), cluster.moves(), cluster.status())).collect();
        let placed: Vec<Placement> = clusters[0].catalog().read().placements().cloned().collect();
        panic!("{what}: {placed:#?} {seen:#?}");
    }
}

/// Places of which the first three found a cluster, and the others join it.
async fn places_that_join(count: usize) -> Vec<Place> {
    let mut places = places(count).await;
    let founders: Vec<String> = places[0].peers[..3].to_vec();
    places.iter_mut().for_each(|place| place.peers.clone_from(&founders));
    places
}

/// How many replicas each node has in the catalog, those on their way at both ends.
fn counts(cluster: &Cluster) -> BTreeMap<u64, usize> {
    let state = cluster.catalog().read();
    let mut counts: BTreeMap<u64, usize> = state.nodes().map(|node| (node.id.get(), 0)).collect();
    for placement in state.placements().filter(|placement| placement.group != GroupId::Meta) {
        for replica in &placement.replicas {
            *counts.entry(replica.node.get()).or_default() += 1;
        }
    }
    counts
}

/// Whether nothing moves, and every node has open what the catalog places there.
fn is_at_rest(clusters: &[Arc<Cluster>]) -> bool {
    clusters.iter().all(|cluster| {
        let state = cluster.catalog().read();
        let here = |placement: &Placement| placement.on(cluster.node_id()?).map(|replica| replica.id);
        state.placements().all(|placement| {
            let open = cluster.replicas.get(placement.group).map(|group| group.replica());
            open == here(placement) && placement.is_at_rest()
        })
    })
}

fn holds(cluster: &Cluster, nodes: &[(u64, usize)]) -> bool {
    let counts = counts(cluster);
    nodes.iter().all(|(node, count)| counts.get(node) == Some(count))
}

async fn write_all(cluster: &Cluster, n: u64) {
    for partition in GROUPS {
        write(cluster, partition, n).await;
    }
}

/// Every voter of every partition has applied all numbers.
async fn holders_have(places: &[Place], clusters: &[Arc<Cluster>], numbers: u64) {
    for (place, cluster) in places.iter().zip(clusters) {
        let here = timeout(PATIENCE, cluster.read_barrier_all()).await.unwrap().unwrap();
        let placed = cluster
            .catalog()
            .read()
            .placements()
            .filter(|p| p.group != GroupId::Meta)
            .filter(|p| cluster.node_id().is_some_and(|node| p.on(node).is_some()))
            .count();
        assert_eq!(here.len(), placed, "{}", place.zone);
        // What has left goes a moment after its group.
        let wanted: Vec<u16> = here.iter().map(|partition| partition.0).collect();
        let open = std::slice::from_ref(cluster);
        wait_for("nothing else is left", open, |_| place.machines.partitions() == wanted).await;
        for partition in here {
            let mut ops = distinct(place.ops(partition.0));
            ops.sort();
            let mut expected = expected(0..numbers);
            expected.sort();
            assert_eq!(ops, expected, "{} {partition}", place.zone);
        }
    }
}

/// The same place with nothing in it.
fn place_like(place: &Place) -> Place {
    Place {
        dir: tempfile::tempdir().unwrap(),
        address: place.address,
        peers: place.peers.clone(),
        machines: Arc::default(),
        catalog: Mutex::new(empty_catalog()),
        zone: place.zone.clone(),
        log_bytes_soft: place.log_bytes_soft,
        epoch_ms: place.epoch_ms,
        claims: None,
        progress: crate::Progress::default(),
        tls: None,
    }
}

fn node(id: u64) -> NodeId {
    NodeId::new(id).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_lost_volume_held_is_made_anew_on_the_node_that_came_back() {
    let mut places = places(3).await;
    // Nobody keeps a log for whoever is away.
    places.iter_mut().for_each(|place| place.log_bytes_soft = 0);
    let mut clusters = open_all(&places).await;
    for n in 0..10 {
        write_all(&clusters[usize::try_from(n).unwrap() % 3], n).await;
    }
    clusters.remove(1).shutdown().await;
    // Of two partitions nobody has the log any more: their files are sent.
    for (place, cluster) in [(&places[0], &clusters[0]), (&places[2], &clusters[1])] {
        cluster.read_barrier_all().await.unwrap();
        for partition in [1, 2] {
            let flushed = place.machines.of(partition).flush();
            cluster.flushed(PartitionId(partition), flushed);
            let group = cluster.replicas.get(GroupId::Data(PartitionId(partition))).unwrap();
            let open = std::slice::from_ref(cluster);
            wait_for("the log is purged", open, |_| group.status().purged >= Some(flushed.index)).await;
        }
    }
    let wiped = places.remove(1).wiped();
    let back = timeout(PATIENCE, wiped.open()).await.unwrap().unwrap();
    places.push(wiped);
    clusters.push(back);
    assert_eq!(clusters[2].node_id(), Some(node(4)));
    write_all(&clusters[0], 10).await;
    wait_for("all replicas are on nodes that are there", &clusters, |clusters| {
        holds(&clusters[0], &[(2, 0), (4, PARTITIONS.into())]) && is_at_rest(clusters)
    })
    .await;
    holders_have(&places, &clusters, 11).await;
    // Its vote in the meta group went too, so that another may stop.
    wait_for("the new node votes", &clusters, |clusters| {
        clusters.iter().all(|cluster| {
            let meta = cluster.replicas.get(GroupId::Meta).unwrap();
            meta.is_voter() && cluster.catalog().read().replica_on(GroupId::Meta, node(2)).is_none()
        })
    })
    .await;
    clusters.remove(0).shutdown().await;
    places.remove(0);
    write_all(&clusters[0], 11).await;
    clusters[1].read_barrier_meta().await.unwrap();
    holders_have(&places, &clusters, 12).await;
    shut_down_all(&clusters).await;
}

/// Takes all entries out of the log of a stopped node's partition, and leaves its vote: so it is when its first voter is gone
/// before any other has an entry.
async fn leave_only_the_vote(place: &Place, partition: PartitionId) {
    let options = LaneOptions {
        dir: log_dir(place.dir.path()),
        kind: LaneKind::Segment,
        segment_bytes: 64 << 10,
        queue_bytes_max: 1 << 20,
        cache_bytes_max: 0,
        progress: crate::Progress::default(),
    };
    let clock = Arc::new(SystemClock::new());
    let lane = Lane::open(&options, Arc::new(RealVfs), clock, Fatal::default()).unwrap();
    let log = lane.log(GroupId::Data(partition));
    assert!(log.vote().is_some_and(|vote| vote.term > 0));
    lane.truncate(&log, None).await.unwrap();
    assert_eq!(log.last_index(), None);
    lane.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_group_whose_first_voter_is_gone_is_founded_by_those_who_have_voted() {
    let mut places = places(3).await;
    let clusters = open_all(&places).await;
    let led_by_first = |placement: &&Placement| {
        placement.group != GroupId::Meta && placement.voters().next().is_some_and(|v| v.node == node(1))
    };
    let found = clusters[0].catalog().read().placements().find(led_by_first).map(|p| p.group);
    let Some(GroupId::Data(partition)) = found else { panic!("each node should lead something") };
    write(&clusters[0], partition.0, 0).await;
    // All have voted.
    wait_for("all follow", &clusters, |clusters| {
        clusters.iter().all(|c| c.replicas.get(GroupId::Data(partition)).unwrap().applied() > None)
    })
    .await;
    shut_down_all(&clusters).await;
    let first = places.remove(0).wiped();
    for place in &places {
        leave_only_the_vote(place, partition).await;
    }
    let before: Vec<_> = clusters[1..].iter().map(|c| c.votes()).collect();
    let mut clusters = open_all(&places).await;
    write(&clusters[0], partition.0, 1).await;
    for (cluster, before) in clusters.iter().zip(before) {
        let after = cluster.votes();
        let order = |vote: Vote| (vote.term, vote.replica);
        for (group, replica, had) in before {
            let has = after.iter().find(|(of, by, _)| (*of, *by) == (group, replica));
            assert!(has.is_some_and(|(.., has)| order(*has) >= order(had)), "{group}: {has:?} after {had:?}");
        }
    }
    // The one that has lost its volume gets what the others have.
    clusters.push(timeout(PATIENCE, first.open()).await.unwrap().unwrap());
    places.push(first);
    wait_for("all replicas are on nodes that are there", &clusters, |clusters| {
        holds(&clusters[0], &[(1, 0), (4, PARTITIONS.into())]) && is_at_rest(clusters)
    })
    .await;
    shut_down_all(&clusters).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_is_let_go_before_it_has_the_catalog_hears_of_it() {
    let places = places_that_join(4).await;
    let clusters = open_all(&places[..3]).await;
    let joining = Identity::mint().unwrap();
    let info = catalog::NodeInfo {
        uuid: joining.node_uuid,
        address: places[3].address.to_string(),
        zone: String::new(),
        version: "1".to_owned(),
        level: clusters[0].catalog().newest(),
    };
    let belongs = clusters[0].courier().register(info).await.unwrap();
    let state = |state| clusters[0].set_node_state(belongs.node_id, state);
    state(NodeState::Draining).await.unwrap();
    let let_go = timeout(PATIENCE, async {
        let mut pace = interval(Duration::from_millis(20));
        while state(NodeState::Decommissioned).await.is_err() {
            pace.tick().await;
        }
    });
    let_go.await.unwrap();
    // Whether it has heard that it was added, or not.
    for (belongs, expected) in [
        (Some(belongs), format!("node {} is decommissioned", node(4))),
        (None, "this node is decommissioned, since before it had joined".to_owned()),
    ] {
        let place = place_like(&places[3]);
        Identity { belongs, ..joining }.write(&RealVfs, place.dir.path()).unwrap();
        let error = timeout(PATIENCE, place.open()).await.unwrap().unwrap_err();
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
    shut_down_all(&clusters).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_joins_gets_its_share_and_one_that_drains_ends_empty_and_leaves() {
    let places = places_that_join(4).await;
    let mut clusters = open_all(&places[..3]).await;
    for n in 0..10 {
        write_all(&clusters[0], n).await;
    }
    clusters.push(timeout(PATIENCE, places[3].open()).await.unwrap().unwrap());
    wait_for("each of four has three of twelve", &clusters, |clusters| {
        holds(&clusters[0], &[(1, 3), (2, 3), (3, 3), (4, 3)]) && is_at_rest(clusters)
    })
    .await;
    write_all(&clusters[3], 10).await;
    holders_have(&places, &clusters, 11).await;
    // Any of them can be asked.
    clusters[2].set_node_state(node(1), NodeState::Draining).await.unwrap();
    clusters[2].set_node_state(node(1), NodeState::Draining).await.unwrap();
    for n in 11..15 {
        write_all(&clusters[1], n).await;
    }
    wait_for("the first node is empty", &clusters, |clusters| {
        holds(&clusters[1], &[(1, 0), (2, 4), (3, 4), (4, 4)]) && is_at_rest(clusters)
    })
    .await;
    holders_have(&places, &clusters, 15).await;
    assert!(places[0].machines.partitions().is_empty());
    wait_for("the first node has no vote", &clusters, |clusters| {
        clusters[1..].iter().all(|cluster| cluster.replicas.get(GroupId::Meta).unwrap().is_voter())
    })
    .await;
    let refused = clusters[2].set_node_state(node(2), NodeState::Decommissioned).await;
    assert!(matches!(refused, Err(MembershipError::Refused(_))), "{refused:?}");
    clusters[0].set_node_state(node(1), NodeState::Decommissioned).await.unwrap();
    wait_for("it is no member of any group", &clusters, |clusters| {
        let metas = clusters[1..].iter().filter_map(|cluster| cluster.replicas.get(GroupId::Meta)?.members());
        let leader = metas.into_iter().next();
        leader.is_some_and(|members| members.all.len() == 3 && members.voters.len() == 3)
    })
    .await;
    clusters.remove(0).shutdown().await;
    write_all(&clusters[0], 15).await;
    holders_have(&places[1..], &clusters, 16).await;
    shut_down_all(&clusters).await;
}

/// Asks for a state until it is known to be recorded: where nodes have just stopped, the catalog may change its leader
/// meanwhile, and then nobody knows. To ask for it twice is to ask for it once.
async fn ask_until_known(cluster: &Cluster, of: NodeId, state: NodeState) {
    let patience = timeout(PATIENCE, async {
        while let Err(error) = cluster.set_node_state(of, state).await {
            assert!(matches!(error, MembershipError::Proposal(ProposeError::Unknown { .. })), "{error}");
        }
    });
    patience.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn moves_go_on_whoever_stops_in_the_middle() {
    let places = places_that_join(4).await;
    let mut clusters = open_all(&places[..3]).await;
    write_all(&clusters[0], 0).await;
    clusters.push(timeout(PATIENCE, places[3].open()).await.unwrap().unwrap());
    let mut n = 1;
    for round in 0..6_usize {
        // To the new node and from it in turn, and everybody forgets what is not in the log.
        if round % 2 == 0 {
            ask_until_known(&clusters[0], node(4), NodeState::Active).await;
        } else {
            ask_until_known(&clusters[1], node(4), NodeState::Draining).await;
        }
        wait_for("something moves", &clusters, |clusters| !clusters[round % 3].moves().is_empty()).await;
        write_all(&clusters[round % 3], n).await;
        n += 1;
        if round < 3 {
            clusters[round].shutdown().await;
            *places[round].catalog.lock() = empty_catalog();
            clusters[round] = timeout(PATIENCE, places[round].open()).await.unwrap().unwrap();
        } else {
            shut_down_all(&clusters).await;
            places.iter().for_each(|place| *place.catalog.lock() = empty_catalog());
            clusters = open_all(&places).await;
        }
        write_all(&clusters[(round + 1) % 3], n).await;
        n += 1;
    }
    wait_for("the fourth node is empty", &clusters, |clusters| {
        holds(&clusters[0], &[(1, 4), (2, 4), (3, 4), (4, 0)]) && is_at_rest(clusters)
    })
    .await;
    holders_have(&places, &clusters, n).await;
    shut_down_all(&clusters).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_replica_and_one_lead_move_when_somebody_asks() {
    let places = places_that_join(4).await;
    let mut clusters = open_all(&places[..3]).await;
    clusters.push(timeout(PATIENCE, places[3].open()).await.unwrap().unwrap());
    let is_even = |clusters: &[Arc<Cluster>]| {
        holds(&clusters[0], &[(1, 3), (2, 3), (3, 3), (4, 3)]) && is_at_rest(clusters)
    };
    wait_for("it is even", &clusters, is_even).await;
    write_all(&clusters[0], 0).await;
    // Leads are even too, and each where the catalog says.
    let leads = |clusters: &[Arc<Cluster>]| {
        let led = |cluster: &Arc<Cluster>| GROUPS.filter(|p| cluster.leads(PartitionId(*p))).count();
        clusters.iter().map(led).collect::<Vec<_>>()
    };
    wait_for("each leads one", &clusters, |clusters| leads(clusters) == [1, 1, 1, 1]).await;
    let placement = clusters[0].catalog().read().placement(GroupId::Data(PartitionId(0))).unwrap().clone();
    let (first, second) = (placement.replicas[0].node, placement.replicas[1].node);
    let on = |node: NodeId| usize::try_from(node.get() - 1).unwrap();
    clusters[3].transfer_leader(placement.group, second).await.unwrap();
    wait_for("leads are even again", &clusters, |clusters| {
        leads(clusters) == [1, 1, 1, 1]
            && clusters[on(first)].catalog().read().placement(placement.group).is_some()
    })
    .await;
    // A partition goes where it was not; another comes back for it.
    let free = (1..=4).map(node).find(|id| placement.on(*id).is_none()).unwrap();
    clusters[1].move_replica(PartitionId(0), first, free).await.unwrap();
    let moves = clusters[1].moves();
    let of_group = moves.iter().find(|of| of.group == placement.group);
    if let Some(of_group) = of_group {
        assert_eq!(of_group.from.unwrap().node, first);
        assert!(of_group.to.is_none_or(|to| to.node == free), "{of_group:?}");
    }
    wait_for("the partition has moved", &clusters, |clusters| {
        clusters[0].catalog().read().placement(placement.group).unwrap().generation > placement.generation
    })
    .await;
    wait_for("it is even again", &clusters, is_even).await;
    write_all(&clusters[2], 1).await;
    holders_have(&places, &clusters, 2).await;
    let absent = clusters[0].move_replica(PartitionId(0), node(77), free).await;
    assert!(matches!(absent, Err(MembershipError::NotThere { .. })), "{absent:?}");
    shut_down_all(&clusters).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_joins_in_the_place_of_a_node_that_is_there() {
    let mut places = places_that_join(4).await;
    let clusters = open_all(&places[..3]).await;
    write(&clusters[0], 1, 0).await;
    // It says that it is reached where another node is, or where nobody is.
    let nobody = bind("127.0.0.1:0").await.local_addr().unwrap();
    for (claimed, why) in [(places[1].address, "another node answers"), (nobody, "it does not answer")] {
        places[3].claims = Some(claimed);
        let joining = places[3].open();
        let refused = async {
            let mut pace = interval(Duration::from_millis(20));
            while !places[3].progress.to_string().contains(why) {
                pace.tick().await;
            }
        };
        tokio::select! {
            joined = joining => panic!("{joined:?}"),
            refused = timeout(PATIENCE, refused) => refused.expect("it is refused"),
        }
    }
    assert_eq!(clusters[0].catalog().read().nodes().count(), 3, "all are there");
    write(&clusters[1], 1, 1).await;
    shut_down_all(&clusters).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_node_is_given_up_that_answers_or_without_which_there_is_no_majority() {
    let places = places(3).await;
    let clusters = open_all(&places).await;
    write(&clusters[0], 1, 0).await;
    let refused = |error: MembershipError, why: &str| assert!(error.to_string().contains(why), "{error}");
    refused(clusters[0].give_up(node(3), false).await.unwrap_err(), "answers: drain");
    clusters[2].shutdown().await;
    let given_up = timeout(PATIENCE, clusters[0].give_up(node(3), false)).await.unwrap();
    given_up.unwrap();
    // Again, and another.
    clusters[0].give_up(node(3), false).await.unwrap();
    refused(clusters[1].give_up(node(1), false).await.unwrap_err(), "answers: drain");
    write(&clusters[0], 1, 1).await;
    shut_down_all(&clusters[..2]).await;
}
