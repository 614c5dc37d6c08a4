//! Hostile bytes: any bytes are an error or exactly as many values as were asked for, never a panic and never more
//! memory than the page's header grants.
//!
//! A driver makes real pages of every codec, then changes, cuts, joins and replaces bytes by a fixed stream of
//! choices, many thousand times for each codec. A failure names its seed: `case(SEED)` runs it alone.

use std::collections::BTreeMap;

use disk::vfs::sim::Random;
use model::{ColumnType, FieldType, StringColumn, Values, varint};

use super::super::{
    BINS, BITS, DECIMAL, DICTIONARY, Decoder, EMPTY, Effort, FRAME, PATCHED_DECIMAL, PCO, PLAIN, RAW, RUNS,
    SAME_BIT, STEP, ZSTD, encode,
};
use super::pages_of;

/// Changed pages for each kind.
const CASES: u64 = 10_000;
/// Values of a column.
const LEN: usize = 600;
/// Most values of a page that is asked for.
const COUNT_MAX: usize = 1024;

/// Every codec, with that of the integers or indices inside.
const KINDS: [(u8, Option<u8>); 18] = [
    (EMPTY, None),
    (STEP, None),
    (FRAME, None),
    (PCO, None),
    (RAW, None),
    (DECIMAL, Some(STEP)),
    (DECIMAL, Some(FRAME)),
    (DECIMAL, Some(PCO)),
    (DECIMAL, Some(BINS)),
    (BITS, None),
    (RUNS, None),
    (SAME_BIT, None),
    (PLAIN, None),
    (DICTIONARY, Some(STEP)),
    (DICTIONARY, Some(FRAME)),
    (ZSTD, None),
    (BINS, None),
    (PATCHED_DECIMAL, Some(FRAME)),
];

/// A place below `end`.
fn below(choices: &mut Random, end: usize) -> usize {
    usize::try_from(choices.below(end as u64)).unwrap()
}

/// Columns that together need every codec.
fn columns(choices: &mut Random) -> Vec<Values> {
    let mut numbers = |bits: u32| -> Vec<i64> {
        let mut at = 0_i64;
        (0..LEN)
            .map(|_| {
                let rare = if choices.one_in(50) { choices.number() >> 20 } else { 0 };
                at = at.wrapping_add(((choices.number() >> (64 - bits)) ^ rare).cast_signed());
                at
            })
            .collect()
    };
    let (small, wide) = (numbers(2), numbers(33));
    let float = |v: &i64| if v % 97 == 0 { f64::NAN } else { *v as f64 / 100.0 };
    let third = |v: &i64| usize::try_from(v.unsigned_abs() % 3).unwrap();
    let apart = |v: &i64| [512, 1 << 40, 123_456_789][third(v)];
    let decimals_apart = |v: &i64| [0.05, 12_345.25, 7e9][third(v)];
    let states: StringColumn = small.iter().map(|v| format!("state {}", v % 5)).collect();
    let lines: StringColumn = wide.iter().map(|v| format!("a line about {v} and {}", v % 1000)).collect();
    vec![
        Values::Integer(small.clone()),
        Values::Integer(wide.clone()),
        Values::Integer(wide.iter().map(apart).collect()),
        Values::Integer(wide.iter().map(|v| if v % 97 == 0 { *v } else { [0, 1, 5][third(v)] }).collect()),
        Values::Float(wide.iter().map(|v| [0.0, 0.5, 2.5][third(v)]).collect()),
        Values::Time((0..1000).map(|i| i * 1000).collect()),
        Values::Unsigned(
            wide.iter().map(|v| v.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect(),
        ),
        Values::Float(small.iter().map(float).collect()),
        Values::Float(wide.iter().map(|v| (*v as f64).sqrt()).collect()),
        Values::Float(wide.iter().map(decimals_apart).collect()),
        Values::Float(vec![0.1; LEN]),
        Values::Boolean(small.iter().map(|v| v % 2 == 0).collect()),
        Values::Boolean((0..LEN).map(|i| i < LEN / 3).collect()),
        Values::String(states),
        Values::String((0..LEN).map(|i| if i < LEN / 2 { "up" } else { "down" }).collect()),
        Values::String(lines),
        // Too few for anything but plain.
        Values::String(["one", "another", "третий"].into_iter().collect()),
    ]
}

/// A part to decode: what a file would say of it.
struct Part {
    column_type: ColumnType,
    shared: Vec<u8>,
    codec: u8,
    payload: Vec<u8>,
    count: usize,
}

/// Real pages by kind.
fn parts(choices: &mut Random) -> BTreeMap<(u8, Option<u8>), Vec<Part>> {
    let mut parts = BTreeMap::<_, Vec<Part>>::new();
    for values in columns(choices) {
        for effort in [Effort::Fast, Effort::Dense(4)] {
            let pages = pages_of(values.len(), values.len() / 2);
            let encoded = encode(&values, &pages, effort);
            for (page, range) in encoded.pages.iter().zip(&pages) {
                let inner = match page.codec {
                    DECIMAL | PATCHED_DECIMAL => Some(page.payload[0] & 15),
                    DICTIONARY => Some(page.payload[0]),
                    _ => None,
                };
                parts.entry((page.codec, inner)).or_default().push(Part {
                    column_type: values.column_type(),
                    shared: encoded.shared.clone(),
                    codec: page.codec,
                    payload: page.payload.clone(),
                    count: range.len(),
                });
            }
        }
    }
    parts
}

fn mutate(bytes: &mut Vec<u8>, choices: &mut Random) {
    for _ in 0..=choices.below(3) {
        let at = below(choices, bytes.len());
        let byte = (choices.number() & 0xff) as u8;
        match choices.below(8) {
            0..=2 if !bytes.is_empty() => bytes[at] ^= 1 << (byte % 8),
            3 if !bytes.is_empty() => bytes[at] = byte,
            4 => bytes.truncate(at),
            5 => bytes.insert(at.min(bytes.len()), byte),
            6 => {
                let mut huge = Vec::new();
                varint::put(&mut huge, choices.number() >> choices.below(64));
                bytes.splice(at..(at + 1).min(bytes.len()), huge);
            }
            _ => bytes.extend_from_within(at.min(bytes.len())..),
        }
    }
}

fn decode(part: &Part) {
    let Ok(mut decoder) = Decoder::new(part.column_type, &part.shared) else { return };
    let mut out = Values::empty(part.column_type);
    out.push_default();
    if decoder.decode(part.codec, &part.payload, part.count, &mut out).is_ok() {
        assert_eq!(out.len(), part.count + 1, "codec {}", part.codec);
    }
}

/// One changed part. Some get what belongs to another.
fn case(parts: &[Part], others: &[&Part], seed: u64) {
    let mut choices = Random::new(seed);
    let origin = &parts[below(&mut choices, parts.len())];
    let other = others[below(&mut choices, others.len())];
    let mut part = Part { shared: origin.shared.clone(), payload: origin.payload.clone(), ..*origin };
    match choices.below(8) {
        0 => mutate(&mut part.shared, &mut choices),
        1 => part.codec = (choices.number() & 15) as u8,
        2 => part.count = below(&mut choices, COUNT_MAX),
        3 => part.column_type = other.column_type,
        4 => part.shared.clone_from(&other.shared),
        5 => part.payload = (0..below(&mut choices, 200)).map(|_| (choices.number() & 0xff) as u8).collect(),
        _ => {}
    }
    mutate(&mut part.payload, &mut choices);
    decode(&part);
}

#[test]
fn changed_pages_of_every_codec_are_errors_or_values() {
    let parts = parts(&mut Random::new(1));
    assert_eq!(parts.keys().copied().collect::<Vec<_>>(), KINDS, "every codec is changed");
    let all: Vec<&Part> = parts.values().flatten().collect();
    for (kind, parts) in &parts {
        for seed in 0..CASES {
            let run = std::panic::AssertUnwindSafe(|| case(parts, &all, seed));
            assert!(std::panic::catch_unwind(run).is_ok(), "{kind:?}, seed {seed}");
        }
    }
}

#[test]
fn a_length_that_is_only_claimed_allocates_nothing() {
    let mut payload = Vec::new();
    varint::put(&mut payload, u64::MAX);
    payload.extend([0; 2]);
    for codec in 0..16 {
        for field in [FieldType::String, FieldType::Float, FieldType::Integer] {
            let column_type = ColumnType::Field(field);
            let mut out = Values::empty(column_type);
            let mut decoder = Decoder::new(column_type, &[]).unwrap();
            assert!(decoder.decode(codec, &payload, 5, &mut out).is_err(), "codec {codec}");
        }
    }
}
