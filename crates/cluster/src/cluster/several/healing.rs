//! A replica whose files are damaged gets those of another.

use std::sync::atomic::Ordering;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn damaged_files_are_replaced_by_those_of_another_member() {
    let mut places = places(3).await;
    // The log begins soon after what is in files.
    places.iter_mut().for_each(|place| place.log_bytes_soft = 0);
    let clusters = open_all(&places).await;
    let group = |at: usize| clusters[at].replicas.get(GroupId::Data(PartitionId(1))).unwrap();
    let mut n = 0;
    // A follower, then whoever leads; what is in files reaches further on the damaged one than anywhere else.
    for leads in [false, true] {
        for _ in 0..20 {
            write(&clusters[0], 1, n).await;
            n += 1;
        }
        everyone_has(&places, &clusters, 1, n).await;
        let damaged = (0..3).find(|at| group(*at).leads() == leads).unwrap();
        let flushed = places[damaged].machines.of(1).flush();
        clusters[damaged].flushed(PartitionId(1), flushed);
        let waited = timeout(PATIENCE, async {
            while group(damaged).status().purged < Some(flushed.index) {
                tokio::task::yield_now().await;
            }
        });
        waited.await.expect("the log is purged");
        write(&clusters[0], 1, n).await;
        n += 1;
        let before = group(damaged);
        places[damaged].machines.of(1).is_damaged.store(true, Ordering::Relaxed);
        let waited = timeout(PATIENCE, async {
            let here = || clusters[damaged].replicas.get(before.id());
            while here().is_none_or(|here| Arc::ptr_eq(&here, &before)) {
                tokio::task::yield_now().await;
            }
        });
        waited.await.expect("it gets the files of another");
        assert!(!places[damaged].machines.of(1).is_damaged.load(Ordering::Relaxed));
        assert_eq!(group(damaged).replica(), before.replica(), "its vote and its log stay");
        write(&clusters[damaged], 1, n).await;
        n += 1;
        everyone_has(&places, &clusters, 1, n).await;
    }
    shut_down_all(&clusters).await;
}
