//! Envelopes come back as they went in, and foreign ones are refused with a reason.

use model::{Predicate, Subject, Test};

use super::*;

fn bucket() -> BucketId {
    BucketId::new(7).unwrap()
}

#[test]
fn operations_survive_the_envelope() {
    for op in [
        PartitionOp::DropShards { bucket: bucket(), ending_by: Timestamp(-5) },
        PartitionOp::DropBucket { bucket: bucket() },
        PartitionOp::Delete(Deletion {
            bucket: bucket(),
            range: TimeRange::new(Timestamp(-5), Timestamp::MAX),
            predicate: Predicate::Compare(Subject::Tag("host".into()), Test::Eq("a".into())),
        }),
    ] {
        assert_eq!(decode_op(encode_op(&op, Timestamp(1))).unwrap(), op);
    }
}

#[test]
fn catalog_commands_survive_and_are_no_partition_operations() {
    let entry = encode_catalog(vec![1, 2, 3], Timestamp(9));
    assert_eq!(decode_catalog(entry.clone()).unwrap(), &[1_u8, 2, 3][..]);
    assert!(matches!(decode_op(entry), Err(EntryError::Kind { found: "catalog", .. })));
}

#[test]
fn a_later_format_is_refused() {
    let later =
        log::Entry { format: ENTRY_FORMAT + 1, body: Some(Body::Blank(log::Blank {})), ..Default::default() };
    assert!(matches!(decode(later.encode_to_vec().into()), Err(EntryError::Format(3))));
}

#[test]
fn what_a_first_version_understands_is_in_its_format() {
    let format =
        |op: &PartitionOp| log::Entry::decode(encode_op(op, Timestamp(1))).expect("an envelope").format;
    assert_eq!(format(&PartitionOp::DropBucket { bucket: BucketId::new(1).unwrap() }), 1);
    assert_eq!(format(&PartitionOp::Compare), 2);
    let compare = encode_op(&PartitionOp::Compare, Timestamp(1));
    assert_eq!(decode_op(compare).unwrap(), PartitionOp::Compare);
}

#[test]
fn bytes_that_are_no_envelope_are_refused() {
    assert!(matches!(decode(Bytes::from_static(&[0xff; 9])), Err(EntryError::Envelope(_))));
    assert!(matches!(decode(Bytes::new()), Err(EntryError::Format(0))));
    let zero = log::Entry {
        format: 1,
        body: Some(Body::DropBucket(log::DropBucket { bucket: 0 })),
        ..Default::default()
    };
    assert!(matches!(decode_op(zero.encode_to_vec().into()), Err(EntryError::Bucket)));
}
