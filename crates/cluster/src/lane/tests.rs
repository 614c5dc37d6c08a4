//! The lane keeps its promise when the power fails at any byte: whatever a callback acknowledged is there, in order,
//! with the newest vote, and nothing is there that was never given.

use std::path::Path;

use disk::vfs::sim::{Failure, Fault, OpKind, PowerCut};
use disk::{RealVfs, SimVfs, Vfs};
use model::{BucketId, GroupId, PartitionId, PartitionOp, ReplicaId, SystemClock, Timestamp};
use parking_lot::Mutex;

use super::*;
use crate::entry::{LogEntry, Payload, Proposal};
use crate::fatal::Fatal;
use crate::options::LaneKind;

const A: GroupId = GroupId::Data(PartitionId(0));
const B: GroupId = GroupId::Data(PartitionId(1));

fn options(dir: &Path, kind: LaneKind) -> LaneOptions {
    LaneOptions {
        dir: dir.to_owned(),
        kind,
        segment_bytes: 4 << 10,
        queue_bytes_max: 1 << 20,
        cache_bytes_max: 0,
        progress: crate::Progress::default(),
    }
}

fn open(vfs: &Arc<dyn Vfs>, dir: &Path, kind: LaneKind) -> Result<Arc<Lane>, LaneOpenError> {
    Lane::open(&options(dir, kind), Arc::clone(vfs), Arc::new(SystemClock::new()), Fatal::default())
}

fn position(index: u64, term: u64) -> LogPosition {
    LogPosition { index, term, leader: ReplicaId(1) }
}

fn op(n: u64) -> PartitionOp {
    PartitionOp::DropShards { bucket: BucketId::new(n + 1).unwrap(), ending_by: Timestamp(0) }
}

fn entry(index: u64, term: u64, n: u64) -> LogEntry {
    let payload = Payload::Op(Proposal::stored(proto::encode_op(&op(n), Timestamp(1))));
    LogEntry { position: position(index, term), payload }
}

fn vote(term: u64) -> log::Vote {
    log::Vote { term, replica: 1, committed: true }
}

/// Index, term and content of every entry of a group's log.
fn content(lane: &Lane, group: GroupId) -> Vec<(u64, u64, PartitionOp)> {
    let entries = lane.log(group).entries(0..u64::MAX, usize::MAX).unwrap();
    entries
        .into_iter()
        .map(|entry| match entry.payload {
            Payload::Op(proposal) => {
                (entry.position.index, entry.position.term, proposal.take_partition_op().unwrap())
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Appends and waits for the callback.
async fn append(lane: &Lane, group: GroupId, entries: Vec<LogEntry>) -> Result<(), LaneError> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let done = Box::new(move |result| drop(tell.send(result)));
    match lane.append(&lane.log(group), entries, done).await {
        Ok(()) => told.await.unwrap(),
        Err(shared::AppendError::Lane(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

/// What the callbacks acknowledged so far.
#[derive(Debug, Clone, Default, PartialEq)]
struct Acknowledged {
    a: Vec<(u64, u64, PartitionOp)>,
    b: Vec<(u64, u64, PartitionOp)>,
    purged_a: Option<LogPosition>,
    vote_a: Option<log::Vote>,
}

/// A short life: appends of two groups, votes, a conflict that is withdrawn, a purge. Stops at the first error.
/// `steps` gets what holds after each acknowledgement.
async fn live(lane: &Lane, steps: &Mutex<Vec<Acknowledged>>) -> Result<(), LaneError> {
    let mut now = Acknowledged::default();
    let step = |now: &Acknowledged| steps.lock().push(now.clone());
    lane.vote(&lane.log(A), vote(1)).await?;
    now.vote_a = Some(vote(1));
    step(&now);
    for index in 0..6 {
        append(lane, A, vec![entry(index, 1, index)]).await?;
        now.a.push((index, 1, op(index)));
        step(&now);
        append(lane, B, vec![entry(2 * index, 1, 50), entry(2 * index + 1, 1, 51)]).await?;
        now.b.extend([(2 * index, 1, op(50)), (2 * index + 1, 1, op(51))]);
        step(&now);
    }
    lane.vote(&lane.log(A), vote(2)).await?;
    now.vote_a = Some(vote(2));
    step(&now);
    lane.truncate(&lane.log(A), Some(position(3, 1))).await?;
    append(lane, A, vec![entry(4, 2, 104)]).await?;
    now.a.truncate(4);
    now.a.push((4, 2, op(104)));
    step(&now);
    lane.log(A).applied(4);
    lane.purge(&lane.log(A), position(1, 1)).await?;
    now.a.drain(..2);
    now.purged_a = Some(position(1, 1));
    step(&now);
    append(lane, A, vec![entry(5, 2, 105)]).await?;
    now.a.push((5, 2, op(105)));
    step(&now);
    Ok(())
}

/// What a lane holds.
fn holds(lane: &Lane) -> Acknowledged {
    let log = lane.log(A);
    let (purged_a, vote_a) = {
        let index = log.index();
        (index.purged, index.vote)
    };
    Acknowledged { a: content(lane, A), b: content(lane, B), purged_a, vote_a }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_at_any_operation_loses_nothing_acknowledged() {
    let dir = Path::new("/lane");
    // What the whole life leads through, without a cut.
    let whole = Mutex::default();
    let sim = SimVfs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
    live(&open(&vfs, dir, LaneKind::Segment).unwrap(), &whole).await.unwrap();
    let (states, operations) = (whole.into_inner(), sim.ops());
    assert!(operations > 30, "{operations}");
    for after in 0..operations {
        for cut in [
            PowerCut::Lost,
            PowerCut::Kept,
            PowerCut::Torn { seed: after, block_bytes: 512 },
            PowerCut::Torn { seed: after + 10_000, block_bytes: 4096 },
        ] {
            let sim = SimVfs::new();
            sim.power_off_after(after);
            let steps = Mutex::default();
            let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
            if let Ok(lane) = open(&vfs, dir, LaneKind::Segment) {
                live(&lane, &steps).await.ok();
            }
            let acknowledged = steps.into_inner();
            let vfs: Arc<dyn Vfs> = Arc::new(sim.crash(cut));
            let lane = open(&vfs, dir, LaneKind::Segment)
                .unwrap_or_else(|error| panic!("after {after} operations, {cut:?}: {error:?}"));
            let found = holds(&lane);
            // Either what was acknowledged last, or a state on the way to the next: never less, never other.
            let done = acknowledged.len();
            let last = acknowledged.last().cloned().unwrap_or_default();
            let next = states.get(done).cloned().unwrap_or_else(|| last.clone());
            let between = |found: &[(u64, u64, PartitionOp)], last: &[_], next: &[_]| {
                found == last
                    || found == next
                    // Part of a batch that was not acknowledged, or its withdrawal alone.
                    || last.starts_with(found) && next.starts_with(found)
                    || found.starts_with(last) && next.starts_with(found)
            };
            assert!(
                between(&found.a, &last.a, &next.a)
                    && between(&found.b, &last.b, &next.b)
                    && (found.vote_a == last.vote_a || found.vote_a == next.vote_a)
                    && (found.purged_a == last.purged_a || found.purged_a == next.purged_a),
                "after {after} operations, {cut:?}:\nfound {found:?}\nlast  {last:?}\nnext  {next:?}"
            );
        }
    }
}

/// The same with the real files of a back-end, cut at every byte of what was written last.
async fn cut_at_every_byte(kind: LaneKind, tail_of: impl Fn(&Path) -> std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs);
    let from = dir.path().join("lane");
    let lane = open(&vfs, &from, kind).unwrap();
    lane.vote(&lane.log(A), vote(3)).await.unwrap();
    append(&lane, A, (0..3).map(|index| entry(index, 3, index)).collect()).await.unwrap();
    let tail = tail_of(&from);
    let kept = used(&tail);
    append(&lane, B, vec![entry(0, 1, 7)]).await.unwrap();
    append(&lane, A, vec![entry(3, 3, 3), entry(4, 3, 4)]).await.unwrap();
    let whole = used(&tail);
    // As a kill would leave it: without the notes of an orderly end.
    let image = dir.path().join("image");
    copy(&from, &image);
    drop(lane);
    assert!(whole > kept);
    for cut in kept..=whole {
        let to = dir.path().join(format!("cut-{cut}"));
        copy(&image, &to);
        cut_file(&tail_of(&to), cut);
        let lane = open(&vfs, &to, kind).unwrap_or_else(|error| panic!("cut at byte {cut}: {error:?}"));
        assert_eq!(lane.log(A).vote(), Some(vote(3)));
        let (a, b) = (content(&lane, A), content(&lane, B));
        let first: Vec<_> = (0..3).map(|index| (index, 3, op(index))).collect();
        assert!(a.starts_with(&first), "cut at byte {cut}: {a:?}");
        assert!(a.len() == 3 || a[3..] == [(3, 3, op(3)), (4, 3, op(4))], "a batch is whole: {a:?}");
        assert!(b.is_empty() || b == [(0, 1, op(7))], "{b:?}");
        assert!(b.len() == 1 || a.len() == 3, "what was written first is cut last");
        assert!(cut > kept || a.len() == 3 && b.is_empty(), "cut at byte {cut}: nothing of it is left");
        assert!(cut < whole || a.len() == 5, "cut at byte {cut}: nothing is missing");
        // The lane goes on from there.
        let next = a.len() as u64;
        append(&lane, A, vec![entry(next, 4, 9)]).await.unwrap();
        drop(lane);
        let lane = open(&vfs, &to, kind).unwrap();
        assert_eq!(content(&lane, A).last(), Some(&(next, 4, op(9))), "cut at byte {cut}");
    }
}

/// Length up to the last byte that is not zero, and the padding of its batch: the rest is reserved.
fn used(path: &Path) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| (at as u64 + 1).next_multiple_of(8))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_name() != "LOCK" {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

fn cut_file(path: &Path, len: u64) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes.truncate(usize::try_from(len).unwrap());
    std::fs::write(path, bytes).unwrap();
}

fn newest(dir: &Path, extension: &str) -> std::path::PathBuf {
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files.pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_cut_at_every_byte_keep_what_came_before() {
    cut_at_every_byte(LaneKind::Segment, |dir| newest(dir, "seg")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rocksdb_cut_at_every_byte_keeps_what_came_before() {
    cut_at_every_byte(LaneKind::RocksDb, |dir| newest(dir, "log")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_sync_nothing_is_acknowledged_and_the_process_is_told() {
    let sim = SimVfs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
    let fatal = Fatal::default();
    let clock = Arc::new(SystemClock::new());
    let lane =
        Lane::open(&options(Path::new("/lane"), LaneKind::Segment), Arc::clone(&vfs), clock, fatal.clone())
            .unwrap();
    append(&lane, A, vec![entry(0, 1, 0)]).await.unwrap();
    sim.inject(Fault::nth(OpKind::SyncData, 0, Failure::Io));
    let failed = append(&lane, A, vec![entry(1, 1, 1)]).await;
    assert!(matches!(failed, Err(LaneError::Poisoned(_))), "{failed:?}");
    assert!(fatal.raised().await.contains("syncing the log"));
    let other = append(&lane, B, vec![entry(0, 1, 1)]).await;
    assert!(matches!(other, Err(LaneError::Poisoned(_))), "{other:?}");
    let vote = lane.vote(&lane.log(B), vote(1)).await;
    assert!(matches!(vote, Err(LaneError::Poisoned(_))), "{vote:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_delays_and_loses_nothing() {
    let sim = SimVfs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
    let lane = open(&vfs, Path::new("/lane"), LaneKind::Segment).unwrap();
    sim.inject(Fault::nth(OpKind::Write, 0, Failure::Full));
    append(&lane, A, vec![entry(0, 1, 0)]).await.unwrap();
    assert_eq!(content(&lane, A), [(0, 1, op(0))]);
    drop(lane);
    let lane = open(&vfs, Path::new("/lane"), LaneKind::Segment).unwrap();
    assert_eq!(content(&lane, A), [(0, 1, op(0))]);
}

#[test]
fn memory_keeps_what_is_pending_or_not_applied() {
    let mut index = GroupIndex::default();
    for n in 0..4 {
        index.append(entry(n, 1, n), 100 + n).unwrap();
    }
    let all = index.cached_bytes();
    assert_eq!(index.evict(4, usize::MAX), 0, "nothing is durable yet");
    let location = Location { segment: 1, offset: 9, len: 5 };
    (0..3).for_each(|n| index.durable(n, 100 + n, location));
    assert_eq!(index.evict(1, usize::MAX) * 4, all, "one of four is applied");
    assert!(matches!(index.get(0), Some(index::Found::Stored(..))));
    assert!(matches!(index.get(1), Some(index::Found::Cached(..))));
    // A withdrawn entry's late acknowledgement does not count for the one in its place.
    index.truncate(Some(2));
    index.append(entry(3, 2, 33), 200).unwrap();
    index.durable(3, 103, location);
    assert_eq!(index.evict(4, usize::MAX) * 4, all * 2, "entry 3 is pending");
    index.durable(3, 200, location);
    index.evict(4, usize::MAX);
    assert_eq!(index.cached_bytes(), 0);
    assert_eq!(index.append(entry(9, 2, 9), 300), Err(index::Gap { wanted: 4, found: 9 }));
    assert_eq!(index.leaders(0, 3), [position(2, 1), position(3, 2)]);
    index.purge(position(2, 1));
    assert_eq!((index.first_index(), index.last()), (Some(3), Some(position(3, 2))));
    assert_eq!(index.leaders(3, 3), [position(3, 2)]);
    index.purge(position(20, 2));
    assert_eq!((index.first_index(), index.last(), index.next_index()), (None, Some(position(20, 2)), 21));
}

#[tokio::test]
async fn a_replica_never_finds_the_log_of_one_before_it_and_one_that_is_gone_finds_none() {
    for kind in [LaneKind::Segment, LaneKind::RocksDb] {
        let dir = tempfile::tempdir().unwrap();
        let vfs: Arc<dyn Vfs> = Arc::new(RealVfs);
        let lane = open(&vfs, dir.path(), kind).unwrap();
        let log = lane.log(A);
        assert!(lane.claim(&log, ReplicaId(7)).await.unwrap());
        lane.vote(&log, vote(3)).await.unwrap();
        append(&lane, A, (0..20).map(|n| entry(n, 3, n)).collect()).await.unwrap();
        // Again is nothing, also after a restart.
        assert!(lane.claim(&log, ReplicaId(7)).await.unwrap());
        lane.close();
        let lane = open(&vfs, dir.path(), kind).unwrap();
        let log = lane.log(A);
        assert!(lane.claim(&log, ReplicaId(7)).await.unwrap());
        assert_eq!((content(&lane, A).len(), log.vote()), (20, Some(vote(3))), "{kind}");
        lane.retire(&log, ReplicaId(7)).await.unwrap();
        assert_eq!((log.vote(), log.last_index()), (None, None));
        assert_eq!(log.index().oldest_entry_segment(), None);
        lane.close();
        let lane = open(&vfs, dir.path(), kind).unwrap();
        let log = lane.log(A);
        assert_eq!((log.vote(), log.last_index()), (None, None), "{kind}");
        assert!(!lane.claim(&log, ReplicaId(7)).await.unwrap(), "{kind}: 7 is gone for good");
        // The next begins at the first entry.
        assert!(lane.claim(&log, ReplicaId(9)).await.unwrap());
        append(&lane, A, (0..3).map(|n| entry(n, 1, 100 + n)).collect()).await.unwrap();
        // What says so outlives the segment that it was said in.
        for n in 0..200 {
            append(&lane, B, vec![entry(n, 1, n)]).await.unwrap();
        }
        lane.purge(&log, position(2, 1)).await.unwrap();
        lane.purge(&lane.log(B), position(199, 1)).await.unwrap();
        lane.close();
        let lane = open(&vfs, dir.path(), kind).unwrap();
        assert_eq!(lane.log(A).index().last(), Some(position(2, 1)), "{kind}");
        assert!(!lane.claim(&lane.log(A), ReplicaId(8)).await.unwrap(), "{kind}");
        assert!(lane.claim(&lane.log(A), ReplicaId(9)).await.unwrap(), "{kind}");
        assert_eq!(lane.log(A).index().last(), Some(position(2, 1)), "{kind}");
        lane.close();
    }
}
