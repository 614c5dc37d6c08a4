//! A data directory that is put back as it was at an earlier time.

use std::path::Path;

use super::*;

/// Waits until a node has counted its epoch up to at least this.
async fn counted(cluster: &Cluster, epoch: u64) {
    let wait = timeout(PATIENCE, async {
        while cluster.courier.myself.epochs.own() < epoch {
            tokio::task::yield_now().await;
        }
    });
    wait.await.expect("it counts while the others answer");
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_older_copy_of_a_data_directory_takes_no_part() {
    let mut places = places(3).await;
    let mut clusters = open_all(&places).await;
    write(&clusters[0], 1, 0).await;
    counted(&clusters[1], 2).await;
    clusters[1].shutdown().await;
    let old = tempfile::tempdir().unwrap();
    copy(places[1].dir.path(), old.path());
    let epoch = clusters[1].courier.myself.epochs.own();

    // The same directory, started again, is no older copy.
    clusters[1] = timeout(PATIENCE, places[1].open()).await.unwrap().unwrap();
    counted(&clusters[1], epoch + 2).await;
    write(&clusters[2], 1, 1).await;
    // The others have heard of it, and remember it over a restart.
    counted(&clusters[0], clusters[0].courier.myself.epochs.own() + 2).await;
    shut_down_all(&clusters).await;
    for at in [0, 2] {
        clusters[at] = timeout(PATIENCE, places[at].open()).await.unwrap().unwrap();
    }
    let newest = std::mem::replace(&mut places[1].dir, old);
    let refused = timeout(PATIENCE, places[1].open()).await.unwrap();
    let Err(OpenError::Stopped(reason)) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("older copy"), "{reason}");
    // The others go on without it, and what it was last comes back with everything.
    write(&clusters[0], 1, 2).await;
    places[1].dir = newest;
    clusters[1] = timeout(PATIENCE, places[1].open()).await.unwrap().unwrap();
    everyone_has(&places, &clusters, 1, 3).await;
    shut_down_all(&clusters).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_older_copy_that_tells_the_same_epoch_is_known_by_what_it_lacks() {
    let mut places = places(3).await;
    places[1].epoch_ms = 3_600_000;
    let mut clusters = open_all(&places).await;
    write(&clusters[0], 1, 0).await;
    clusters[1].shutdown().await;
    let old = tempfile::tempdir().unwrap();
    copy(places[1].dir.path(), old.path());
    clusters[1] = timeout(PATIENCE, places[1].open()).await.unwrap().unwrap();
    let epoch = clusters[1].courier.myself.epochs.own();
    for n in 1..5 {
        write(&clusters[0], 1, n).await;
    }
    everyone_has(&places, &clusters, 1, 5).await;
    clusters[1].shutdown().await;

    places[1].dir = old;
    let reason = match timeout(PATIENCE, places[1].open()).await.unwrap() {
        Ok(copy) => {
            assert_eq!(copy.courier.myself.epochs.own(), epoch);
            let reason = timeout(PATIENCE, copy.fatal.raised()).await.expect("it is found out");
            copy.shutdown().await;
            reason
        }
        Err(OpenError::Stopped(reason)) => reason,
        Err(other) => panic!("{other:?}"),
    };
    assert!(reason.contains("older copy"), "{reason}");
    // It is not let in again, and the others go on without it.
    let refused = timeout(PATIENCE, places[1].open()).await.unwrap();
    assert!(matches!(refused, Err(OpenError::Stopped(_))), "{refused:?}");
    write(&clusters[0], 1, 5).await;
    clusters.remove(1);
    places.remove(1);
    everyone_has(&places, &clusters, 1, 6).await;
    shut_down_all(&clusters).await;
}
