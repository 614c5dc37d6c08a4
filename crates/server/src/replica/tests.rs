//! Which directory is the replica's, whatever a crash has left beside it.

use disk::RealVfs;

use super::*;

const PARTITION: PartitionId = PartitionId(3);
const REPLICA: ReplicaId = ReplicaId(12);

fn settled(root: &Path) -> (Home, Vec<String>) {
    let home = Home::settle(&RealVfs, root, PARTITION, REPLICA).unwrap();
    let names = RealVfs.list(&root.join("3")).unwrap_or_default();
    let mut names: Vec<_> =
        names.iter().map(|name| name.file_name().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    (home, names)
}

#[test]
fn a_new_replica_begins_in_its_own_directory() {
    let root = tempfile::tempdir().unwrap();
    let (home, names) = settled(root.path());
    assert_eq!(home.engine_dir(), root.path().join("3/12"));
    assert!(names.is_empty());
}

#[test]
fn the_newest_directory_counts_and_the_rest_goes() {
    let root = tempfile::tempdir().unwrap();
    for name in
        ["12", "12.1", "12.2", "12.incoming-0", "12.checkpoint-7", "1", "1.5", "121", "120.incoming-1"]
    {
        RealVfs.create_dir_all(&root.path().join("3").join(name).join("inner")).unwrap();
    }
    let (home, names) = settled(root.path());
    assert_eq!(home.engine_dir(), root.path().join("3/12.2"));
    assert_eq!(names, ["1", "1.5", "12.2", "120.incoming-1", "121"]);
}

#[test]
fn what_replicas_that_are_gone_have_left_goes_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let clear = |below| Home::clear(&RealVfs, root.path(), PARTITION, ReplicaId(below));
    clear(12).unwrap();
    for name in ["3", "11.2", "11.incoming-0", "12", "12.1", "12.incoming-3", "13", "lost+found"] {
        RealVfs.create_dir_all(&root.path().join("3").join(name).join("inner")).unwrap();
    }
    RealVfs.create_dir_all(&root.path().join("4/1")).unwrap();
    for _ in 0..2 {
        clear(12).unwrap();
        let left = RealVfs.list(&root.path().join("3")).unwrap();
        let mut left: Vec<_> = left.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        left.sort_unstable();
        assert_eq!(left, ["12", "12.1", "12.incoming-3", "13", "lost+found"]);
    }
    assert!(RealVfs.exists(&root.path().join("4/1")).unwrap());
}

#[test]
fn a_name_says_whose_directory_it_is_and_what_it_holds() {
    let engine = |installed| Some((REPLICA, Content::Engine(installed)));
    assert_eq!([content_of("12"), content_of("12.2")], [engine(0), engine(2)]);
    let passing = Some((REPLICA, Content::Passing));
    assert_eq!([content_of("12.incoming-0"), content_of("12.checkpoint-7")], [passing; 2]);
    for foreign in ["", "x", "+12", "012", "12.", "12.0", "12.02", "12.other-1", "12.1.1", "-1"] {
        assert_eq!(content_of(foreign), None, "{foreign}");
    }
}

#[test]
fn an_installation_is_one_rename() {
    let root = tempfile::tempdir().unwrap();
    let partition = root.path().join("3");
    RealVfs.create_dir_all(&partition.join("12/old")).unwrap();
    let (home, _) = settled(root.path());
    let incoming = home.passing("incoming", 4);
    RealVfs.create_dir_all(&incoming.join("new")).unwrap();
    // A crash before: what has come in is of no account.
    assert_eq!(settled(root.path()), (home.clone(), vec!["12".to_owned()]));
    RealVfs.create_dir_all(&incoming.join("new")).unwrap();
    let next = home.install(&RealVfs, &incoming).unwrap();
    // A crash after: it is the replica.
    assert_eq!(settled(root.path()), (next.clone(), vec!["12.1".to_owned()]));
    assert!(RealVfs.exists(&next.engine_dir().join("new")).unwrap());
}
