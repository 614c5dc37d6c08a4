//! Plans of faults are read and kept.

use super::*;
use crate::RealVfs;

#[test]
fn each_fault_comes_when_it_is_planned() {
    let dir = tempfile::tempdir().unwrap();
    let plan = "sync:log:2:eio; rename:log:1:full; create:other:2+:eio; write::*:sleep=0";
    let vfs = Faults::parse(plan).unwrap().put_into(Arc::new(RealVfs));
    let log = dir.path().join("log");
    let file = vfs.create(&log).unwrap();
    file.write_all_at(b"a", 0).unwrap();
    file.sync_data().unwrap();
    file.write_all_at(b"b", 1).unwrap();
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()));
    // What it holds is unknown from then on.
    assert!(file.sync_data().is_err() && file.len().is_err() && file.write_all_at(b"c", 2).is_err());
    assert_eq!(vfs.rename(&log, &dir.path().join("log.2")).unwrap_err().kind(), io::ErrorKind::StorageFull);
    vfs.rename(&log, &dir.path().join("log.2")).unwrap();
    let other = |n: u32| vfs.create(&dir.path().join(format!("other.{n}")));
    assert!(other(1).is_ok() && other(2).is_err() && other(3).is_err());
}

#[test]
fn without_faults_nothing_stands_between() {
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs);
    assert!(Arc::ptr_eq(&Faults::parse(" ; ").unwrap().put_into(Arc::clone(&vfs)), &vfs));
}

#[test]
fn what_is_no_plan_is_refused() {
    for text in [
        "sync",
        "sync:1:eio",
        "fsync::1:eio",
        "sync::0:eio",
        "sync::x:eio",
        "sync::1:tear",
        "sync::1:sleep",
        "sync::1:sleep=x",
        "unsynced; sync::-1:kill",
    ] {
        assert!(Faults::parse(text).is_err(), "{text}");
    }
    assert_eq!(Faults::parse("a; b").unwrap_err().to_string(), "`a` is no fault");
}
