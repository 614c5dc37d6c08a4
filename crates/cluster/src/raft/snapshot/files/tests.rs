//! What has come once is not sent again, wherever the stream broke and whatever has changed since.

use disk::RealVfs;
use futures::StreamExt as _;

use super::*;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

fn vfs() -> Arc<dyn Vfs> {
    Arc::new(RealVfs)
}

fn bytes(count: usize, seed: usize) -> Vec<u8> {
    (0..count).map(|at| u8::try_from((at * 7 + seed) % 251).unwrap()).collect()
}

/// A directory with these files.
struct Source(tempfile::TempDir, BTreeMap<&'static str, Vec<u8>>);

impl Source {
    fn new() -> Self {
        let files = BTreeMap::from([
            ("MANIFEST", bytes(100, 1)),
            ("empty", Vec::new()),
            ("shards/1/a.tsm", bytes(CHUNK_BYTES * 2 + 17, 2)),
            ("shards/1/b.tsm", bytes(CHUNK_BYTES, 3)),
            ("shards/2/a.tsm", bytes(5, 4)),
        ]);
        let source = Self(tempfile::tempdir().unwrap(), BTreeMap::new());
        let mut source = source;
        for (path, data) in files {
            source.put(path, data);
        }
        source
    }

    fn put(&mut self, path: &'static str, data: Vec<u8>) {
        let full = self.0.path().join(path);
        let vfs = vfs();
        vfs.create_dir_all(full.parent().unwrap()).unwrap();
        if vfs.exists(&full).unwrap() {
            vfs.remove_file(&full).unwrap();
        }
        vfs.create(&full).unwrap().write_all_at(&data, 0).unwrap();
        self.1.insert(path, data);
    }

    fn remove(&mut self, path: &'static str) {
        vfs().remove_file(&self.0.path().join(path)).unwrap();
        self.1.remove(path);
    }

    fn total(&self) -> u64 {
        self.1.values().map(|data| data.len() as u64).sum()
    }

    fn sent(&self, held: Vec<peer::HeldFile>) -> Vec<Part> {
        // It must outlive what is sent of it.
        let files = std::mem::ManuallyDrop::new(Files { dir: self.0.path().to_owned(), vfs: vfs() });
        let found = list(&*files.vfs, &files.dir).unwrap();
        let files = Arc::new(Files { dir: files.dir.clone(), vfs: Arc::clone(&files.vfs) });
        let parts = block_on(sent(Arc::clone(&files), found, held, Arc::default()).collect());
        std::mem::forget(files);
        parts
    }
}

fn chunk_bytes(parts: &[Part]) -> u64 {
    let bytes = |part: &Part| if let Part::Chunk(chunk) = part { chunk.data.len() as u64 } else { 0 };
    parts.iter().map(bytes).sum()
}

struct Sink(tempfile::TempDir, Arc<Incoming>);

impl Sink {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap(), Arc::default())
    }

    /// Takes messages; a broken stream ends with an error.
    fn take(&self, announced: u64, parts: Vec<Part>, is_broken: bool) -> Result<Arc<Files>, Status> {
        let broken = is_broken.then(|| Err(Status::unavailable("broken")));
        let dir = self.0.path().join("incoming");
        let receiving = self.1.begin(&vfs(), announced, || Ok(dir)).unwrap();
        block_on(receive(receiving, stream::iter(parts.into_iter().map(Ok).chain(broken))))
    }

    fn has(&self, source: &Source) {
        let dir = self.0.path().join("incoming");
        let found = list(&*vfs(), &dir).unwrap();
        let paths: Vec<_> = found.iter().map(|(path, _)| path.to_str().unwrap()).collect();
        assert_eq!(paths, source.1.keys().copied().collect::<Vec<_>>());
        for (path, data) in &source.1 {
            let file = vfs().open_read(&dir.join(path)).unwrap();
            let mut read = vec![0; data.len()];
            file.read_exact_at(&mut read, 0).unwrap();
            assert_eq!((file.len().unwrap(), &read == data), (data.len() as u64, true), "{path}");
        }
    }
}

#[test]
fn a_stream_goes_on_where_the_last_one_broke() {
    let source = Source::new();
    let all = source.sent(Vec::new());
    assert_eq!(chunk_bytes(&all), source.total());
    for broken_after in 0..all.len() {
        let sink = Sink::new();
        assert!(sink.take(source.total(), all[..broken_after].to_vec(), true).is_err());
        assert_eq!(sink.1.progress(), None);
        let came = chunk_bytes(&all[..broken_after]);
        let held = sink.1.held();
        assert_eq!(held.iter().map(|file| file.bytes).sum::<u64>(), came);
        let rest = source.sent(held);
        assert_eq!(chunk_bytes(&rest), source.total() - came, "broken after {broken_after}");
        // It breaks again at once, and nothing is forgotten.
        assert!(sink.take(source.total(), rest[..1].to_vec(), true).is_err());
        assert_eq!(chunk_bytes(&source.sent(sink.1.held())), source.total() - came);
        let files = sink.take(source.total(), source.sent(sink.1.held()), false).unwrap();
        sink.has(&source);
        assert!(sink.1.held().is_empty());
        drop(files);
        assert!(!vfs().exists(&sink.0.path().join("incoming")).unwrap());
    }
}

#[test]
fn what_has_changed_meanwhile_is_sent_anew() {
    let mut source = Source::new();
    let sink = Sink::new();
    let all = source.sent(Vec::new());
    assert!(sink.take(source.total(), all[..all.len() - 1].to_vec(), true).is_err());
    source.put("MANIFEST", bytes(120, 9));
    source.put("shards/1/a.tsm", bytes(CHUNK_BYTES, 2));
    source.put("shards/3/c.tsm", bytes(9, 9));
    source.remove("shards/2/a.tsm");
    let rest = source.sent(sink.1.held());
    // The shorter file may not begin with what is there of the longer; one is whole already.
    assert_eq!(chunk_bytes(&rest), 120 + CHUNK_BYTES as u64 + 9);
    sink.take(source.total(), rest, false).map(std::mem::forget).unwrap();
    sink.has(&source);
}

#[test]
fn what_was_not_announced_or_is_not_here_is_refused() {
    let source = Source::new();
    let all = source.sent(Vec::new());
    let refused = |announced: u64, parts: Vec<Part>, why: &str| {
        let sink = Sink::new();
        let status = sink.take(announced, parts, false).unwrap_err();
        assert!(status.message().contains(why), "{status}");
    };
    let file =
        |path: &str, bytes, from| Part::File(peer::SnapshotFile { path: path.to_owned(), bytes, from });
    refused(source.total() - 1, all.clone(), "longer than announced");
    refused(source.total() + 1, all, "ends early");
    refused(9, vec![file("a", 9, 3)], "goes on that is not here");
    refused(9, vec![file("a", 3, 0), chunk(bytes(4, 0).into())], "a file is longer than announced");
    refused(9, vec![file("a", 3, 0), file("b", 3, 0)], "a file ends early");
    refused(0, vec![file("a", 0, 0), file("a", 0, 0)], "comes twice");
    refused(9, vec![chunk(bytes(4, 0).into())], "a chunk of no file");
    for path in ["", "../a", "/a", "a/../../b"] {
        refused(9, vec![file(path, 9, 0)], "leads elsewhere");
    }
    let lie = Sink::new();
    assert!(lie.take(9, vec![file("a", 9, 0), chunk(bytes(4, 0).into())], true).is_err());
    let status = lie.take(9, vec![file("a", 9, 5)], false).unwrap_err();
    assert!(status.message().contains("goes on that is not here"), "{status}");
}
