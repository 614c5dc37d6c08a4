//! Everyone sees what was written; the disk has what was synced.

use proptest::prelude::*;

use super::*;
use crate::RealVfs;

#[test]
fn the_disk_has_what_was_synced_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let vfs = UnsyncedVfs::new(Arc::new(RealVfs));
    let path = dir.path().join("file");
    let file = vfs.create(&path).unwrap();
    file.write_all_at(b"kept", 0).unwrap();
    file.sync_data().unwrap();
    file.write_all_at(b"lost", 4).unwrap();
    drop(file);
    // Under another name, and by another that has opened it.
    let renamed = dir.path().join("renamed");
    vfs.rename(&path, &renamed).unwrap();
    let mut read = [0; 8];
    vfs.open_read(&renamed).unwrap().read_exact_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"keptlost");
    // As after the loss of power.
    assert_eq!(RealVfs.open_read(&renamed).unwrap().len().unwrap(), 4);
    vfs.open(&renamed).unwrap().sync_data().unwrap();
    assert_eq!(RealVfs.open_read(&renamed).unwrap().len().unwrap(), 8);
}

#[derive(Debug, Clone)]
enum Step {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..40, prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Step::Write(at, bytes)),
        1 => (0_u64..50).prop_map(Step::SetLen),
        1 => Just(Step::Sync),
    ]
}

proptest! {
    #[test]
    fn it_reads_as_the_file_system_does(steps in prop::collection::vec(step(), 1..30)) {
        let dir = tempfile::tempdir().unwrap();
        let vfs = UnsyncedVfs::new(Arc::new(RealVfs));
        let ours = vfs.create(&dir.path().join("ours")).unwrap();
        let theirs = RealVfs.create(&dir.path().join("theirs")).unwrap();
        for step in steps {
            for file in [&ours, &theirs] {
                match &step {
                    Step::Write(at, bytes) => file.write_all_at(bytes, *at).unwrap(),
                    Step::SetLen(len) => file.set_len(*len).unwrap(),
                    Step::Sync => file.sync_data().unwrap(),
                }
            }
            let len = theirs.len().unwrap();
            prop_assert_eq!(ours.len().unwrap(), len);
            let (mut a, mut b) = (vec![1; usize::try_from(len).unwrap()], vec![2; usize::try_from(len).unwrap()]);
            ours.read_exact_at(&mut a, 0).unwrap();
            theirs.read_exact_at(&mut b, 0).unwrap();
            prop_assert_eq!(a, b);
            prop_assert!(ours.read_exact_at(&mut [0], len).is_err());
        }
    }
}
