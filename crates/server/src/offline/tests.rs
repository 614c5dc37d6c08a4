use std::fs;

use catalog::{Bucket, BucketKind, Command, FieldSpec, Org, Response};
use cluster::{Cluster, Fatal, LaneKind, Limits, Options, Timing};
use model::{
    Batch, BucketId, Clock, Column, ColumnType, FieldDef, FieldType, FieldValue, OrgId, PartitionId,
    PartitionOp, SeriesKey, SeriesRows, SystemClock, Table, Timestamp,
};
use storage::{Commons, StepJobs};

use super::*;
use crate::partitions::{Ground, Partitions};

const PARTITIONS: u16 = 2;
const KNOWN: u64 = 11;

fn bucket(n: u64) -> BucketId {
    BucketId::new(n).unwrap()
}

/// A node without its front: catalog, groups, engines.
struct Node {
    cluster: Arc<Cluster>,
    partitions: Arc<Partitions>,
}

impl Node {
    async fn open(data_dir: &Path) -> Self {
        let vfs: Arc<dyn Vfs> = Arc::new(RealVfs);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        fs::create_dir_all(data_dir).unwrap();
        let store = RocksStore::open(&data_dir.join("catalog")).unwrap();
        let catalog = Arc::new(Catalog::open(Box::new(store)).unwrap());
        let dir = data_dir.join("partitions");
        let partitions = Partitions::new(Arc::clone(&vfs), dir.clone());
        let ground = Ground {
            dir,
            vfs: Arc::clone(&vfs),
            clock: Arc::clone(&clock),
            jobs: Arc::new(StepJobs::new()),
            commons: Commons::unlimited(),
            options: storage::Options::STANDARD,
        };
        let options = Options {
            data_dir: data_dir.to_owned(),
            partitions: PARTITIONS,
            peers: None,
            zone: String::new(),
            lane: LaneKind::Segment,
            timing: Timing::NEAR,
            limits: Limits { cache_bytes_max: 0, ..Limits::PRODUCTION },
            progress: cluster::Progress::default(),
            tracer: trace::Tracer::off(),
        };
        let machines = partitions.machines(ground);
        let cluster = Cluster::open(options, vfs, clock, machines, catalog, Fatal::default()).await.unwrap();
        partitions.tell(&cluster);
        Self { cluster, partitions }
    }

    async fn command(&self, command: Command) {
        let response = self.cluster.propose_catalog(command).await.unwrap();
        assert!(!matches!(response, Response::Refused(_)), "{response:?}");
    }

    /// A bucket, and the type of a field in it.
    async fn set_up(&self) {
        let (at, org) = (Timestamp(1), OrgId::new(10).unwrap());
        let text = |text: &str| text.to_owned();
        let made = Org { id: org, name: text("o"), description: text(""), created_at: at, updated_at: at };
        self.command(Command::CreateOrg { org: made, buckets: Vec::new(), owner: None }).await;
        let (kind, retention_ns, shard_duration_ns) = (BucketKind::User, None, 1_000_000);
        let (name, description) = (text("b"), text(""));
        let id = bucket(KNOWN);
        let (created_at, updated_at) = (at, at);
        let bucket = Bucket {
            id,
            org,
            name,
            description,
            kind,
            retention_ns,
            shard_duration_ns,
            created_at,
            updated_at,
        };
        self.command(Command::CreateBucket { bucket }).await;
        let field = FieldSpec { measurement: text("m"), field: text("v"), field_type: FieldType::Integer };
        self.command(Command::RegisterFields { bucket: id, fields: vec![field] }).await;
    }

    /// A point in each partition, past the router and its checks.
    async fn write(&self, to: u64, field: &str, time: i64) {
        for partition in 0..PARTITIONS {
            let key = SeriesKey::new("m", &[("p", partition.to_string().as_str())]).unwrap();
            let mut column = Column::empty(ColumnType::Field(FieldType::Integer));
            column.push(&FieldValue::Integer(time));
            let table = Table {
                measurement: "m".into(),
                fields: vec![FieldDef { name: field.into(), field_type: FieldType::Integer }],
                series: vec![SeriesRows { hash: key.hash(bucket(to)), key, rows: 1 }],
                times: vec![time],
                columns: vec![column],
            };
            let batch = Batch { bucket: bucket(to), shard_duration_ns: 1_000_000, tables: vec![table] };
            self.cluster.propose(PartitionId(partition), PartitionOp::Write(batch)).await.unwrap();
        }
    }

    fn flush(&self) {
        self.partitions.engines().into_iter().for_each(|(_, engine)| engine.flush_now().unwrap());
    }

    /// Waits until the logs of the partitions have let go of what was flushed.
    async fn purged(&self) {
        let is_purged = || {
            let groups = self.cluster.status();
            let data = groups.iter().filter(|group| group.group != GroupId::Meta);
            data.clone().all(|group| group.purged.is_some() && group.purged == group.applied)
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), async {
            while !is_purged() {
                tokio::task::yield_now().await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{:?}", self.cluster.status()));
    }

    async fn stop(self) {
        self.cluster.shutdown().await;
        self.partitions.close();
    }
}

fn looked(data_dir: &Path) -> (Verified, Vec<String>) {
    let mut findings = Vec::new();
    let verified = verify(data_dir, &mut |finding| findings.push(finding.to_owned())).unwrap();
    (verified, findings)
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

/// Puts a part of one directory in the place of another's.
fn replace(part: &str, from: &Path, to: &Path) {
    let to = to.join(part);
    if to.is_dir() {
        fs::remove_dir_all(&to).unwrap();
    }
    copy(&from.join(part), &to);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_do_not_belong_together_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let (early, data, other) = (dir.path().join("early"), dir.path().join("data"), dir.path().join("other"));
    let node = Node::open(&data).await;
    node.set_up().await;
    node.write(KNOWN, "v", 1).await;
    node.flush();
    node.write(KNOWN, "v", 2).await;
    node.stop().await;
    assert_eq!(
        looked(&data).1,
        Vec::<String>::new(),
        "as a node leaves it, with entries that are in no file yet"
    );
    copy(&data, &early);

    let node = Node::open(&data).await;
    for time in 3..10 {
        node.write(KNOWN, "v", time).await;
    }
    node.flush();
    node.purged().await;
    node.write(KNOWN, "v", 11).await;
    node.stop().await;
    let (sound, findings) = looked(&data);
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!((sound.replicas, sound.leftovers), (u64::from(PARTITIONS), 0), "{sound:?}");
    Node::open(&other).await.stop().await;

    let case = |name: &str| {
        let case = dir.path().join(name);
        copy(&data, &case);
        case
    };
    let expect = |case: &Path, texts: &[&str]| {
        let (_, findings) = looked(case);
        assert_eq!(findings.len(), texts.len(), "{findings:?}");
        for (finding, text) in findings.iter().zip(texts) {
            assert!(
                finding.contains(text) && finding.contains(case.to_str().unwrap()),
                "{text}: {findings:?}"
            );
        }
    };
    let a = case("a");
    replace("partitions/0", &early, &a);
    expect(&a, &["entries between are missing"]);
    let b = case("b");
    replace("raft", &early, &b);
    expect(&b, &["and the log to"; 3]);
    let c = case("c");
    replace("catalog", &other, &c);
    expect(&c, &["of two clusters"]);
    let d = case("d");
    copy(&other.join("node.json"), &d.join("node.json"));
    expect(&d, &["of two clusters"]);
    let k = case("k");
    fs::write(k.join("epochs"), "{}").unwrap();
    expect(&k, &["is not what was written"]);
    let e = case("e");
    fs::remove_dir_all(e.join("partitions/1")).unwrap();
    expect(&e, &["partition 1 is missing"]);
    let f = case("f");
    copy(&f.join("partitions/1/3"), &f.join("partitions/6/8"));
    let (_, findings) = looked(&f);
    assert!(
        findings.iter().any(|finding| finding.contains("the catalog has no partition 6")),
        "{findings:?}"
    );
    let g = case("g");
    copy(&g.join("partitions/1/3"), &g.join("partitions/1/9"));
    expect(&g, &["no directory of a replica"]);
    // What a checkpoint has replaced, and copies on their way, are removed at the next start.
    let r = case("r");
    copy(&r.join("partitions/1/3"), &r.join("partitions/1/3.2"));
    fs::remove_dir_all(r.join("partitions/1/3")).unwrap();
    copy(&early.join("partitions/1/3"), &r.join("partitions/1/3.1"));
    copy(&early.join("partitions/1/3"), &r.join("partitions/1/3.incoming-0"));
    let (seen, findings) = looked(&r);
    assert_eq!(findings, Vec::<String>::new());
    assert_eq!((seen.replicas, seen.leftovers), (u64::from(PARTITIONS), 2));
    let h = case("h");
    fs::remove_dir_all(h.join("raft")).unwrap();
    expect(&h, &["there is no log"]);
    let i = case("i");
    replace("raft", &other, &i);
    assert!(!looked(&i).1.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn types_and_buckets_of_files_are_those_of_the_catalog() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let node = Node::open(&data).await;
    node.set_up().await;
    node.write(KNOWN, "v", 1).await;
    node.write(99, "v", 1).await;
    node.flush();
    node.stop().await;
    let (verified, findings) = looked(&data);
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(
        verified.leftovers,
        u64::from(PARTITIONS),
        "a bucket that the catalog does not have, in each partition"
    );

    let node = Node::open(&data).await;
    node.write(KNOWN, "unknown", 1).await;
    node.flush();
    node.stop().await;
    let (_, findings) = looked(&data);
    assert_eq!(findings.len(), usize::from(PARTITIONS), "{findings:?}");
    assert!(findings[0].contains("field \"unknown\" of \"m\" is integer"), "{findings:?}");

    // A delete on its way may have left nothing of it, and set its type free.
    let node = Node::open(&data).await;
    let (range, predicate) = (model::TimeRange::ALL, model::Predicate::TRUE);
    for partition in (0..PARTITIONS).map(PartitionId) {
        let deletion = model::Deletion { bucket: bucket(KNOWN), range, predicate: predicate.clone() };
        node.cluster.propose(partition, PartitionOp::Delete(deletion)).await.unwrap();
    }
    node.stop().await;
    let (_, findings) = looked(&data);
    assert!(findings.is_empty(), "{findings:?}");
    let node = Node::open(&data).await;
    node.flush();
    node.stop().await;
    let (_, findings) = looked(&data);
    assert!(findings.is_empty(), "{findings:?}");
}
