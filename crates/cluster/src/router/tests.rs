//! What reaches the partitions, and what is refused in InfluxDB's words.

use std::sync::Arc;

use catalog::{Bucket, BucketKind, Command, Org, Response};
use model::{FieldType, OrgId, Precision, Predicate, Subject, Test, TimeRange, lineprotocol};

use super::*;
use crate::cluster::tests::{Bench, empty_catalog};
use crate::options::LaneKind;

const BUCKET: u64 = 11;

struct Node {
    bench: Arc<Bench>,
    cluster: Arc<Cluster>,
    router: Router,
}

fn bucket() -> BucketId {
    BucketId::new(BUCKET).unwrap()
}

async fn node(retention_ns: Option<i64>) -> Node {
    let bench = Bench::with_segments(LaneKind::Segment, 8 << 20);
    let cluster = bench.open(empty_catalog()).await.unwrap();
    let (at, org) = (Timestamp(1), OrgId::new(10).unwrap());
    let text = |text: &str| text.to_owned();
    let made = Org { id: org, name: text("o"), description: text(""), created_at: at, updated_at: at };
    let created = Command::CreateOrg { org: made, buckets: Vec::new(), owner: None };
    assert_eq!(cluster.propose_catalog(created).await.unwrap(), Response::Done);
    let made = Bucket {
        id: bucket(),
        org,
        name: text("b"),
        description: text(""),
        kind: BucketKind::User,
        retention_ns,
        shard_duration_ns: Bucket::default_shard_duration_ns(retention_ns),
        created_at: at,
        updated_at: at,
    };
    let created = Command::CreateBucket { bucket: made };
    assert_eq!(cluster.propose_catalog(created).await.unwrap(), Response::Done);
    Node { bench, router: Router::new(Arc::clone(&cluster)), cluster }
}

impl Node {
    fn batch(&self, lines: &str) -> Batch {
        let options = lineprotocol::Options {
            bucket: bucket(),
            shard_duration_ns: 1,
            precision: Precision::Nanosecond,
            default_time: self.cluster.clock().now(),
            line_bytes_max: 4 << 20,
            string_bytes_max: 1 << 20,
        };
        let parsed = lineprotocol::parse(lines.as_bytes(), &options);
        assert_eq!(parsed.refused, 0, "{:?}", parsed.errors);
        parsed.batch
    }

    async fn write(&self, lines: &str) -> Result<(), String> {
        let commits = self.router.write(self.batch(lines)).await.map_err(|error| error.to_string())?;
        // Where the points are, and as much of the catalog as knows their types.
        assert!(commits.iter().len() > 1);
        for (group, index) in commits.iter() {
            let last = self.cluster.status().into_iter().find(|status| status.group == group).unwrap().last;
            assert_eq!(last, Some(index), "{group}");
        }
        Ok(())
    }

    /// Rows applied so far, of all partitions.
    fn rows(&self) -> usize {
        let count = |op: &PartitionOp| if let PartitionOp::Write(batch) = op { batch.rows() } else { 0 };
        (0..4)
            .map(|p| self.bench.machine(p).applied.lock().iter().map(|(_, op)| count(op)).sum::<usize>())
            .sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn points_reach_the_partition_of_their_series() {
    let node = node(None).await;
    let lines: String = (0..100).map(|n| format!("m,host=h{n} f=1,g=\"x\" {n}\n")).collect();
    node.write(&lines).await.unwrap();
    assert_eq!(node.rows(), 100);
    for partition in 0..4 {
        for (_, op) in node.bench.machine(partition).applied.lock().iter() {
            let PartitionOp::Write(batch) = op else { panic!("{op:?}") };
            assert_eq!(batch.shard_duration_ns, Bucket::default_shard_duration_ns(None));
            for series in batch.tables.iter().flat_map(|table| &table.series) {
                assert_eq!(series.key.partition(bucket(), 4), PartitionId(partition));
            }
        }
    }
    let state = node.cluster.catalog().read();
    assert_eq!(state.field_type(bucket(), "m", "f"), Some(FieldType::Float));
    assert_eq!(state.field_type(bucket(), "m", "g"), Some(FieldType::String));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_type_of_a_field_wins_and_the_whole_point_goes() {
    let node = node(None).await;
    node.write("m f=1 1").await.unwrap();
    let error = node.write("m f=1i,g=2 2\nm f=3 3\nm,t=a f=true 4").await.unwrap_err();
    assert_eq!(
        error,
        "partial write: field type conflict: input field \"f\" on measurement \"m\" is type integer, already \
         exists as type float dropped=2"
    );
    assert_eq!(node.rows(), 2);
    let state = node.cluster.catalog().read();
    assert_eq!(state.field_type(bucket(), "m", "g"), None, "only a refused point had it");
    drop(state);
    // Within one request the first line decides.
    let error = node.write("n f=1i 1\nn f=2 2").await.unwrap_err();
    assert!(error.contains("is type float, already exists as type integer dropped=1"), "{error}");
    assert_eq!(node.rows(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn points_older_than_the_bucket_keeps_are_refused() {
    let hour = 3_600_000_000_000;
    let node = node(Some(hour)).await;
    let now = node.cluster.clock().now().0;
    let lines = format!("m f=1 {}\nm f=2 {}\nold f=3 {}", now, now - hour - 1_000_000_000, 5);
    let error = node.write(&lines).await.unwrap_err();
    assert_eq!(error, "partial write: points beyond retention policy dropped=2");
    assert_eq!(node.rows(), 1);
    assert!(!node.cluster.catalog().read().has_measurement(bucket(), "old"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_gone_is_said_to_be_gone() {
    let node = node(None).await;
    let batch = node.batch("m f=1 1");
    let deleted = node.cluster.propose_catalog(Command::DeleteBucket { id: bucket() }).await.unwrap();
    assert_eq!(deleted, Response::Done);
    assert_eq!(node.router.write(batch).await, Err(RouteError::BucketNotFound));
    node.router.drop_bucket(bucket()).await.unwrap();
    for partition in 0..4 {
        let applied = node.bench.machine(partition);
        let last = applied.applied.lock().last().map(|(_, op)| op.clone());
        assert_eq!(last, Some(PartitionOp::DropBucket { bucket: bucket() }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_is_one_entry_of_each_partition_and_survives_the_log() {
    let node = node(None).await;
    node.write("m,host=a f=1 1").await.unwrap();
    let predicate = Predicate::Compare(Subject::Tag("host".into()), Test::Eq("a".into()));
    let range = TimeRange::new(Timestamp(0), Timestamp(5));
    let deletion = Deletion { bucket: bucket(), range, predicate };
    node.router.delete(deletion.clone()).await.unwrap();
    for partition in 0..4 {
        let applied = node.bench.machine(partition);
        let last = applied.applied.lock().last().map(|(_, op)| op.clone());
        assert_eq!(last, Some(PartitionOp::Delete(deletion.clone())));
    }
    // Nothing can lie in an empty range; what is too large for the log never reaches it.
    let entries = |node: &Node| node.bench.machine(0).applied.lock().len();
    let before = entries(&node);
    let nothing = TimeRange::new(Timestamp(5), Timestamp(5));
    node.router.delete(Deletion { range: nothing, ..deletion.clone() }).await.unwrap();
    let long = Predicate::Compare(Subject::Measurement, Test::Eq("x".repeat(70_000)));
    let refused = node.router.delete(Deletion { predicate: long, ..deletion }).await;
    assert!(matches!(refused, Err(RouteError::Predicate(_))), "{refused:?}");
    assert_eq!(entries(&node), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_wait_while_types_are_forgotten() {
    let node = node(None).await;
    node.write("m f=1 1").await.unwrap();
    let held = node.router.hold_writes().await;
    let waiting = node.write("m f=2i 2");
    tokio::pin!(waiting);
    assert!(futures::poll!(&mut waiting).is_pending());
    let measurements = vec!["m".to_owned()];
    let forget = Command::ForgetMeasurements { bucket: bucket(), measurements };
    assert_eq!(node.cluster.propose_catalog(forget).await.unwrap(), Response::Done);
    assert_eq!(node.rows(), 1);
    drop(held);
    waiting.await.unwrap();
    assert_eq!(node.rows(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_very_large_batch_becomes_several_entries_in_order() {
    let node = node(None).await;
    // Text that does not compress, 6 MiB in one series.
    let mut state = 1_u64;
    let mut lines = String::new();
    for row in 0..96 {
        lines.push_str("m f=\"");
        for _ in 0..4096 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            lines.push_str(&format!("{state:016x}"));
        }
        lines.push_str(&format!("\" {row}\n"));
    }
    node.write(&lines).await.unwrap();
    assert_eq!(node.rows(), 96);
    let mut times = Vec::new();
    let mut entries = 0;
    for partition in 0..4 {
        for (_, op) in node.bench.machine(partition).applied.lock().iter() {
            let PartitionOp::Write(batch) = op else { panic!("{op:?}") };
            entries += 1;
            times.extend(batch.tables[0].times.iter().copied());
        }
    }
    assert!(entries > 4, "{entries}");
    assert_eq!(times, (0..96).collect::<Vec<i64>>());
}

#[test]
fn a_request_is_as_uncertain_as_its_parts() {
    let group = GroupId::Meta;
    let unknown = || Err(ProposeError::Unknown { group, reason: String::new() });
    let refused = || Err(ProposeError::NotLeader { group, leader: None });
    let full = || Err(ProposeError::Overloaded { group });
    let done = |partition| Ok((GroupId::Data(PartitionId(partition)), 7));
    let all = [done(0), done(1)].into_iter().flatten().collect();
    assert_eq!(combine(vec![done(0), done(1)]), Ok(all));
    assert!(matches!(combine(vec![done(0), refused()]), Err(RouteError::OutcomeUnknown(_))));
    assert!(matches!(combine(vec![refused(), unknown()]), Err(RouteError::OutcomeUnknown(_))));
    assert!(matches!(combine(vec![refused(), refused()]), Err(RouteError::Unavailable(_))));
    assert!(matches!(combine(vec![full(), refused()]), Err(RouteError::Overloaded(_))));
}
