//! Old or new, never a mixture, at every point of a replacement.

use super::*;
use crate::vfs::SimVfs;
use crate::vfs::sim::{Failure, Fault, OpKind, PowerCut};

const FILE: &str = "/data/state";

fn with_old() -> SimVfs {
    let vfs = SimVfs::new();
    vfs.create_dir_all(Path::new("/data")).unwrap();
    replace_checked(&vfs, Path::new(FILE), b"old").unwrap();
    vfs
}

#[test]
fn every_crash_leaves_the_old_or_the_new() {
    let new = vec![7; 3000];
    let (mut old_seen, mut new_seen) = (0, 0);
    for ops in 0.. {
        let vfs = with_old();
        vfs.power_off_after(vfs.ops() + ops);
        let done = replace_checked(&vfs, Path::new(FILE), &new).is_ok();
        let torn = (0..40).map(|seed| PowerCut::Torn { seed, block_bytes: 512 });
        for cut in torn.chain([PowerCut::Lost, PowerCut::Kept]) {
            let after = vfs.crash(cut);
            let found = read_checked(&after, Path::new(FILE), 4000).unwrap();
            assert!(found == new || (found == b"old" && !done), "after {ops} operations, {cut:?}");
            if found == new {
                new_seen += 1;
            } else {
                old_seen += 1;
            }
            // Whatever is left of the attempt does not hinder the next.
            replace_checked(&after, Path::new(FILE), b"next").unwrap();
            assert_eq!(read_checked(&after.crash(PowerCut::Lost), Path::new(FILE), 4).unwrap(), b"next");
        }
        if done {
            break;
        }
    }
    assert!(old_seen > 100 && new_seen > 40, "{old_seen} {new_seen}");
}

#[test]
fn every_failure_leaves_the_old_or_the_new_and_a_second_try_works() {
    use OpKind::{Create, Rename, SyncData, SyncDir, Write};
    for kind in [Create, Write, SyncData, Rename, SyncDir] {
        for failure in [Failure::Io, Failure::Full, Failure::ShortThenFull(2)] {
            let vfs = with_old();
            vfs.inject(Fault::nth(kind, 1, failure));
            replace_checked(&vfs, Path::new(FILE), b"new").unwrap_err();
            let found = read_checked(&vfs, Path::new(FILE), 100).unwrap();
            assert!(found == b"old" || kind == SyncDir, "{kind:?}");
            replace_checked(&vfs, Path::new(FILE), b"new").unwrap();
            assert_eq!(read_checked(&vfs.crash(PowerCut::Lost), Path::new(FILE), 100).unwrap(), b"new");
        }
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let whole = with_old().open(Path::new(FILE)).unwrap().len().unwrap();
    for at in 0..whole {
        for bit in 0..8 {
            let vfs = with_old();
            vfs.corrupt(Path::new(FILE), at, 1 << bit).unwrap();
            assert!(matches!(read_checked(&vfs, Path::new(FILE), 100), Err(AtomicError::Corrupt { .. })));
        }
        let vfs = with_old();
        vfs.open(Path::new(FILE)).unwrap().set_len(at).unwrap();
        assert!(matches!(read_checked(&vfs, Path::new(FILE), 100), Err(AtomicError::Corrupt { .. })));
    }
}

#[test]
fn a_missing_or_a_long_file_is_an_error_of_its_own() {
    let vfs = with_old();
    assert!(read(&vfs, Path::new("/data/none"), 10).unwrap_err().is_not_found());
    assert!(matches!(
        read_checked(&vfs, Path::new(FILE), 2),
        Err(AtomicError::TooLong { bytes: 19, limit: 18, .. })
    ));
    replace(&vfs, Path::new("/data/plain"), b"plain").unwrap();
    assert_eq!(read(&vfs, Path::new("/data/plain"), 5).unwrap(), b"plain");
    assert_eq!(vfs.list(Path::new("/data")).unwrap(), [PathBuf::from("plain"), PathBuf::from("state")]);
}
