//! How new what each node reads is: by leaders, by age, or not at all, and always with what the reader has written.

use model::Consistency;

use super::*;

fn at(consistency: Consistency) -> Reading {
    Reading { consistency, seen: Commits::default() }
}

fn all_partitions() -> Vec<PartitionId> {
    (0..PARTITIONS).map(PartitionId).collect()
}

async fn ready(cluster: &Cluster, reading: &Reading) -> Result<Vec<PartitionId>, ProposeError> {
    timeout(PATIENCE, cluster.ready_to_read(reading)).await.expect("it answers")
}

/// Reads until these partitions can be read here. On a busy machine a member may be behind for a moment; its partition is
/// read elsewhere then.
async fn are_ready(cluster: &Cluster, reading: &Reading, expected: &[PartitionId]) {
    let all = timeout(PATIENCE, async {
        loop {
            let here = ready(cluster, reading).await.expect("it answers for those that are not behind");
            assert!(here.iter().all(|partition| expected.contains(partition)), "{here:?}");
            if here == expected {
                return;
            }
        }
    });
    all.await.expect("none is behind for long");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_one_node_has_written_every_node_has_for_who_says_so() {
    let places = places(3).await;
    let clusters = open_all(&places).await;
    for n in 0..60 {
        let (partition, writer) = (PartitionId(3), &clusters[usize::try_from(n).unwrap() % 3]);
        let index = timeout(PATIENCE, async {
            loop {
                if let Ok(index) = writer.propose(partition, op(n)).await {
                    return index;
                }
            }
        });
        let seen: Commits = [(GroupId::Data(partition), index.await.unwrap())].into_iter().collect();
        for (place, reader) in places.iter().zip(&clusters) {
            let reading = Reading { consistency: Consistency::Any, seen: seen.clone() };
            are_ready(reader, &reading, &all_partitions()).await;
            assert!(place.ops(3).contains(&op(n)), "{} lacks {n}", place.zone);
        }
    }
    // What nobody has written yet is waited for, and then not had here; the others are as good as ever.
    let seen: Commits = [(GroupId::Data(PartitionId(1)), 1_000_000)].into_iter().collect();
    let others: Vec<_> = all_partitions().into_iter().filter(|partition| partition.0 != 1).collect();
    for consistency in [Consistency::Any, Consistency::Leader, Consistency::Linearizable] {
        let reading = Reading { consistency, seen: seen.clone() };
        are_ready(&clusters[0], &reading, &others).await;
    }
    // The catalog comes from nowhere else.
    let seen = [(GroupId::Meta, 1_000_000)].into_iter().collect();
    let reading = Reading { consistency: Consistency::Any, seen };
    assert!(timeout(PATIENCE, clusters[1].ready_catalog(&reading)).await.unwrap().is_err());
    let seen = clusters[0].catalog_commits();
    assert!(!seen.is_empty());
    let reading = Reading { consistency: Consistency::Any, seen };
    timeout(PATIENCE, clusters[2].ready_catalog(&reading)).await.unwrap().unwrap();
    shut_down_all(&clusters).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_alone_reads_by_age_as_long_as_it_knows_its_own() {
    let places = places(3).await;
    let clusters = open_all(&places).await;
    for partition in 0..PARTITIONS {
        write(&clusters[0], partition, 7).await;
    }
    let reader = &clusters[2];
    for consistency in [Consistency::Leader, Consistency::Linearizable] {
        are_ready(reader, &at(consistency), &all_partitions()).await;
    }
    // Both others die without a word: no group has a quorum.
    for cluster in &clusters[..2] {
        cluster.listening.stop().await;
        join_all(cluster.replicas.all().iter().map(|group| group.shutdown())).await;
    }
    let hour = Consistency::Bounded(Duration::from_secs(3600));
    assert_eq!(ready(reader, &at(hour)).await, Ok(all_partitions()));
    assert_eq!(ready(reader, &at(Consistency::Any)).await, Ok(all_partitions()));
    timeout(PATIENCE, reader.ready_catalog(&at(Consistency::Any))).await.unwrap().unwrap();
    for partition in 0..PARTITIONS {
        assert_eq!(distinct(places[2].ops(partition)), expected(7..8));
    }
    // In this order: leases have run out by the time that the first has been refused.
    for consistency in [Consistency::Linearizable, Consistency::Leader, Consistency::Bounded(Duration::ZERO)]
    {
        let refused = ready(reader, &at(consistency)).await;
        assert!(refused.is_err(), "{consistency}: {refused:?}");
    }
    // Reading by age has had it ask in vain meanwhile; that makes nothing newer.
    let group = reader.replicas.get(GroupId::Data(PartitionId(0))).unwrap();
    let age = group.age(reader.clock.monotonic()).expect("it has been asked before");
    assert!(age > Duration::from_millis(u64::from(PARTITIONS)), "{age:?}");
    shut_down_all(&clusters).await;
}
