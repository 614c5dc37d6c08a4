//! A node alone: it founds its cluster, takes writes, and after a restart goes on where its machines had got to.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use catalog::{FieldSpec, MemoryStore};
use disk::{RealVfs, Vfs as _};
use model::{BucketId, Digest, FieldType, ReplicaId, SystemClock, Timestamp};
use parking_lot::Mutex;

use super::*;
use crate::error::OpenError;
use crate::machine::{Durable, Machine, MachineError, Machines, Sum};
use crate::options::{LaneKind, Options, Timing};

/// A machine that remembers what was applied, and makes it durable when told to.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) applied: Mutex<Vec<(LogPosition, PartitionOp)>>,
    state: Mutex<Durable>,
    durable: Mutex<Durable>,
    /// Until files of another are installed.
    pub(crate) is_damaged: AtomicBool,
}

impl Recorder {
    /// Makes everything applied durable, and says up to where.
    pub(crate) fn flush(&self) -> LogPosition {
        let state = self.state.lock().clone();
        *self.durable.lock() = state.clone();
        state.position.unwrap()
    }

    /// Everything durable, as the entries that led to it.
    fn write(&self, dir: &Path) -> io::Result<Durable> {
        let durable = self.durable.lock().clone();
        let upto = durable.position.map_or(0, |position| position.index + 1);
        RealVfs.create_dir_all(&dir.join("inner"))?;
        let applied = self.applied.lock();
        let written = applied.iter().filter(|(position, _)| position.index < upto);
        for (number, (position, op)) in written.enumerate() {
            let name = format!("{}-{}-{}-{number:06}", position.index, position.term, position.leader);
            let file = RealVfs.create(&dir.join("inner").join(name))?;
            file.write_all_at(&proto::encode_op(op, Timestamp(0)), 0)?;
        }
        let last = durable.position.map_or(String::new(), |p| format!("{}-{}-{}", p.index, p.term, p.leader));
        RealVfs.create(&dir.join("last"))?.write_all_at(last.as_bytes(), 0)?;
        RealVfs.create(&dir.join("membership"))?.write_all_at(&durable.membership, 0)?;
        Ok(durable)
    }

    fn note(&self, position: LogPosition) {
        let mut state = self.state.lock();
        assert!(state.position.is_none_or(|last| last.index + 1 == position.index), "{state:?} {position:?}");
        state.position = Some(position);
    }

    /// What is left of it after a restart: what was durable.
    pub(crate) fn restarted(&self) -> Self {
        let durable = self.durable.lock().clone();
        Self { state: Mutex::new(durable.clone()), durable: Mutex::new(durable), ..Self::default() }
    }
}

impl Machine for Recorder {
    fn durable(&self) -> io::Result<Durable> {
        Ok(self.durable.lock().clone())
    }

    fn apply(&self, position: LogPosition, op: PartitionOp) -> Result<(), MachineError> {
        self.note(position);
        self.applied.lock().push((position, op));
        Ok(())
    }

    fn apply_blank(&self, position: LogPosition) -> Result<(), MachineError> {
        self.note(position);
        Ok(())
    }

    fn apply_membership(&self, position: LogPosition, membership: Vec<u8>) -> Result<(), MachineError> {
        self.note(position);
        self.state.lock().membership = membership;
        Ok(())
    }

    /// As many values as entries of points were applied.
    fn sum(&self) -> Sum {
        let applied = self.applied.lock();
        let values = applied.iter().filter(|(_, op)| *op != PartitionOp::Compare).count() as u64;
        Box::new(move |_| Ok(Some(Digest { sum: values, values })))
    }

    fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
    }

    fn make_durable(&self) -> io::Result<()> {
        self.flush();
        Ok(())
    }

    fn checkpoint(&self) -> io::Result<(PathBuf, Durable)> {
        if self.is_damaged() {
            return Err(io::Error::other("a file is damaged"));
        }
        let dir = self.incoming()?;
        let durable = self.write(&dir)?;
        Ok((dir, durable))
    }

    fn incoming(&self) -> io::Result<PathBuf> {
        // Whoever asked removes it.
        Ok(tempfile::tempdir()?.path().to_owned())
    }

    fn check(&self, checkpoint: &Path) -> io::Result<Option<LogPosition>> {
        Ok(position_of(&String::from_utf8_lossy(&read(&checkpoint.join("last"))?)))
    }

    fn install(&self, checkpoint: &Path) -> io::Result<()> {
        let inner = checkpoint.join("inner");
        let mut names = RealVfs.list(&inner)?;
        names
            .sort_by_key(|name| name.to_string_lossy().rsplit_once('-').map(|(_, number)| number.to_owned()));
        let entries = names.iter().map(|name| {
            let (position, _) = name.to_str().unwrap().rsplit_once('-').unwrap();
            let op = proto::decode_op(read(&inner.join(name))?.into()).unwrap();
            Ok((position_of(position).unwrap(), op))
        });
        *self.applied.lock() = entries.collect::<io::Result<_>>()?;
        let membership = read(&checkpoint.join("membership"))?;
        let durable = Durable { position: self.check(checkpoint)?, membership };
        *self.state.lock() = durable.clone();
        *self.durable.lock() = durable;
        self.is_damaged.store(false, Ordering::Relaxed);
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = RealVfs.open_read(path)?;
    let mut bytes = vec![0; usize::try_from(file.len()?).unwrap()];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn position_of(text: &str) -> Option<LogPosition> {
    let mut numbers = text.split('-').map(|number| number.parse().ok());
    let mut next = || numbers.next().flatten();
    Some(LogPosition { index: next()?, term: next()?, leader: ReplicaId(next()?) })
}

/// The machines of a node: what is durable in them outlives a restart.
#[derive(Debug, Default)]
pub(crate) struct Desk(Mutex<BTreeMap<PartitionId, (ReplicaId, Arc<Recorder>)>>);

impl Desk {
    /// The machine of a partition.
    pub(crate) fn of(&self, partition: u16) -> Arc<Recorder> {
        Arc::clone(&self.0.lock()[&PartitionId(partition)].1)
    }

    /// What was applied to the machine of a partition, which nobody removes meanwhile.
    pub(crate) fn ops(&self, partition: u16) -> Vec<PartitionOp> {
        ops(&self.0.lock()[&PartitionId(partition)].1)
    }

    /// The process ends: what is durable is left, and nobody uses it any more.
    pub(crate) fn restart(&self) {
        for (_, machine) in self.0.lock().values_mut() {
            *machine = Arc::new(machine.restarted());
        }
    }

    /// The partitions that have a machine.
    pub(crate) fn partitions(&self) -> Vec<u16> {
        self.0.lock().keys().map(|partition| partition.0).collect()
    }
}

impl Machines for Desk {
    fn open(
        &self,
        partition: PartitionId,
        replica: ReplicaId,
    ) -> Result<Arc<dyn Machine>, Box<dyn std::error::Error + Send + Sync>> {
        let mut machines = self.0.lock();
        let machine = match machines.get(&partition) {
            Some((of, old)) => {
                assert_eq!(*of, replica, "what another replica had is removed first");
                old.restarted()
            }
            None => Recorder::default(),
        };
        let machine = Arc::new(machine);
        machines.insert(partition, (replica, Arc::clone(&machine)));
        Ok(machine)
    }

    fn remove(&self, partition: PartitionId, below: ReplicaId) -> io::Result<()> {
        let mut machines = self.0.lock();
        match machines.get(&partition) {
            Some((of, machine)) if *of < below && Arc::strong_count(machine) > 1 => {
                Err(io::Error::new(io::ErrorKind::ResourceBusy, "the machine is still in use"))
            }
            Some((of, _)) if *of < below => {
                machines.remove(&partition);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The machines of a node and its catalog, which outlive a restart as far as they are durable.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) machines: Arc<Desk>,
    pub(crate) options: Options,
    catalog: Mutex<Option<Arc<Catalog>>>,
}

impl Bench {
    pub(crate) fn new(lane: LaneKind) -> Arc<Self> {
        Self::with_segments(lane, 16 << 10)
    }

    pub(crate) fn with_segments(lane: LaneKind, segment_bytes: u64) -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(dir.path(), lane);
        options.limits.segment_bytes = segment_bytes;
        Arc::new(Self { dir, machines: Arc::default(), options, catalog: Mutex::default() })
    }

    pub(crate) async fn open(self: &Arc<Self>, catalog: Arc<Catalog>) -> Result<Arc<Cluster>, OpenError> {
        let (clock, machines) = (Arc::new(SystemClock::new()), Arc::clone(&self.machines));
        Cluster::open(self.options.clone(), Arc::new(RealVfs), clock, machines, catalog, Fatal::default())
            .await
    }

    pub(crate) fn machine(&self, partition: u16) -> Arc<Recorder> {
        self.machines.of(partition)
    }
}

pub(crate) fn options(dir: &Path, lane: LaneKind) -> Options {
    Options {
        data_dir: dir.to_owned(),
        partitions: 4,
        peers: None,
        zone: String::new(),
        lane,
        timing: Timing::NEAR,
        limits: Limits { cache_bytes_max: 0, ..Limits::PRODUCTION },
        progress: crate::Progress::default(),
        tracer: trace::Tracer::off(),
    }
}

pub(crate) fn empty_catalog() -> Arc<Catalog> {
    Arc::new(Catalog::open(Box::new(MemoryStore::default())).unwrap())
}

fn local(cluster: &Cluster, partition: u16) -> Arc<Group> {
    cluster.replicas.get(GroupId::Data(PartitionId(partition))).unwrap()
}

fn op(n: u64) -> PartitionOp {
    PartitionOp::DropShards { bucket: BucketId::new(n + 1).unwrap(), ending_by: Timestamp(7) }
}

fn ops(machine: &Recorder) -> Vec<PartitionOp> {
    machine.applied.lock().iter().map(|(_, op)| op.clone()).collect()
}

async fn a_restart_reapplies_what_was_not_durable(lane: LaneKind) {
    let bench = Bench::new(lane);
    let cluster = bench.open(empty_catalog()).await.unwrap();
    assert_eq!(cluster.partitions(), 4);
    assert_eq!(cluster.ready(), Ok(()));
    for n in 0..20 {
        cluster.propose(PartitionId(1), op(n)).await.unwrap();
    }
    assert_eq!(ops(&bench.machine(1)), (0..20).map(op).collect::<Vec<_>>());
    bench.machine(1).flush();
    for n in 20..30 {
        cluster.propose(PartitionId(1), op(n)).await.unwrap();
    }
    let identity = *cluster.identity();
    cluster.shutdown().await;

    // The catalog was lost as well: its log brings it back.
    let cluster = bench.open(empty_catalog()).await.unwrap();
    assert_eq!(cluster.identity(), &identity);
    assert_eq!(cluster.catalog().read().partitions(), Some(4));
    assert_eq!(ops(&bench.machine(1)), (20..30).map(op).collect::<Vec<_>>());
    assert_eq!(cluster.ready(), Ok(()));
    cluster.propose(PartitionId(1), op(30)).await.unwrap();
    assert_eq!(ops(&bench.machine(1)), (20..31).map(op).collect::<Vec<_>>());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_reapplies_what_was_not_durable_from_segments() {
    a_restart_reapplies_what_was_not_durable(LaneKind::Segment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_reapplies_what_was_not_durable_from_rocksdb() {
    a_restart_reapplies_what_was_not_durable(LaneKind::RocksDb).await;
}

/// Waits until a condition holds, woken by the passing of openraft's own work.
async fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = timeout(Duration::from_secs(20), async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_flushed_is_purged_and_the_log_shrinks() {
    let bench = Bench::new(LaneKind::Segment);
    let mut cluster = bench.open(kept_catalog(&bench)).await.unwrap();
    for round in 0..3 {
        for n in 0..400 {
            cluster.propose(PartitionId(n % 4), op(u64::from(n))).await.unwrap();
        }
        let before = cluster.lane.as_ref().unwrap().bytes();
        assert!(before > 32 << 10, "{before}");
        cluster.meta().unwrap().compact_to_applied();
        for partition in 0..4 {
            let flushed = bench.machine(partition).flush();
            cluster.flushed(PartitionId(partition), flushed);
            let purged = || local(&cluster, partition).status().purged == Some(flushed.index);
            wait_for("the purge", purged).await;
        }
        wait_for("the log to shrink", || cluster.lane.as_ref().unwrap().bytes() <= 48 << 10).await;
        // Votes and purge positions outlive the segments that they were first written to.
        cluster.shutdown().await;
        drop(cluster);
        cluster = bench.open(kept_catalog(&bench)).await.unwrap();
        let lost: usize = (0..4).map(|partition| ops(&bench.machine(partition)).len()).sum();
        assert_eq!(lost, 0, "round {round}: everything was flushed, nothing comes again");
    }
    cluster.shutdown().await;
}

/// The catalog cannot be rebuilt from a purged log, so the bench keeps one over restarts.
fn kept_catalog(bench: &Bench) -> Arc<Catalog> {
    Arc::clone(bench.catalog.lock().get_or_insert_with(empty_catalog))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_group_that_has_died_stops() {
    let cluster = Bench::new(LaneKind::Segment).open(empty_catalog()).await.unwrap();
    assert!(cluster.replicas.all().iter().all(|group| !group.has_failed()));
    let dead = local(&cluster, 2);
    // As after a panic: nobody has asked the group to end.
    dead.raft().shutdown().await.unwrap();
    let reason = timeout(Duration::from_secs(20), cluster.fatal().raised()).await;
    assert_eq!(&*reason.expect("it is seen"), "the task of group data-2 has ended");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_its_log_does_not_begin_anew() {
    let bench = Bench::new(LaneKind::Segment);
    bench.open(empty_catalog()).await.unwrap().shutdown().await;
    RealVfs.remove_dir_all(&bench.dir.path().join("raft")).unwrap();
    let error = bench.open(empty_catalog()).await.unwrap_err();
    assert!(matches!(error, OpenError::LogLost(GroupId::Meta)), "{error}");
}

/// Founds a cluster with one operation, all of it durable in machine and catalog, and stops it.
async fn founded(lane: LaneKind) -> Arc<Bench> {
    let bench = Bench::new(lane);
    let cluster = bench.open(kept_catalog(&bench)).await.unwrap();
    cluster.propose(PartitionId(1), op(1)).await.unwrap();
    bench.machine(1).flush();
    cluster.shutdown().await;
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_catalog_and_machines_survived_misses_its_log() {
    for lane in [LaneKind::Segment, LaneKind::RocksDb] {
        let bench = founded(lane).await;
        RealVfs.remove_dir_all(&bench.dir.path().join("raft")).unwrap();
        let error = bench.open(kept_catalog(&bench)).await.unwrap_err();
        assert!(matches!(error, OpenError::LogLost(GroupId::Meta)), "{error}");
        assert!(!RealVfs.exists(&bench.dir.path().join("raft")).unwrap(), "nothing was begun");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_the_other_back_end_is_not_passed_over() {
    for (lane, other) in [(LaneKind::Segment, LaneKind::RocksDb), (LaneKind::RocksDb, LaneKind::Segment)] {
        let bench = founded(lane).await;
        let changed = Bench {
            dir: tempfile::tempdir().unwrap(),
            machines: Arc::default(),
            options: Options { lane: other, ..bench.options.clone() },
            catalog: Mutex::default(),
        };
        let error = Arc::new(changed).open(kept_catalog(&bench)).await.unwrap_err();
        let is_told = matches!(&error, OpenError::OtherLane { found, wanted, .. } if (*found, *wanted) == (lane, other));
        assert!(is_told, "{error}");
        bench.open(kept_catalog(&bench)).await.unwrap().shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_without_an_identity_are_not_given_a_new_one() {
    let bench = founded(LaneKind::Segment).await;
    RealVfs.remove_file(&bench.dir.path().join("node.json")).unwrap();
    let error = bench.open(kept_catalog(&bench)).await.unwrap_err();
    assert!(matches!(error, OpenError::IdentityLost(_)), "{error}");
    assert!(!RealVfs.exists(&bench.dir.path().join("node.json")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_ends_before_the_data_is_refused() {
    let bench = founded(LaneKind::Segment).await;
    let ahead = bench.machine(1);
    let reached = ahead.flush();
    let beyond = LogPosition { index: reached.index + 5, ..reached };
    ahead.durable.lock().position = Some(beyond);
    let error = bench.open(kept_catalog(&bench)).await.unwrap_err();
    let is_told = matches!(&error, OpenError::LogShort { group, last, durable }
        if *group == GroupId::Data(PartitionId(1)) && *last == Some(reached.index) && *durable == beyond.index);
    assert!(is_told, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_another_group_are_refused() {
    let bench = founded(LaneKind::Segment).await;
    let of_another = bench.machine(2).flush();
    let machine = bench.machine(1);
    let reached = machine.flush();
    assert_ne!(reached, of_another);
    machine.durable.lock().position = Some(LogPosition { index: reached.index, ..of_another });
    let error = bench.open(kept_catalog(&bench)).await.unwrap_err();
    let is_told = matches!(&error, OpenError::ForeignData { group, index }
        if *group == GroupId::Data(PartitionId(1)) && *index == reached.index);
    assert!(is_told, "{error}");
}

/// One partition busy, the others idle since their first entry: all that is old is named at once, not one a second.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_names_all_that_hold_it_up() {
    for lane in [LaneKind::Segment, LaneKind::RocksDb] {
        let mut bench = Arc::into_inner(Bench::new(lane)).unwrap();
        bench.options.limits.log_bytes_soft = 48 << 10;
        let bench = Arc::new(bench);
        let cluster = bench.open(kept_catalog(&bench)).await.unwrap();
        for partition in 0..4 {
            cluster.propose(PartitionId(partition), op(1)).await.unwrap();
        }
        assert_eq!(cluster.log_pressure(false), None);
        let mut n = 0;
        while cluster.log_metrics().append_bytes.load(Ordering::Relaxed) < 200 << 10 {
            let ops = (0..50).map(|i| (proto::encode_op(&op(n + i), Timestamp(0)), op(n + i))).collect();
            cluster.propose_encoded(PartitionId(0), ops).await.unwrap();
            n += 50;
        }
        let pressure = cluster.log_pressure(false).unwrap();
        match lane {
            LaneKind::Segment => {
                let mut named = pressure.partitions;
                named.sort_unstable();
                assert_eq!(named, (0..4).map(PartitionId).collect::<Vec<_>>());
            }
            // Without segments only what is large counts.
            LaneKind::RocksDb => assert_eq!(pressure.partitions, [PartitionId(0)]),
        }
        for partition in 0..4 {
            cluster.flushed(PartitionId(partition), bench.machine(partition).flush());
        }
        wait_for("the log to shrink", || cluster.log_pressure(false).is_none()).await;
        cluster.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_partitions_are_refused() {
    let bench = Bench::new(LaneKind::Segment);
    let wrong = Bench {
        dir: tempfile::tempdir().unwrap(),
        machines: Arc::default(),
        options: Options { partitions: 12, ..bench.options.clone() },
        catalog: Mutex::default(),
    };
    let error = Arc::new(wrong).open(empty_catalog()).await.unwrap_err();
    assert!(matches!(error, OpenError::Partitions(12)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn proposals_side_by_side_are_all_applied_once() {
    let bench = Bench::new(LaneKind::Segment);
    let cluster = bench.open(empty_catalog()).await.unwrap();
    let all = (0..500).map(|n| cluster.propose(PartitionId(2), op(n)));
    assert!(join_all(all).await.into_iter().all(|result| result.is_ok()));
    let mut applied: Vec<_> = ops(&bench.machine(2)).iter().map(|op| format!("{op:?}")).collect();
    applied.sort();
    let mut wanted: Vec<_> = (0..500).map(op).map(|op| format!("{op:?}")).collect();
    wanted.sort();
    assert_eq!(applied, wanted);
    let metrics = cluster.log_metrics();
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    assert!(count(&metrics.syncs) < count(&metrics.appends), "appends share syncs: {metrics:?}");
    assert_eq!(local(&cluster, 2).status().in_flight_bytes, 0);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_answers_through_the_log() {
    let bench = Bench::new(LaneKind::Segment);
    let cluster = bench.open(empty_catalog()).await.unwrap();
    let fields =
        vec![FieldSpec { measurement: "m".to_owned(), field: "f".to_owned(), field_type: FieldType::Float }];
    let command = Command::RegisterFields { bucket: BucketId::new(99).unwrap(), fields };
    let answer = cluster.propose_catalog(command).await.unwrap();
    assert_eq!(answer, Response::Fields(vec![catalog::FieldOutcome::NoBucket]));
    cluster.read_barrier_meta().await.unwrap();
    cluster.read_barrier_all().await.unwrap();
    let fields = vec![FieldSpec {
        measurement: "m".repeat(20_000),
        field: String::new(),
        field_type: FieldType::Float,
    }];
    let command = Command::RegisterFields { bucket: BucketId::new(99).unwrap(), fields };
    let large = cluster.propose_catalog(command).await;
    assert!(matches!(large, Err(ProposeError::TooLarge { .. })), "more than a segment takes: {large:?}");
    let missing = cluster.propose(PartitionId(4), op(1)).await;
    assert_eq!(missing, Err(ProposeError::NoSuchGroup(GroupId::Data(PartitionId(4)))));
    cluster.shutdown().await;
    let after = cluster.propose(PartitionId(0), op(1)).await.unwrap_err();
    assert!(matches!(after, ProposeError::Unavailable { .. }), "{after}");
}
