//! Tokens come back as they were given, and nothing else is believed.

use model::PartitionId;
use proptest::prelude::*;

use super::*;

const CLUSTER: u128 = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;

fn data(partition: u16) -> GroupId {
    GroupId::Data(PartitionId(partition))
}

proptest! {
    #[test]
    fn a_token_says_what_was_committed(pairs in proptest::collection::btree_map(0..=4096_u32, any::<u64>(), 0..64)) {
        let group = |number| GroupId::from_number(number).unwrap();
        let commits: Commits = pairs.into_iter().map(|(number, index)| (group(number), index)).collect();
        prop_assert_eq!(decode(CLUSTER, &encode(CLUSTER, &commits)), Ok(commits));
    }

    #[test]
    fn nothing_else_is_a_token(text in "[A-Za-z0-9_-]{0,80}") {
        prop_assert_eq!(decode(CLUSTER, &text), Err(TokenError::Malformed));
    }
}

#[test]
fn a_changed_or_foreign_token_is_refused() {
    let commits: Commits = [(GroupId::Meta, 9), (data(0), 1), (data(4095), u64::MAX)].into_iter().collect();
    let token = encode(CLUSTER, &commits);
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(decode(CLUSTER, &changed), Err(TokenError::Malformed), "{changed}");
        assert_eq!(decode(CLUSTER, &token[..at]), Err(TokenError::Malformed));
    }
    assert_eq!(decode(CLUSTER, &format!("{token}=")), Err(TokenError::Malformed));
    assert_eq!(decode(CLUSTER + 1, &token), Err(TokenError::Foreign));
}

#[test]
fn a_token_is_as_long_as_the_groups_are_many() {
    let of = |partitions: u16| {
        let all = (0..partitions).map(|partition| (data(partition), 3_000_000_000_u64));
        let commits: Commits = all.chain([(GroupId::Meta, 1_000_000)]).collect();
        let token = encode(CLUSTER, &commits);
        assert_eq!(decode(CLUSTER, &token), Ok(commits));
        token.len()
    };
    assert!(of(32) < 512, "{}", of(32));
    assert!(of(4096) < TEXT_BYTES_MAX, "{}", of(4096));
}
