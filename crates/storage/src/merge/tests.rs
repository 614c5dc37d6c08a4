//! Merging against a map.

use std::collections::BTreeMap;
use std::convert::Infallible;

use model::{Column, FieldDef, FieldType, TimeRange, Timestamp, Values};
use proptest::prelude::*;

use super::{BLOCK_ROWS_MAX, Merge, Piece, Rows, without_empty_rows};

#[derive(Debug, Clone)]
struct Fake {
    rank: u64,
    /// By time: values of two fields.
    rows: BTreeMap<i64, [Option<i64>; 2]>,
}

impl Piece for Fake {
    type Error = Infallible;

    fn times(&self) -> (i64, i64) {
        (*self.rows.first_key_value().unwrap().0, *self.rows.last_key_value().unwrap().0)
    }

    fn rank(&self) -> u64 {
        self.rank
    }

    fn load(&self, _: &[FieldDef]) -> Result<Rows, Infallible> {
        let column = |field: usize| {
            let mut column = Column::new(Values::Integer(Vec::new()));
            for values in self.rows.values() {
                match values[field] {
                    Some(value) => column.push(&model::FieldValue::Integer(value)),
                    None => column.push_null(),
                }
            }
            (column.null_count() < column.len()).then_some(column)
        };
        Ok(Rows { times: self.rows.keys().copied().collect(), columns: vec![column(0), column(1)] })
    }
}

fn merged(pieces: Vec<Fake>, range: TimeRange) -> BTreeMap<i64, [Option<i64>; 2]> {
    let field = |name: &str| FieldDef { name: name.into(), field_type: FieldType::Integer };
    let mut merge = Merge::new(pieces, vec![field("a"), field("b")], range);
    let mut out = BTreeMap::new();
    let mut last = None;
    while let Ok(Some(block)) = merge.next_block() {
        assert!(block.times.len() <= BLOCK_ROWS_MAX && !block.times.is_empty());
        let block = without_empty_rows(block);
        for (i, &time) in block.times.iter().enumerate() {
            assert!(last.is_none_or(|l| l < time), "times ascend over blocks");
            last = Some(time);
            let value = |field: usize| {
                let column: Option<&Column> = block.columns[field].as_ref();
                column.and_then(|c| c.get(i)).map(|v| match v {
                    model::FieldValue::Integer(v) => v,
                    other => panic!("{other:?}"),
                })
            };
            out.insert(time, [value(0), value(1)]);
        }
    }
    out
}

fn expected(pieces: &[Fake], range: TimeRange) -> BTreeMap<i64, [Option<i64>; 2]> {
    let mut sorted: Vec<_> = pieces.iter().collect();
    sorted.sort_by_key(|p| p.rank);
    let mut out: BTreeMap<i64, [Option<i64>; 2]> = BTreeMap::new();
    for piece in sorted {
        for (time, values) in piece.rows.iter().filter(|(t, _)| range.contains(Timestamp(**t))) {
            let row = out.entry(*time).or_default();
            for (to, from) in row.iter_mut().zip(values) {
                *to = from.or(*to);
            }
        }
    }
    out.retain(|_, values| values.iter().any(Option::is_some));
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn later_pieces_win_field_by_field(
        rows in prop::collection::vec(
            prop::collection::btree_map(-50_i64..50, [prop::option::of(any::<i64>()), prop::option::of(any::<i64>())], 1..20),
            0..8,
        ),
        start in -60_i64..60,
        len in 0_i64..120,
    ) {
        let pieces: Vec<_> = (0..).zip(rows).map(|(rank, rows)| Fake { rank, rows }).collect();
        let range = TimeRange::new(Timestamp(start), Timestamp(start + len));
        prop_assert_eq!(merged(pieces.clone(), range), expected(&pieces, range));
    }
}

#[test]
fn long_interleaved_pieces_come_in_full_blocks() {
    let piece = |rank: u64, first: i64| Fake {
        rank,
        rows: (0..30_000).map(|i| (first + i * 3, [Some(i), (i % 2 == 0).then_some(i)])).collect(),
    };
    let pieces = vec![piece(0, 0), piece(1, 1), piece(2, 0), piece(3, 45_000)];
    assert_eq!(merged(pieces.clone(), TimeRange::ALL), expected(&pieces, TimeRange::ALL));
}
