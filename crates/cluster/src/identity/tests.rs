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
    assert!(matches!(refused(r#"{"format":2,"new":1}"#), IdentityError::Format { format: 2, .. }));
    assert!(matches!(refused(r#"{"format":1}"#), IdentityError::Malformed { .. }));
}

#[test]
fn any_flipped_bit_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity { member: true, ..Identity::found().unwrap() };
    identity.write(&RealVfs, dir.path()).unwrap();
    let path = dir.path().join(FILE);
    let bytes = atomic::read(&RealVfs, &path, BYTES_MAX).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            atomic::replace(&RealVfs, &path, &flipped).unwrap();
            match Identity::read(&RealVfs, dir.path()) {
                Err(_) => {}
                // White space between the fields, or the case of a hexadecimal digit of the checksum itself.
                Ok(read) => assert_eq!(read, Some(identity), "byte {at} bit {bit}"),
            }
        }
    }
}
