//! An identity is found again as it was written, and nothing else is taken for one.

use disk::RealVfs;

use super::*;

#[test]
fn an_identity_survives_and_two_are_different() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Identity::read(&RealVfs, dir.path()).unwrap(), None);
    let mut identity = Identity::mint().unwrap();
    identity.write(&RealVfs, dir.path()).unwrap();
    assert_eq!(Identity::read(&RealVfs, dir.path()).unwrap(), Some(identity));
    identity.belongs = Some(Belongs::founding(random_id().unwrap(), 2));
    identity.write(&RealVfs, dir.path()).unwrap();
    assert_eq!(Identity::read(&RealVfs, dir.path()).unwrap(), Some(identity));
    identity.member = true;
    identity.write(&RealVfs, dir.path()).unwrap();
    assert_eq!(Identity::read(&RealVfs, dir.path()).unwrap(), Some(identity));
    for state in [NodeState::Lost, NodeState::Decommissioned] {
        identity.out = Some(state);
        identity.write(&RealVfs, dir.path()).unwrap();
        assert_eq!(Identity::read(&RealVfs, dir.path()).unwrap(), Some(identity));
    }
    assert_ne!(identity.node_uuid, Identity::mint().unwrap().node_uuid);
}

#[test]
fn what_is_no_identity_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |text: &str| {
        atomic::replace(&RealVfs, &dir.path().join(FILE), text.as_bytes()).unwrap();
        Identity::read(&RealVfs, dir.path()).unwrap_err()
    };
    assert!(matches!(refused("{"), IdentityError::Malformed { .. }));
    assert!(matches!(refused(r#"{"format":4,"new":1}"#), IdentityError::Format { format: 4, .. }));
    assert!(matches!(refused(r#"{"format":3}"#), IdentityError::Malformed { .. }));
}

#[test]
fn any_flipped_bit_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let belongs = Some(Belongs::founding(random_id().unwrap(), 0));
    let identity = Identity { member: true, belongs, ..Identity::mint().unwrap() };
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
