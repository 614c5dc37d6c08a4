//! The catalog against its store: reopening, snapshots, failures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::encoding::DecodeError;
use crate::resources::NodeInfo;
use crate::samples::*;
use crate::store::{EachRecord, MemoryStore};

fn open(store: &MemoryStore) -> Catalog {
    Catalog::open(Box::new(store.clone())).unwrap()
}

fn contents(store: &dyn Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    store
        .load_all(&mut |key, value| {
            all.push((key.to_vec(), value.to_vec()));
            Ok(())
        })
        .unwrap();
    all
}

#[test]
fn an_empty_store_is_an_empty_catalog() {
    let catalog = open(&MemoryStore::new());
    assert_eq!(*catalog.read(), State::default());
    assert_eq!(catalog.applied(), (None, Vec::new()));
}

#[test]
fn the_store_always_equals_the_state_in_memory() {
    for seed in 1..=40 {
        let store = MemoryStore::new();
        let mut catalog = open(&store);
        let mut model = State::default();
        let mut commands = Commands::new(seed);
        for index in 0..150 {
            let command = commands.next();
            let response = catalog.apply(position(index), &command).unwrap();
            assert_eq!(response, crate::apply(&mut model, &command), "seed {seed}, entry {index}");
            if commands.random().is_multiple_of(8) {
                catalog = open(&store);
                assert_eq!(*catalog.read(), model, "seed {seed}, reopened after entry {index}");
                assert_eq!(catalog.applied().0, Some(position(index)));
            }
        }
    }
}

#[test]
fn blanks_and_memberships_move_the_position() {
    let store = MemoryStore::new();
    let catalog = open(&store);
    catalog.apply_membership(position(0), b"one voter").unwrap();
    catalog.apply_blank(position(1)).unwrap();
    assert_eq!(catalog.applied(), (Some(position(1)), b"one voter".to_vec()));
    assert_eq!(open(&store).applied(), catalog.applied());
    catalog.apply_membership(position(2), b"three voters").unwrap();
    assert_eq!(open(&store).applied(), (Some(position(2)), b"three voters".to_vec()));
}

#[test]
fn an_entry_is_applied_once_and_in_order() {
    let catalog = open(&MemoryStore::new());
    catalog.apply(position(5), &bootstrap()).unwrap();
    let before = catalog.snapshot();
    for index in [0, 5] {
        let again = catalog.apply(position(index), &set_up());
        assert!(matches!(again, Err(StoreError::Misordered { .. })), "{again:?}");
        assert!(catalog.apply_blank(position(index)).is_err());
        assert!(catalog.apply_membership(position(index), b"x").is_err());
    }
    assert_eq!(catalog.snapshot(), before);
    catalog.apply(position(6), &set_up()).unwrap();
}

#[test]
fn a_snapshot_moves_everything_and_replaces_everything() {
    let source = open(&MemoryStore::new());
    let mut commands = Commands::new(3);
    source.apply_membership(position(0), b"members").unwrap();
    for index in 1..300 {
        source.apply(position(index), &commands.next()).unwrap();
    }
    let snapshot = source.snapshot();
    assert_eq!(snapshot.position, Some(position(299)));
    assert_eq!(snapshot.bytes, source.export());

    let store = MemoryStore::new();
    let target = open(&store);
    target.apply(position(0), &bootstrap()).unwrap();
    target.apply(position(1), &set_up()).unwrap();
    target.import(&snapshot.bytes, snapshot.position, snapshot.membership.clone()).unwrap();
    assert_eq!(*target.read(), *source.read());
    assert_eq!(target.snapshot(), snapshot);
    assert_eq!(open(&store).snapshot(), snapshot, "also after a restart");
    target.apply(position(300), &commands.next()).unwrap();
}

#[test]
fn a_damaged_snapshot_replaces_nothing() {
    let catalog = open(&MemoryStore::new());
    catalog.apply(position(0), &set_up()).unwrap();
    let before = catalog.snapshot();
    let mut bytes = before.bytes.clone();
    bytes[10] ^= 1;
    let refused = catalog.import(&bytes, Some(position(9)), Vec::new());
    assert!(matches!(refused, Err(StoreError::Snapshot(DecodeError::Checksum))), "{refused:?}");
    assert_eq!(catalog.snapshot(), before);
}

#[test]
fn records_that_contradict_one_another_are_refused() {
    let store = MemoryStore::new();
    let orphan = Change::PutBucket(bucket(1, 1, "orphan"));
    let mut batch = Batch::new();
    push_record(&mut batch, &orphan);
    store.commit(&batch).unwrap();
    let refused = Catalog::open(Box::new(store.clone()));
    assert!(matches!(refused, Err(StoreError::Inconsistent(_))), "{refused:?}");

    let mut batch = Batch::new();
    push_record(&mut batch, &Change::PutOrg(org(1, "same")));
    push_record(&mut batch, &Change::PutOrg(org(2, "same")));
    store.commit(&batch).unwrap();
    let refused = Catalog::open(Box::new(store)).unwrap_err();
    assert_eq!(refused.to_string(), "the records of the catalog contradict one another");
}

#[test]
fn a_process_that_does_not_understand_the_cluster_stops_before_it_does_harm() {
    let [first, second] = [1, 2].map(|number| Level::new(number).unwrap());
    let store = MemoryStore::new();
    let open_up_to = |newest| Catalog::open_up_to(Box::new(store.clone()), newest);
    let older = open_up_to(first).unwrap();
    let Command::Bootstrap { cluster_id, replication, nodes, placements } = bootstrap() else {
        unreachable!()
    };
    let nodes = nodes.into_iter().map(|node| NodeInfo { level: second, ..node }).collect();
    let founded = Command::Bootstrap { cluster_id, replication, nodes, placements };
    let is_refused = |error| matches!(error, StoreError::Level { cluster, newest } if (cluster, newest) == (second, first));
    assert!(is_refused(older.apply(position(0), &founded).unwrap_err()));
    assert!(older.read().cluster().is_none());
    let newer = open(&MemoryStore::new());
    newer.apply(position(0), &founded).unwrap();
    assert!(is_refused(older.import(&newer.export(), Some(position(0)), Vec::new()).unwrap_err()));
    assert!(older.read().cluster().is_none());
    open_up_to(second).unwrap().apply(position(0), &founded).unwrap();
    assert!(is_refused(open_up_to(first).unwrap_err()));
}

#[test]
fn a_damaged_or_foreign_store_is_refused_and_the_record_named() {
    let store = MemoryStore::new();
    drop(open(&store));
    store.commit(&[Op::Put(b"V".to_vec(), vec![9])]).unwrap();
    let refused = Catalog::open(Box::new(store.clone())).unwrap_err();
    assert!(matches!(refused, StoreError::Record { source: DecodeError::Format(9), .. }), "{refused:?}");
    store.commit(&[Op::Put(b"V".to_vec(), vec![FORMAT]), Op::Put(b"?x".to_vec(), vec![])]).unwrap();
    let refused = Catalog::open(Box::new(store)).unwrap_err();
    assert_eq!(refused.to_string(), "cannot read catalog record 3f78");
}

/// A store whose commits fail when told to, for want of space or for good.
#[derive(Debug, Clone)]
struct Failing {
    store: MemoryStore,
    fails: Arc<AtomicBool>,
    for_good: bool,
}

impl Failing {
    fn new(for_good: bool) -> Self {
        Self { store: MemoryStore::new(), fails: Arc::default(), for_good }
    }

    fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }
}

impl Store for Failing {
    fn load_all(&self, each: EachRecord<'_>) -> Result<(), StoreError> {
        self.store.load_all(each)
    }
    fn commit(&self, batch: &[Op]) -> Result<(), StoreError> {
        if self.fails.load(Ordering::Relaxed) {
            let source = std::io::Error::other("it fails").into();
            return Err(if self.for_good {
                StoreError::Backend { doing: "write", source }
            } else {
                StoreError::Full(source)
            });
        }
        self.store.commit(batch)
    }
    fn sync(&self) -> Result<(), StoreError> {
        self.store.sync()
    }
}

#[test]
fn after_a_failed_commit_nothing_changed_and_nothing_more_is_taken() {
    let failing = Failing::new(true);
    let catalog = Catalog::open(Box::new(failing.clone())).unwrap();
    catalog.apply(position(0), &bootstrap()).unwrap();
    let before = (catalog.snapshot(), contents(&failing));
    failing.fail(true);
    assert!(matches!(catalog.apply(position(1), &set_up()), Err(StoreError::Backend { .. })));
    failing.fail(false);
    assert!(matches!(catalog.apply(position(1), &set_up()), Err(StoreError::Closed)));
    assert!(matches!(catalog.sync(), Err(StoreError::Closed)));
    assert_eq!((catalog.snapshot(), contents(&failing)), before);
    Catalog::open(Box::new(failing)).unwrap().apply(position(1), &set_up()).unwrap();
}

#[test]
fn without_space_changes_wait_in_order_and_nothing_is_called_durable() {
    let failing = Failing::new(false);
    let catalog = Catalog::open(Box::new(failing.clone())).unwrap();
    let mut model = State::default();
    let mut commands = Commands::new(7);
    let mut index = 0;
    for round in 0..6 {
        let durable = contents(&failing);
        failing.fail(true);
        for _ in 0..40 {
            let command = commands.next();
            let response = catalog.apply(position(index), &command).unwrap();
            assert_eq!(response, crate::apply(&mut model, &command), "entry {index}");
            index += 1;
        }
        assert_eq!(*catalog.read(), model);
        assert!(matches!(catalog.sync(), Err(StoreError::Full(_))), "the log must be kept");
        assert_eq!(contents(&failing), durable);
        // A crash now loses exactly what waits.
        let crashed = Catalog::open(Box::new(failing.store.clone())).unwrap();
        assert_eq!(crashed.applied().0, (index - 40).checked_sub(1).map(position), "round {round}");
        failing.fail(false);
        if round % 2 == 0 {
            catalog.sync().unwrap();
        } else {
            catalog.apply_blank(position(index)).unwrap();
            index += 1;
        }
        let reopened = Catalog::open(Box::new(failing.store.clone())).unwrap();
        assert_eq!((&*reopened.read(), reopened.applied()), (&model, catalog.applied()));
    }
}

#[test]
fn prefixes_are_deleted_and_their_neighbours_are_not() {
    use crate::store::prefix_end;
    assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
    assert_eq!(prefix_end(&[7, 0xff, 0xff]), Some(vec![8]));
    assert_eq!(prefix_end(&[0xff]), None);
    assert_eq!(prefix_end(b""), None);
    for store in stores() {
        let keys: [&[u8]; 6] = [b"a", b"ab", b"ab\xff", b"ac", b"\xff", b"\xff\xff"];
        let put = |key: &&[u8]| Op::Put(key.to_vec(), vec![1]);
        let left = || contents(&*store).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        store.commit(&keys.iter().map(put).collect::<Batch>()).unwrap();
        store.commit(&[Op::DeletePrefix(b"ab".to_vec())]).unwrap();
        assert_eq!(left(), [&b"a"[..], b"ac", b"\xff", b"\xff\xff"]);
        store.commit(&[Op::DeletePrefix(vec![0xff])]).unwrap();
        assert_eq!(left(), [&b"a"[..], b"ac"]);
        store.commit(&[Op::DeletePrefix(Vec::new()), Op::Put(b"z".to_vec(), vec![])]).unwrap();
        assert_eq!(left(), [b"z"], "steps of a batch happen in order");
    }
}

#[cfg(not(feature = "rocksdb"))]
fn stores() -> Vec<Box<dyn Store>> {
    vec![Box::new(MemoryStore::new())]
}

#[cfg(feature = "rocksdb")]
fn stores() -> Vec<Box<dyn Store>> {
    // The directory is left behind for the store to use; it is in the system's temporary directory.
    let directory = tempfile::tempdir().unwrap().keep();
    vec![Box::new(MemoryStore::new()), Box::new(crate::store::RocksStore::open(&directory).unwrap())]
}

#[cfg(feature = "rocksdb")]
mod on_disk {
    use std::collections::BTreeMap;

    use super::*;
    use crate::store::RocksStore;

    fn open_in(directory: &std::path::Path) -> Catalog {
        Catalog::open(Box::new(RocksStore::open(directory).unwrap())).unwrap()
    }

    #[test]
    fn the_catalog_is_there_after_every_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog");
        let mut model = State::default();
        let mut commands = Commands::new(11);
        let mut index = 0u64;
        for _ in 0..8 {
            let catalog = open_in(&path);
            assert_eq!(*catalog.read(), model);
            assert_eq!(catalog.applied().0, index.checked_sub(1).map(position));
            for _ in 0..60 {
                let command = commands.next();
                let response = catalog.apply(position(index), &command).unwrap();
                assert_eq!(response, crate::apply(&mut model, &command), "entry {index}");
                index += 1;
            }
            catalog.sync().unwrap();
        }
    }

    #[test]
    fn a_snapshot_replaces_the_database() {
        let directory = tempfile::tempdir().unwrap();
        let source = open(&MemoryStore::new());
        source.apply(position(0), &bootstrap()).unwrap();
        source.apply(position(1), &set_up()).unwrap();
        let snapshot = source.snapshot();
        {
            let target = open_in(directory.path());
            let mut commands = Commands::new(5);
            for index in 0..100 {
                target.apply(position(index), &commands.next()).unwrap();
            }
            target.import(&snapshot.bytes, snapshot.position, snapshot.membership.clone()).unwrap();
        }
        assert_eq!(open_in(directory.path()).snapshot(), snapshot);
    }

    /// A node that holds little should not pay for a large one: RocksDB reserves nothing in advance and writes no
    /// report of its own.
    #[test]
    fn a_small_catalog_takes_little_of_the_disk() {
        use std::os::unix::fs::MetadataExt as _;
        let directory = tempfile::tempdir().unwrap();
        for restarts in 0..10 {
            let catalog = open_in(directory.path());
            if restarts == 0 {
                catalog.apply(position(0), &bootstrap()).unwrap();
                catalog.apply(position(1), &set_up()).unwrap();
            }
            let files = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap());
            let files: Vec<_> =
                files.map(|f| (f.file_name(), f.metadata().unwrap().blocks() * 512)).collect();
            assert!(files.iter().all(|(name, _)| !name.to_string_lossy().starts_with("LOG")), "{files:?}");
            let bytes: u64 = files.iter().map(|(_, bytes)| bytes).sum();
            assert!(bytes <= 56 << 10, "after {restarts} restarts {bytes} bytes: {files:?}");
        }
    }

    /// A start writes what is in RocksDB's log to a table, and must find room for that on a full disk.
    #[test]
    fn what_a_start_has_to_write_stays_little() {
        let directory = tempfile::tempdir().unwrap();
        let catalog = open_in(directory.path());
        let mut commands = Commands::new(23);
        let logs = || {
            let files = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap());
            let logs = files.filter(|f| f.path().extension().is_some_and(|e| e == "log"));
            // One may go between the two.
            logs.filter_map(|f| Some(f.metadata().ok()?.len())).max().unwrap_or(0)
        };
        let largest = (0..400).map(|index| {
            catalog.apply(position(index), &commands.next()).unwrap();
            logs()
        });
        let largest = largest.max().unwrap();
        assert!((4 << 10..12 << 10).contains(&largest), "{largest} bytes");
    }

    /// A copy of the files of a running database is what a crash leaves.
    #[test]
    fn after_a_crash_the_database_is_some_moment_of_its_past() {
        let directory = tempfile::tempdir().unwrap();
        let live = directory.path().join("live");
        let catalog = open_in(&live);
        let mut commands = Commands::new(17);
        let mut moments = vec![(None, State::default())];
        for index in 0..120 {
            catalog.apply(position(index), &commands.next()).unwrap();
            moments.push((Some(position(index)), catalog.read().clone()));
            if index % 30 != 29 {
                continue;
            }
            for cut in [0, 1, 7, 100, 1000] {
                let crashed = directory.path().join(format!("crashed-{index}-{cut}"));
                copy_files(&live, &crashed, cut);
                let reopened = open_in(&crashed);
                let found = (reopened.applied().0, reopened.read().clone());
                assert!(moments.contains(&found), "entry {index}, cut {cut}: {:?}", found.0);
                if cut == 0 {
                    assert_eq!(found.0, Some(position(index)), "nothing was cut");
                }
            }
        }
    }

    /// The files of a directory and their lengths; `None` where one goes meanwhile.
    fn files(of: &std::path::Path) -> Option<BTreeMap<std::path::PathBuf, u64>> {
        let file = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.ok()?;
            Some((entry.path(), entry.metadata().ok()?.len()))
        };
        std::fs::read_dir(of).unwrap().map(file).collect()
    }

    /// Copies a directory as it is at one moment, cutting `cut` bytes off the end of RocksDB's log. RocksDB writes and
    /// removes files in the background: what changed meanwhile is copied again.
    fn copy_files(from: &std::path::Path, to: &std::path::Path, cut: usize) {
        loop {
            std::fs::create_dir(to).unwrap();
            let before = files(from);
            let copied = before.iter().flatten().all(|(path, _)| {
                let Ok(mut bytes) = std::fs::read(path) else { return false };
                if path.extension().is_some_and(|e| e == "log") {
                    bytes.truncate(bytes.len().saturating_sub(cut));
                }
                std::fs::write(to.join(path.file_name().unwrap()), bytes).is_ok()
            });
            if copied && before.is_some() && files(from) == before {
                return;
            }
            std::fs::remove_dir_all(to).unwrap();
        }
    }
}
