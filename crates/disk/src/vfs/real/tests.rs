//! The real file system keeps to the same rules that the simulated one enforces.

use super::*;

#[test]
fn files_are_written_at_places_and_grow_with_zeros() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let file = RealVfs.create(&path).unwrap();
    assert!(file.is_empty().unwrap());
    file.write_all_at(b"end", 7).unwrap();
    file.allocate(5).unwrap();
    assert_eq!(file.len().unwrap(), 10);
    file.allocate(0).unwrap();
    file.allocate(5000).unwrap();
    file.sync_data().unwrap();
    let mut bytes = [1; 12];
    RealVfs.open_read(&path).unwrap().read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"\0\0\0\0\0\0\0end\0\0");
    file.set_len(8).unwrap();
    let error = file.read_exact_at(&mut bytes, 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(RealVfs.open_read(&path).unwrap().write_all_at(b"x", 0).is_err());
    assert_eq!(RealVfs.create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(RealVfs.open(&dir.path().join("b")).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn names_are_made_moved_listed_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("x/y/z");
    RealVfs.create_dir_all(&deep).unwrap();
    RealVfs.create_dir_all(&deep).unwrap();
    for name in ["b", "a"] {
        RealVfs.create(&deep.join(name)).unwrap().write_all_at(name.as_bytes(), 0).unwrap();
    }
    RealVfs.hard_link(&deep.join("a"), &deep.join("c")).unwrap();
    assert_eq!(
        RealVfs.hard_link(&deep.join("a"), &deep.join("b")).unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
    RealVfs.rename(&deep.join("b"), &deep.join("a")).unwrap();
    RealVfs.sync_dir(&deep).unwrap();
    assert_eq!(RealVfs.list(&deep).unwrap(), [PathBuf::from("a"), PathBuf::from("c")]);
    let mut bytes = [0; 2];
    for (at, name) in ["a", "c"].iter().enumerate() {
        RealVfs.open_read(&deep.join(name)).unwrap().read_exact_at(&mut bytes[at..=at], 0).unwrap();
    }
    assert_eq!(&bytes, b"ba");
    RealVfs.remove_file(&deep.join("c")).unwrap();
    assert!(!RealVfs.exists(&deep.join("c")).unwrap());
    let file_in_the_way = RealVfs.create_dir_all(&deep.join("a/b"));
    assert!(file_in_the_way.is_err());
    RealVfs.remove_dir_all(&dir.path().join("x")).unwrap();
    RealVfs.remove_dir_all(&dir.path().join("x")).unwrap();
    assert!(!RealVfs.exists(&deep).unwrap());
    let space = RealVfs.space(dir.path()).unwrap();
    assert!(space.free_bytes > 0 && space.free_bytes <= space.total_bytes);
}

#[test]
fn a_file_whose_sync_failed_refuses_everything() {
    // A file descriptor that cannot be synced: a character device answers EINVAL.
    let device = RealVfs.open(Path::new("/dev/null")).unwrap();
    device.len().unwrap();
    assert!(device.sync_data().is_err());
    assert!(device.len().is_err() && device.write_all_at(b"x", 0).is_err() && device.sync_data().is_err());
    assert!(
        device.set_len(0).is_err()
            && device.allocate(1).is_err()
            && device.read_exact_at(&mut [0], 0).is_err()
    );
}
