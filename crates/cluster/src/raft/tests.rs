//! openraft's own conformance suite, on both back-ends of the log.

use std::sync::Arc;

use catalog::{Catalog, MemoryStore};
use disk::RealVfs;
use model::{GroupId, PartitionId, SystemClock};
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;
use trace::Tracer;

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
            progress: crate::Progress::default(),
        };
        let fatal = Fatal::default();
        let clock = Arc::new(SystemClock::new());
        let lane = Lane::open(&options, Arc::new(RealVfs), clock, fatal.clone()).unwrap();
        let log = lane.log(GroupId::Data(PartitionId(3)));
        let catalog = Arc::new(Catalog::open(Box::new(MemoryStore::default())).unwrap());
        let machine = StateMachine::new(
            Target::Catalog(catalog),
            Arc::clone(&log),
            fatal,
            Arc::new(RealVfs),
            Tracer::off(),
        )
        .unwrap();
        Ok((dir, LogStore::new(lane, log, Tracer::off()), machine))
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

/// Three members in one process, each with a lane of its own, that call one another.
mod three {
    use std::collections::BTreeMap;
    use std::future::Future;
    use std::time::Duration;

    use model::{BucketId, LogPosition, PartitionOp, Timestamp};
    use openraft::errors::{
        ClientWriteError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable,
    };
    use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
    use openraft::raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
    };
    use openraft::{EntryPayload, Raft};
    use parking_lot::Mutex;

    use super::super::config;
    use super::super::types::{Member, Snapshot, SnapshotData, Vote};
    use super::*;
    use crate::cluster::tests::Recorder;
    use crate::entry::{Op, Proposal};
    use crate::options::Timing;

    const GROUP: GroupId = GroupId::Data(PartitionId(0));

    type Members = Arc<Mutex<BTreeMap<u64, Raft<Types, StateMachine>>>>;

    /// The way to one member, or to whoever is asked for.
    #[derive(Clone)]
    struct Wire {
        members: Members,
        target: u64,
    }

    impl Wire {
        fn member(&self) -> Result<Raft<Types, StateMachine>, Unreachable<Types>> {
            let member = self.members.lock().get(&self.target).cloned();
            member.ok_or_else(|| Unreachable::from_string("it is down"))
        }
    }

    fn down(error: impl std::fmt::Display) -> RPCError<Types> {
        Unreachable::from_string(error).into()
    }

    impl RaftNetworkFactory<Types> for Wire {
        type Network = Self;

        async fn new_client(&mut self, target: u64, _node: &Member) -> Self {
            Self { target, ..self.clone() }
        }
    }

    impl RaftNetworkV2<Types> for Wire {
        type SnapshotData = SnapshotData;

        async fn append_entries(
            &mut self,
            mut rpc: AppendEntriesRequest<Types>,
            _option: RPCOption,
        ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
            // Only envelopes travel.
            for entry in &mut rpc.entries {
                if let EntryPayload::Normal(proposal) = &entry.payload {
                    entry.payload = EntryPayload::Normal(Proposal::stored(proposal.encoded().clone()));
                }
            }
            self.member()?.append_entries(rpc).await.map_err(down)
        }

        async fn vote(
            &mut self,
            rpc: VoteRequest<Types>,
            _option: RPCOption,
        ) -> Result<VoteResponse<Types>, RPCError<Types>> {
            self.member()?.vote(rpc).await.map_err(down)
        }

        async fn pre_vote(
            &mut self,
            rpc: VoteRequest<Types>,
            _option: RPCOption,
        ) -> Result<VoteResponse<Types>, RPCError<Types>> {
            self.member()?.pre_vote(rpc).await.map_err(down)
        }

        async fn full_snapshot(
            &mut self,
            _vote: Vote,
            _snapshot: Snapshot,
            _cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
            _option: RPCOption,
        ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
            Err(Unreachable::from_string("no snapshots here").into())
        }
    }

    struct Place {
        _dir: TempDir,
        lane: Arc<Lane>,
        machine: Arc<Recorder>,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let options = LaneOptions {
                dir: dir.path().to_owned(),
                kind: LaneKind::Segment,
                segment_bytes: 64 << 10,
                queue_bytes_max: 1 << 20,
                cache_bytes_max: 1 << 20,
                progress: crate::Progress::default(),
            };
            let clock = Arc::new(SystemClock::new());
            let lane = Lane::open(&options, Arc::new(RealVfs), clock, Fatal::default()).unwrap();
            Self { _dir: dir, lane, machine: Arc::default() }
        }

        async fn join(&self, id: u64, members: &Members) -> Raft<Types, StateMachine> {
            let log = self.lane.log(GROUP);
            let target =
                Target::Partition(Arc::clone(&self.machine) as Arc<dyn crate::Machine>, Arc::default());
            let machine = StateMachine::new(
                target,
                Arc::clone(&log),
                Fatal::default(),
                Arc::new(RealVfs),
                Tracer::off(),
            )
            .unwrap();
            let wire = Wire { members: Arc::clone(members), target: id };
            let config = config::of_group(GROUP, Timing::WAN).unwrap();
            let store = LogStore::new(Arc::clone(&self.lane), log, Tracer::off());
            let raft = Raft::new(id, config, wire, store, machine).await.unwrap();
            members.lock().insert(id, raft.clone());
            raft
        }

        fn ops(&self) -> Vec<(LogPosition, PartitionOp)> {
            self.machine.applied.lock().clone()
        }
    }

    fn op(n: u64) -> PartitionOp {
        PartitionOp::DropShards { bucket: BucketId::new(n + 1).unwrap(), ending_by: Timestamp(0) }
    }

    /// Writes, again and again where nothing was done: a starved machine may miss its own heartbeats.
    async fn write(raft: &Raft<Types, StateMachine>, n: u64) {
        let patience = tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                let encoded = proto::encode_op(&op(n), Timestamp(0));
                let proposal = Proposal::new(encoded, Op::Partition(op(n)), None);
                match raft.client_write(proposal).await {
                    Ok(_written) => return,
                    Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to)))
                        if to.leader_id.is_none() =>
                    {
                        tokio::task::yield_now().await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        patience.await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn three_voters_agree_and_outlive_their_leader() {
        let members = Members::default();
        let places = [Place::new(), Place::new(), Place::new()];
        let mut rafts = Vec::new();
        for (id, place) in (1..).zip(&places) {
            rafts.push(place.join(id, &members).await);
        }
        let all: BTreeMap<u64, Member> = (1..=3).map(|id| (id, Member::default())).collect();
        rafts[0].initialize(all).await.unwrap();
        let patience = Some(Duration::from_secs(20));
        rafts[0].wait(patience).current_leader(1, "the founder leads").await.unwrap();
        for n in 0..50 {
            write(&rafts[0], n).await;
        }
        // The leader falls silent; the others go on without it.
        members.lock().remove(&1);
        rafts[0].shutdown().await.unwrap();
        let others =
            |metrics: &openraft::RaftMetrics<Types>| metrics.current_leader.is_some_and(|id| id != 1);
        let metrics = rafts[1].wait(patience).metrics(others, "another leads").await.unwrap();
        let leader = usize::try_from(metrics.current_leader.unwrap() - 1).unwrap();
        for n in 50..60 {
            write(&rafts[leader], n).await;
        }
        let last = places[leader].ops().last().unwrap().0.index;
        for at in [1, 2] {
            rafts[at].wait(patience).applied_index_at_least(Some(last), "all is applied").await.unwrap();
            let ops: Vec<_> = places[at].ops().into_iter().map(|(_, op)| op).collect();
            assert_eq!(ops, (0..60).map(op).collect::<Vec<_>>(), "member {}", at + 1);
        }
        assert_eq!(places[1].ops(), places[2].ops(), "positions too");
        assert_eq!(places[0].ops(), places[1].ops()[..50]);
        for raft in &rafts[1..] {
            raft.shutdown().await.unwrap();
        }
    }
}
