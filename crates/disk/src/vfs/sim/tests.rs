//! The simulated file system keeps to the rules of the trait, and forgets what it may forget.

use super::*;

fn path(name: &str) -> PathBuf {
    PathBuf::from("/data").join(name)
}

fn with_dir() -> SimVfs {
    let vfs = SimVfs::new();
    vfs.create_dir_all(Path::new("/data")).unwrap();
    vfs
}

fn content(vfs: &SimVfs, name: &str) -> Vec<u8> {
    let file = vfs.open_read(&path(name)).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// A file whose content and name are durable.
fn durable(vfs: &SimVfs, name: &str, bytes: &[u8]) -> Box<dyn File> {
    let file = vfs.create(&path(name)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    vfs.sync_dir(Path::new("/data")).unwrap();
    file
}

#[test]
fn content_needs_a_sync_of_the_file_and_a_name_one_of_the_directory() {
    let vfs = with_dir();
    let file = vfs.create(&path("a")).unwrap();
    file.write_all_at(b"hello", 0).unwrap();
    assert!(!vfs.crash(PowerCut::Lost).exists(&path("a")).unwrap());
    file.sync_data().unwrap();
    assert!(!vfs.crash(PowerCut::Lost).exists(&path("a")).unwrap());
    vfs.sync_dir(Path::new("/data")).unwrap();
    file.write_all_at(b"J", 0).unwrap();
    file.write_all_at(b"!", 5).unwrap();
    assert_eq!(content(&vfs.crash(PowerCut::Lost), "a"), b"hello");
    assert_eq!(content(&vfs.crash(PowerCut::Kept), "a"), b"Jello!");
    assert_eq!(content(&vfs, "a"), b"Jello!");

    let named = with_dir();
    named.create(&path("b")).unwrap().write_all_at(b"lost", 0).unwrap();
    named.sync_dir(Path::new("/data")).unwrap();
    assert_eq!(content(&named.crash(PowerCut::Lost), "b"), b"");
}

#[test]
fn a_power_cut_leaves_every_subset_of_blocks() {
    let vfs = with_dir();
    let file = durable(&vfs, "a", &[0; 1024]);
    file.write_all_at(&[1; 600], 212).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for choice in 0..4_u32 {
        let mut asked = 0;
        let cut = vfs.crash_with(512, &mut |part| {
            assert_eq!(part, Unsynced::Block);
            asked += 1;
            choice >> (asked - 1) & 1 == 1
        });
        assert_eq!(asked, 2);
        let bytes = content(&cut, "a");
        assert_eq!((bytes[0], bytes[211], bytes[812]), (0, 0, 0));
        seen.insert((bytes[212], bytes[511], bytes[512], bytes[811]));
    }
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        [(0, 0, 0, 0), (0, 0, 1, 1), (1, 1, 0, 0), (1, 1, 1, 1)]
    );
}

#[test]
fn torn_cuts_follow_from_the_seed() {
    let vfs = with_dir();
    let file = durable(&vfs, "a", &[0; 64 << 10]);
    file.write_all_at(&[7; 64 << 10], 0).unwrap();
    let cut = |seed| content(&vfs.crash(PowerCut::Torn { seed, block_bytes: 512 }), "a");
    assert_eq!(cut(3), cut(3));
    let different: std::collections::BTreeSet<_> = (0..20).map(cut).collect();
    assert!(different.len() > 15);
    assert!(different.iter().any(|bytes| bytes.contains(&0) && bytes.contains(&7)));
}

#[test]
fn a_rename_replaces_atomically_and_survives_whole_or_not_at_all() {
    let vfs = with_dir();
    drop(durable(&vfs, "current", b"old"));
    drop(durable(&vfs, "next", b"new"));
    vfs.rename(&path("next"), &path("current")).unwrap();
    assert_eq!(content(&vfs, "current"), b"new");
    assert!(!vfs.exists(&path("next")).unwrap());
    let lost = vfs.crash(PowerCut::Lost);
    assert_eq!((content(&lost, "current"), content(&lost, "next")), (b"old".to_vec(), b"new".to_vec()));
    let kept = vfs.crash(PowerCut::Kept);
    assert_eq!(content(&kept, "current"), b"new");
    assert!(!kept.exists(&path("next")).unwrap());
    vfs.sync_dir(Path::new("/data")).unwrap();
    assert_eq!(content(&vfs.crash(PowerCut::Lost), "current"), b"new");
}

#[test]
fn removals_come_back_when_the_directory_was_not_synced() {
    let vfs = with_dir();
    drop(durable(&vfs, "a", b"a"));
    vfs.create_dir_all(&path("inner/deep")).unwrap();
    let file = vfs.create(&path("inner/deep/b")).unwrap();
    file.sync_data().unwrap();
    vfs.sync_dir(&path("inner/deep")).unwrap();
    vfs.remove_file(&path("a")).unwrap();
    vfs.remove_dir_all(&path("inner")).unwrap();
    vfs.remove_dir_all(&path("inner")).unwrap();
    assert!(!vfs.exists(&path("inner/deep/b")).unwrap());
    assert_eq!(vfs.open(&path("a")).unwrap_err().kind(), io::ErrorKind::NotFound);
    let back = vfs.crash(PowerCut::Lost);
    assert!(back.exists(&path("a")).unwrap() && back.exists(&path("inner/deep/b")).unwrap());
    vfs.sync_dir(Path::new("/data")).unwrap();
    assert_eq!(vfs.crash(PowerCut::Lost).list(Path::new("/data")).unwrap(), Vec::<PathBuf>::new());
}

#[test]
fn hard_links_share_content_and_directories_move_with_theirs() {
    let vfs = with_dir();
    let file = durable(&vfs, "a", b"one");
    vfs.create_dir_all(&path("stage")).unwrap();
    vfs.hard_link(&path("a"), &path("stage/b")).unwrap();
    vfs.sync_dir(&path("stage")).unwrap();
    vfs.rename(&path("stage"), &path("final")).unwrap();
    vfs.sync_dir(Path::new("/data")).unwrap();
    vfs.remove_file(&path("a")).unwrap();
    vfs.sync_dir(Path::new("/data")).unwrap();
    file.write_all_at(b"two", 0).unwrap();
    file.sync_data().unwrap();
    let after = vfs.crash(PowerCut::Lost);
    assert_eq!(content(&after, "final/b"), b"two");
    assert_eq!(after.list(Path::new("/data")).unwrap(), [PathBuf::from("final")]);
}

#[test]
fn after_a_failed_sync_the_handle_refuses_and_the_bytes_are_in_doubt() {
    let vfs = with_dir();
    let file = durable(&vfs, "a", b"old");
    file.write_all_at(b"new", 0).unwrap();
    vfs.inject(Fault::nth(OpKind::SyncData, 1, Failure::Io));
    assert!(file.sync_data().is_err());
    assert!(file.sync_data().is_err() && file.write_all_at(b"x", 0).is_err() && file.len().is_err());
    // A new handle's sync succeeds, as the kernel's does, and has written nothing.
    vfs.open(&path("a")).unwrap().sync_data().unwrap();
    assert_eq!(content(&vfs, "a"), b"new");
    assert_eq!(content(&vfs.crash(PowerCut::Lost), "a"), b"old");
}

#[test]
fn faults_come_when_they_were_asked_for() {
    let vfs = with_dir();
    let file = durable(&vfs, "a", b"....");
    vfs.inject(Fault::nth(OpKind::Write, 2, Failure::ShortThenFull(2)).on("/a"));
    vfs.inject(Fault::nth(OpKind::Create, 1, Failure::Io).on("other").forever());
    file.write_all_at(b"ab", 0).unwrap();
    assert_eq!(file.write_all_at(b"xyz", 1).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(content(&vfs, "a"), b"axy.");
    file.write_all_at(b"zz", 2).unwrap();
    vfs.create(&path("b")).unwrap();
    assert!(vfs.create(&path("other")).is_err() && vfs.create(&path("other")).is_err());
    vfs.heal();
    vfs.create(&path("other")).unwrap();
    vfs.inject(Fault::nth(OpKind::Write, 1, Failure::Lost));
    file.write_all_at(b"lost", 0).unwrap();
    vfs.inject(Fault::nth(OpKind::Write, 1, Failure::Misdirected(2)));
    file.write_all_at(b"mm", 1).unwrap();
    vfs.inject(Fault::nth(OpKind::SyncData, 1, Failure::Lost));
    file.sync_data().unwrap();
    assert_eq!(content(&vfs, "a"), b"axzmm");
    assert!(vfs.is_dirty(&path("a")).unwrap());
    assert_eq!(vfs.faults(), 0);
}

#[test]
fn space_runs_out_and_comes_back() {
    let vfs = with_dir();
    vfs.set_free_bytes(10);
    let file = vfs.create(&path("a")).unwrap();
    file.write_all_at(&[1; 8], 0).unwrap();
    assert_eq!(vfs.space(Path::new("/data")).unwrap().free_bytes, 2);
    assert_eq!(file.write_all_at(&[2; 8], 4).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(content(&vfs, "a"), [1, 1, 1, 1, 2, 2, 2, 2, 2, 2]);
    assert_eq!(file.allocate(11).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.set_len(4).unwrap();
    file.allocate(3).unwrap();
    assert_eq!(file.len().unwrap(), 4);
    vfs.remove_file(&path("a")).unwrap();
    assert_eq!(vfs.space(Path::new("/data")).unwrap().free_bytes, 10);
}

#[test]
fn the_power_goes_off_after_so_many_changes_and_the_trace_tells_them() {
    let vfs = with_dir();
    vfs.record_trace();
    vfs.power_off_after(vfs.ops() + 2);
    let file = vfs.create(&path("a")).unwrap();
    file.write_all_at(b"abc", 4).unwrap();
    assert!(vfs.is_off() && file.sync_data().is_err() && file.len().is_err());
    let op = |kind, offset, bytes| Op { kind, path: path("a"), offset, bytes };
    assert_eq!(vfs.take_trace(), [op(OpKind::Create, 0, 0), op(OpKind::Write, 4, 3)]);
    let after = vfs.crash(PowerCut::Kept);
    assert_eq!(content(&after, "a"), b"\0\0\0\0abc");
}

#[test]
fn flipped_bits_are_on_the_disk() {
    let vfs = with_dir();
    let file = durable(&vfs, "a", b"abc");
    file.write_all_at(b"B", 1).unwrap();
    vfs.corrupt(&path("a"), 1, 0x20).unwrap();
    assert_eq!(content(&vfs, "a"), b"abc");
    assert_eq!(content(&vfs.crash(PowerCut::Lost), "a"), b"aBc");
    assert_eq!(content(&vfs.crash(PowerCut::Kept), "a"), b"abc");
    assert!(vfs.corrupt(&path("a"), 3, 1).is_err());
}

#[test]
fn files_grow_shrink_and_read_as_zeros_where_nothing_was_written() {
    let vfs = with_dir();
    let file = vfs.create(&path("a")).unwrap();
    file.write_all_at(&[9; 5000], 4000).unwrap();
    file.set_len(4100).unwrap();
    file.set_len(20_000).unwrap();
    let mut bytes = vec![1; 20_000];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert!(
        bytes.iter().enumerate().all(|(at, byte)| *byte == if (4000..4100).contains(&at) { 9 } else { 0 })
    );
    assert_eq!(file.read_exact_at(&mut [0; 2], 19_999).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    let read_only = vfs.open_read(&path("a")).unwrap();
    assert_eq!(read_only.write_all_at(b"x", 0).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(vfs.create(&path("a")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(vfs.create(Path::new("/none/a")).unwrap_err().kind(), io::ErrorKind::NotFound);
}
