//! More files than may be open: each reads its own bytes, and what nobody holds is closed.

use super::*;
use crate::vfs::sim::SimVfs;

fn with_files(count: u8) -> SimVfs {
    let vfs = SimVfs::new();
    vfs.create_dir_all(Path::new("/d")).unwrap();
    for n in 0..count {
        vfs.create(&path(n)).unwrap().write_all_at(&[n; 10], 0).unwrap();
    }
    vfs
}

fn path(n: u8) -> PathBuf {
    PathBuf::from(format!("/d/{n}"))
}

#[test]
fn more_files_than_may_be_open_are_all_readable() {
    let vfs = PooledVfs::new(Arc::new(with_files(20)), 3);
    let files: Vec<_> = (0..20).map(|n| vfs.open_read(&path(n)).unwrap()).collect();
    for round in 0..3 {
        for (n, file) in (0..20_u8).zip(&files) {
            let mut bytes = [0; 4];
            file.read_exact_at(&mut bytes, round).unwrap();
            assert_eq!(bytes, [n; 4]);
            assert_eq!(file.len().unwrap(), 10);
            assert!(vfs.open_files() <= 3);
        }
    }
    drop(files);
    assert_eq!(vfs.open_files(), 0, "nobody holds them");
}

#[test]
fn the_files_in_use_stay_open() {
    let sim = with_files(4);
    let vfs = PooledVfs::new(Arc::new(sim.clone()), 2);
    let files: Vec<_> = (0..4).map(|n| vfs.open_read(&path(n)).unwrap()).collect();
    let read = |n: usize| files[n].read_exact_at(&mut [0; 1], 0);
    read(0).unwrap();
    read(1).unwrap();
    read(0).unwrap();
    read(2).unwrap();
    // 0 and 2 are open and need no name; 1 was used longest ago and was closed.
    (0..4).for_each(|n| sim.remove_file(&path(n)).unwrap());
    read(0).unwrap();
    read(2).unwrap();
    assert_eq!(read(1).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_missing_file_is_missing_at_once() {
    let vfs = PooledVfs::new(Arc::new(SimVfs::new()), 2);
    assert_eq!(vfs.open_read(&path(1)).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(vfs.open_files(), 0);
}
