//! openraft's own conformance suite, on both back-ends of the log.

use std::sync::Arc;

use catalog::{Catalog, MemoryStore};
use disk::RealVfs;
use model::{GroupId, PartitionId, SystemClock};
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::log_store::LogStore;
use super::machine::{StateMachine, Target};
use super::types::Types;
use crate::fatal::Fatal;
use crate::lane::{Lane, LaneOptions};
use crate::options::LaneKind;

struct Builder(LaneKind);

impl StoreBuilder<Types, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<Types>> {
        let dir = tempfile::tempdir().unwrap();
        let options = LaneOptions {
            dir: dir.path().to_owned(),
            kind: self.0,
            segment_bytes: 64 << 10,
            queue_bytes_max: 1 << 20,
            cache_bytes_max: 0,
        };
        let fatal = Fatal::default();
        let clock = Arc::new(SystemClock::new());
        let lane = Lane::open(&options, Arc::new(RealVfs), clock, fatal.clone()).unwrap();
        let log = lane.log(GroupId::Data(PartitionId(3)));
        let catalog = Arc::new(Catalog::open(Box::new(MemoryStore::default())).unwrap());
        let machine = StateMachine::new(Target::Catalog(catalog), Arc::clone(&log), fatal).unwrap();
        Ok((dir, LogStore::new(lane, log), machine))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_segmented_lane_passes_the_suite() {
    Suite::test_all(Builder(LaneKind::Segment)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rocksdb_lane_passes_the_suite() {
    Suite::test_all(Builder(LaneKind::RocksDb)).await.unwrap();
}
