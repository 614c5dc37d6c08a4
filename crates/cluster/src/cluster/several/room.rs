//! A node whose disk is nearly full: others lead what it led, it stands for nothing, and takes and reads for its clients
//! what others have; with room again it has everything.

use model::Reading;

use super::*;
use crate::Room;

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap_or_else(|_late| panic!("{what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_without_room_leads_nothing_and_serves_all_the_same() {
    let places = places(3).await;
    let clusters = open_all(&places).await;
    for partition in 0..PARTITIONS {
        write(&clusters[0], partition, 0).await;
    }
    let full = leader_of(&clusters, GroupId::Data(PartitionId(0))).expect("one has acknowledged");
    let (node, others): (&Cluster, Vec<usize>) = (&clusters[full], (0..3).filter(|at| *at != full).collect());
    node.note_room(Room::Short);
    until("others take its leads", || node.replicas.all().iter().all(|group| !group.leads())).await;
    // It follows as long as there is room for that.
    write(node, 0, 1).await;
    everyone_has(&places, &clusters, 0, 2).await;
    // Then it lags behind, and its clients notice nothing.
    node.note_room(Room::Spent);
    for n in 2..20 {
        write(node, 0, n).await;
    }
    assert!(distinct(places[full].ops(0)).len() < 20, "it has taken no entries");
    let reading = Reading::default();
    assert_eq!(
        timeout(PATIENCE, node.ready_to_read(&reading)).await.unwrap().unwrap(),
        [],
        "all is read elsewhere"
    );
    let mut others_have = Vec::new();
    for at in &others {
        others_have = timeout(PATIENCE, clusters[*at].ready_to_read(&reading)).await.unwrap().unwrap();
        assert_eq!(distinct(places[*at].ops(0)), expected(0..20));
    }
    assert_eq!(others_have.len(), usize::from(PARTITIONS));
    // One of three can be short, two cannot: nothing that has no room on most nodes is taken.
    assert_eq!(node.lacks_room(), None);
    clusters[others[0]].note_room(Room::Short);
    until("it knows that another is short too", || node.lacks_room().is_some()).await;
    clusters[others[0]].note_room(Room::Plenty);
    node.note_room(Room::Plenty);
    until("there is room again", || clusters.iter().all(|cluster| cluster.lacks_room().is_none())).await;
    until("it gets what it lacks", || distinct(places[full].ops(0)).len() == 20).await;
    everyone_has(&places, &clusters, 0, 20).await;
    shut_down_all(&clusters).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn where_most_disks_are_nearly_full_what_makes_room_goes_on() {
    let places = places(3).await;
    let clusters = open_all(&places).await;
    for partition in 0..PARTITIONS {
        write(&clusters[0], partition, 0).await;
    }
    // At once, so that leads may go to the one that has room, which leads nothing that others do not take.
    clusters[..2].iter().for_each(|cluster| cluster.note_room(Room::Spent));
    until("all know", || clusters.iter().all(|cluster| cluster.lacks_room().is_some())).await;
    for n in 1..10 {
        for partition in 0..PARTITIONS {
            write(&clusters[usize::try_from(n).unwrap() % 3], partition, n).await;
        }
    }
    for partition in 0..PARTITIONS {
        everyone_has(&places, &clusters, partition, 10).await;
    }
    shut_down_all(&clusters).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_reaches_nobody_says_so_long_before_a_request_has_used_its_time() {
    let places = places(3).await;
    let clusters = open_all(&places).await;
    write(&clusters[0], 1, 0).await;
    for at in [1, 2] {
        clusters[at].shutdown().await;
    }
    let left = &clusters[0];
    until("the others are silent", || !left.courier.reaches_quorum(GroupId::Data(PartitionId(1)))).await;
    let begun = tokio::time::Instant::now();
    let refused = left.propose(PartitionId(1), op(1)).await.unwrap_err();
    assert!(refused.to_string().contains("reaches no majority"), "{refused}");
    for refused in [left.read_barrier_meta().await.unwrap_err(), left.read_barrier_all().await.unwrap_err()] {
        assert!(refused.nothing_done() && refused.to_string().contains("reaches no majority"), "{refused}");
    }
    // Each of the three would take ten seconds otherwise.
    assert!(
        begun.elapsed() < Duration::from_millis(Limits::PRODUCTION.proposal_ms_max),
        "{:?}",
        begun.elapsed()
    );
    left.shutdown().await;
}
