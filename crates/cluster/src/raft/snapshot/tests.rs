//! A snapshot arrives whole, or not at all.

use std::sync::Arc;

use catalog::{Catalog, MemoryStore};
use disk::RealVfs;
use futures::executor::block_on;
use model::{LogPosition, ReplicaId};
use proto::log;

use super::*;

fn vote() -> Vote {
    types::vote(log::Vote { term: 3, replica: 9, committed: true })
}

fn snapshot(bytes: usize) -> Snapshot {
    let last = types::log_id(LogPosition { index: 7, term: 2, leader: ReplicaId(1) });
    let meta = SnapshotMeta { last_log_id: Some(last), ..SnapshotMeta::default() };
    let data = (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect();
    Snapshot { meta, snapshot: SnapshotData::Catalog(data) }
}

fn sent(bytes: usize) -> Vec<peer::SnapshotPart> {
    block_on(async {
        parts(vote(), snapshot(bytes), Vec::new(), Arc::default()).await.unwrap().collect().await
    })
}

fn received(parts: Vec<peer::SnapshotPart>) -> Result<(Vote, Snapshot), Status> {
    let target = Target::Catalog(Arc::new(Catalog::open(Box::new(MemoryStore::default())).unwrap()));
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs);
    block_on(receive(&target, &vfs, &Arc::default(), stream::iter(parts.into_iter().map(Ok))))
}

#[test]
fn it_arrives_in_pieces_and_whole() {
    for (bytes, messages) in [(0, 1), (1, 2), (CHUNK_BYTES, 2), (2 * CHUNK_BYTES + 5, 4)] {
        let parts = sent(bytes);
        assert_eq!(parts.len(), messages);
        let (from, read) = received(parts).unwrap();
        let sent = snapshot(bytes);
        assert_eq!((from, read.meta), (vote(), sent.meta));
        match (read.snapshot, sent.snapshot) {
            (SnapshotData::Catalog(read), SnapshotData::Catalog(sent)) => assert_eq!(read, sent),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_damaged_or_cut_is_refused() {
    let whole = || sent(2 * CHUNK_BYTES + 5);
    let refused = |change: &dyn Fn(&mut Vec<peer::SnapshotPart>), why: &str| {
        let mut parts = whole();
        change(&mut parts);
        let status = received(parts).unwrap_err();
        assert!(status.message().contains(why), "{status}");
    };
    refused(&|parts| parts.clear(), "no head");
    refused(&|parts| drop(parts.remove(0)), "no head");
    refused(&|parts| drop(parts.pop()), "ends early");
    refused(&|parts| parts.push(parts[1].clone()), "longer than announced");
    refused(&|parts| parts.push(parts[0].clone()), "something between chunks");
    let flip = |parts: &mut Vec<peer::SnapshotPart>| {
        let Some(Part::Chunk(chunk)) = &mut parts[2].part else { panic!("a chunk") };
        let mut data = chunk.data.to_vec();
        data[9] ^= 1;
        chunk.data = data.into();
    };
    refused(&flip, "the checksum of a chunk");
    refused(
        &|parts| {
            let Some(Part::Head(head)) = &mut parts[0].part else { panic!("the head") };
            head.bytes = CATALOG_BYTES_MAX + 1;
        },
        "larger than this node takes",
    );
}
