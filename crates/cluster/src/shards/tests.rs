//! What is said is what is read, and nonsense is not.

use super::*;

#[test]
fn a_shard_is_read_as_it_was_said() {
    let range = TimeRange::new(Timestamp(-5), Timestamp(7));
    let shard = HeldShard { bucket: BucketId::new(3).unwrap(), range, bytes: 9, files: 2 };
    let said = answer(vec![shard]).shards;
    assert_eq!(said.iter().copied().filter_map(read).collect::<Vec<_>>(), [shard]);
    for wrong in [peer::HeldShard { bucket: 0, ..said[0] }, peer::HeldShard { start: 7, ..said[0] }] {
        assert_eq!(read(wrong), None);
    }
}
