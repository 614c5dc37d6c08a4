//! An identity is found again as it was written, and nothing else is taken for one.

use disk::RealVfs;

use super::*;

#[test]
fn an_identity_survives_and_two_are_different() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Identity::read(&RealVfs, dir.path()).unwrap(), None);
    let mut identity = Identity::found().unwrap();
    identity.write(&RealVfs, dir.path()).unwrap();
    assert_eq!(Identity::read(&RealVfs, dir.path()).unwrap(), Some(identity));
    identity.member = true;
    identity.write(&RealVfs, dir.path()).unwrap();
    assert_eq!(Identity::read(&RealVfs, dir.path()).unwrap(), Some(identity));
    let other = Identity::found().unwrap();
    assert_ne!((identity.cluster_id, identity.node_uuid), (other.cluster_id, other.node_uuid));
}

#[test]
fn what_is_no_identity_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |text: &str| {
        atomic::replace(&RealVfs, &dir.path().join(FILE), text.as_bytes()).unwrap();
        Identity::read(&RealVfs, dir.path()).unwrap_err()
    };
    assert!(matches!(refused("{"), IdentityError::Malformed { .. }));
    let with = |format: u32, node: &str| {
        format!(
            r#"{{"format":{format},"cluster_id":"1","node_uuid":"2","node_id":"{node}","created_version":"","member":true}}"#
        )
    };
    assert!(matches!(refused(&with(2, "0000000000000001")), IdentityError::Format { format: 2, .. }));
    assert!(matches!(refused(&with(1, "0000000000000000")), IdentityError::Field { field: "node_id", .. }));
}
