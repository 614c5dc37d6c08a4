//! Codecs: any values come back bit for bit, and the sizes are those that were promised.

use model::{Bitmap, StringColumn, Values};
use proptest::prelude::*;

use super::{Decoder, Effort, Encoded, encode};

mod binned;
mod hostile;
mod sizes;

/// Values with their bits, so that every NaN is itself.
fn exact(values: &Values) -> Vec<String> {
    match values {
        Values::Float(v) => v.iter().map(|x| format!("{:x}", x.to_bits())).collect(),
        Values::Integer(v) | Values::Time(v) => v.iter().map(ToString::to_string).collect(),
        Values::Unsigned(v) => v.iter().map(ToString::to_string).collect(),
        Values::Boolean(v) => v.iter().map(|x| x.to_string()).collect(),
        Values::String(v) => v.iter().map(str::to_owned).collect(),
    }
}

/// Pages of equal length, and an empty one in their middle.
fn pages_of(len: usize, page_len: usize) -> Vec<std::ops::Range<usize>> {
    let mut pages: Vec<_> = (0..len).step_by(page_len).map(|at| at..len.min(at + page_len)).collect();
    pages.insert(pages.len() / 2, pages.get(pages.len() / 2).map_or(0..0, |p| p.start..p.start));
    pages
}

/// Encodes in pages, decodes them in any order behind what is there already, and returns what was encoded.
fn round_trip(values: &Values, page_len: usize, effort: Effort) -> Encoded {
    let pages = pages_of(values.len(), page_len);
    let encoded = encode(values, &pages, effort);
    assert_eq!(encoded.pages.len(), pages.len());
    let mut decoder = Decoder::new(values.column_type(), &encoded.shared).unwrap();
    let mut decoded = Values::empty(values.column_type());
    let mut expected = decoded.clone();
    for (page, range) in encoded.pages.iter().zip(&pages).rev() {
        decoder.decode(page.codec, &page.payload, range.len(), &mut decoded).unwrap();
        expected.extend_from(values, range.start, range.end);
    }
    assert_eq!(exact(&decoded), exact(&expected));
    encoded
}

fn both(values: &Values, page_len: usize) {
    round_trip(values, page_len, Effort::Fast);
    round_trip(values, page_len, Effort::Dense(4));
}

/// Integers of every character that stresses one part of a frame or another.
fn integers() -> impl Strategy<Value = Vec<i64>> {
    let walk = |steps: std::ops::Range<i64>| {
        (any::<i64>(), prop::collection::vec(steps, 0..1500)).prop_map(|(start, steps)| {
            steps
                .into_iter()
                .scan(start, |at, step| Some(std::mem::replace(at, at.wrapping_add(step))))
                .collect()
        })
    };
    let alternating = (0_usize..300).prop_map(|n| [i64::MIN, i64::MAX].repeat(n));
    let outliers = prop::collection::vec(
        prop_oneof![30 => 0_i64..8, 1 => any::<i64>(), 1 => -100_000_i64..100_000],
        0..1500,
    );
    let resets =
        prop::collection::vec((1_i64..5000, prop::bool::weighted(0.01)), 0..1500).prop_map(|steps| {
            let next = |at: &mut i64, (step, reset): (i64, bool)| {
                *at = if reset { 0 } else { at.wrapping_add(step << 20) };
                Some(*at)
            };
            steps.into_iter().scan(i64::MAX / 3, next).collect()
        });
    let multiples = (1_i64..1 << 40, prop::collection::vec(-50_i64..50, 0..300))
        .prop_map(|(factor, v)| v.into_iter().map(|n| n.wrapping_mul(factor).wrapping_add(7)).collect());
    prop_oneof![
        walk(-5..5),
        walk(i64::MIN / 4..i64::MAX / 4),
        walk(1_000_000..1_000_001),
        alternating,
        outliers,
        resets,
        multiples,
        prop::collection::vec(any::<i64>(), 0..300),
    ]
}

/// Doubles that no arithmetic brings back.
fn odd_doubles() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (0_u64..1 << 52).prop_map(|payload| f64::from_bits((0x7ff0 << 48) | payload)),
        (0_u64..1 << 52).prop_map(|payload| f64::from_bits((0xfff0 << 48) | payload)),
        (1_u64..1 << 52).prop_map(f64::from_bits),
        Just(f64::from_bits(0x7ff0_0000_0000_0002)),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(-0.0),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE),
    ]
}

fn doubles() -> impl Strategy<Value = Vec<f64>> {
    let decimal = |digits: i32| (any::<i32>(), Just(digits)).prop_map(|(n, d)| f64::from(n) / 10_f64.powi(d));
    let mixed =
        (0_i32..16, any::<i64>()).prop_map(|(d, n)| format!("{}e-{d}", n >> 14).parse::<f64>().unwrap());
    let column = |share: u32, digits: i32| {
        prop::collection::vec(prop_oneof![share => decimal(digits), 1 => odd_doubles()], 0..700)
    };
    prop_oneof![
        column(60, 2),
        column(6, 4),
        column(1000, 0),
        prop::collection::vec(mixed, 0..400),
        prop::collection::vec(odd_doubles(), 0..400),
        prop::collection::vec(-1.0..1.0_f64, 0..400),
        (odd_doubles(), 0_usize..400).prop_map(|(x, n)| vec![x; n]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn integers_come_back(values in integers(), page in 1_usize..1100) {
        both(&Values::Integer(values.clone()), page);
        both(&Values::Time(values.clone()), page);
        both(&Values::Unsigned(values.iter().map(|v| v.cast_unsigned()).collect()), page);
    }

    #[test]
    fn doubles_come_back(values in doubles(), page in 1_usize..500) {
        both(&Values::Float(values), page);
    }

    #[test]
    fn booleans_come_back(
        values in prop_oneof![
            prop::collection::vec(any::<bool>(), 0..400),
            prop::collection::vec(prop::bool::weighted(0.01), 0..2000),
        ],
        page in 1_usize..1100,
    ) {
        both(&Values::Boolean(values.into_iter().collect::<Bitmap>()), page);
    }

    #[test]
    fn strings_come_back(
        values in prop::collection::vec(prop_oneof![8 => "[ab]{0,3}", 1 => "\\PC{0,40}"], 0..600),
        page in 1_usize..300,
    ) {
        both(&Values::String(values.iter().collect::<StringColumn>()), page);
    }
}
