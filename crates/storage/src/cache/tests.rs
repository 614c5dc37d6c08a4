//! What the cache keeps, and what makes way.

use memory::{Memory, Reservation, Shares};
use model::Values;

use super::*;

const SHARES: Shares = Shares { memtables: 1, cache: 50, index: 1, queries: 1, compaction: 1 };

/// A memory whose cache has so many bytes.
fn memory(cache_bytes: usize) -> Arc<Memory> {
    Memory::new(cache_bytes * 2, SHARES, usize::MAX)
}

fn page(values: i64) -> Arc<Column> {
    Arc::new(Column::new(Values::Integer((0..values).collect())))
}

fn keep(cache: &Arc<BlockCache>, file: FileId, offsets: std::ops::Range<u64>) {
    for offset in offsets {
        Reads::of_query(cache, None).keep_page(Place { file, offset }, &page(1000));
    }
}

fn held(cache: &Arc<BlockCache>, file: FileId, offsets: std::ops::Range<u64>) -> usize {
    let reads = Reads::of_query(cache, None);
    offsets.filter(|&offset| reads.page(Place { file, offset }).is_some()).count()
}

#[test]
fn a_block_is_found_where_it_was_put_and_nowhere_else() {
    let cache = BlockCache::new(&memory(1 << 20));
    let (one, other) = (FileId::next(), FileId::next());
    keep(&cache, one, 5..6);
    let reads = Reads::of_query(&cache, None);
    assert_eq!(reads.page(Place { file: one, offset: 5 }).as_deref(), Some(&*page(1000)));
    assert!(reads.page(Place { file: one, offset: 6 }).is_none());
    assert!(reads.page(Place { file: other, offset: 5 }).is_none());
    assert!(reads.directory(Place { file: one, offset: 5 }).is_none());
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses, stats.blocks), (2, 2, 1));
}

#[test]
fn the_cache_stays_within_its_bytes() {
    let cache = BlockCache::new(&memory(1 << 20));
    keep(&cache, FileId::next(), 0..1000);
    let stats = cache.stats();
    assert!(stats.bytes <= 1 << 20, "{stats:?}");
    assert!(stats.blocks > 50 && stats.evictions > 500, "{stats:?}");
}

#[test]
fn what_is_read_again_outlives_what_is_read_once() {
    let cache = BlockCache::new(&memory(4 << 20));
    let (hot, cold) = (FileId::next(), FileId::next());
    keep(&cache, hot, 0..100);
    for _ in 0..3 {
        assert_eq!(held(&cache, hot, 0..100), 100);
    }
    keep(&cache, cold, 0..10_000);
    assert!(held(&cache, hot, 0..100) > 80);
}

#[test]
fn one_scan_brings_in_no_more_than_its_part() {
    let cache = BlockCache::new(&memory(4 << 20));
    let (file, reads) = (FileId::next(), Reads::of_query(&cache, None));
    for offset in 0..1000 {
        reads.keep_page(Place { file, offset }, &page(1000));
    }
    let stats = cache.stats();
    assert!(stats.bytes <= (4 << 20) / SCAN_PARTS + stats.blocks * ENTRY_BYTES, "{stats:?}");
    assert!(stats.blocks > 20, "{stats:?}");
    let bypass = Reads::bypass();
    bypass.keep_page(Place { file, offset: 2000 }, &page(10));
    assert!(bypass.page(Place { file, offset: 0 }).is_none());
    assert_eq!(cache.stats(), stats, "whoever goes past leaves no trace");
}

#[test]
fn blocks_go_with_their_file() {
    let cache = BlockCache::new(&memory(8 << 20));
    let files = [FileId::next(), FileId::next(), FileId::next()];
    files.iter().for_each(|&file| keep(&cache, file, 0..50));
    cache.forget(&files[..2]);
    assert_eq!(files.map(|file| held(&cache, file, 0..50)), [0, 0, 50]);
}

#[test]
fn what_is_lent_to_queries_is_given_up_and_what_is_held_is_charged() {
    let memory = memory(4 << 20);
    let cache = BlockCache::new(&memory);
    keep(&cache, FileId::next(), 0..1000);
    cache.settle();
    assert_eq!(memory.cache.used(), cache.stats().bytes);
    assert!(cache.stats().bytes > 3 << 20);
    let query = Reservation::of(&memory.queries, memory.queries.bytes_max()).expect("all there is");
    cache.settle();
    assert!(cache.stats().bytes <= 2 << 20, "{:?}", cache.stats());
    assert_eq!(memory.cache.used(), cache.stats().bytes);
    drop(query);
    keep(&cache, FileId::next(), 0..1000);
    assert!(cache.stats().bytes > 3 << 20, "{:?}", cache.stats());
    drop(cache);
    assert_eq!(memory.cache.used(), 0);
}
