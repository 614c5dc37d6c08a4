//! Shares as texts and as bytes.

use super::*;
use crate::{Memory, Reservation};

#[test]
fn a_text_changes_what_it_names() {
    assert_eq!(Shares::parse(""), Ok(Shares::STANDARD));
    let changed = Shares::parse(" cache=20, queries = 30% ");
    assert_eq!(changed, Ok(Shares { cache: 20, queries: 30, ..Shares::STANDARD }));
    for wrong in ["cache", "cache=", "cache=0", "cache=100", "cache=x", "cash=5", "cache=-1"] {
        assert_eq!(Shares::parse(wrong), Err(SharesError::Part), "{wrong}");
    }
    assert_eq!(Shares::parse("cache=36"), Err(SharesError::Sum(101)));
}

#[test]
fn memory_is_divided_by_shares_and_the_cache_lends_to_queries() {
    let memory = Memory::new(1000, Shares::STANDARD, usize::MAX);
    let limits = memory.accounts().map(|account| account.limit());
    assert_eq!(limits, [188, 62, 340, 10, 200, 150, 50]);
    assert_eq!(limits.iter().sum::<usize>(), 1000);
    assert!(memory.memtables_soft() < memory.memtables.limit());

    assert_eq!(Memory::new(1000, Shares::STANDARD, 20).writes.limit(), 20);

    assert_eq!(memory.cache_bytes_max(), 340);
    let mut query = Reservation::of(&memory.queries, 150).expect("its own share");
    assert_eq!(memory.cache_bytes_max(), 340);
    query.cover(320).expect("half of the cache's share is lent");
    assert_eq!(memory.cache_bytes_max(), 170);
    assert!(query.cover(321).is_err());
    drop(query);
    assert_eq!(memory.cache_bytes_max(), 340);
}
