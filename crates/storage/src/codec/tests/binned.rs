//! Bins of any column, whether they would be chosen or not, and the symbols below them.

use proptest::prelude::*;

use super::super::bins::{Bins, Decoder};
use super::super::frame::Plan;
use super::super::tans::{Encoder, STATES, Table, bits, shares};
use super::{Effort, integers, pages_of, round_trip};
use model::Values;

/// In bins, whether they would be chosen or not.
fn any_comes_back(values: &[i64], page: usize, divisor: u64) -> Result<(), TestCaseError> {
    let words: Vec<u64> = values.iter().map(|v| v.cast_unsigned()).collect();
    let pages = pages_of(words.len(), page);
    if let Some(bins) = Bins::of(&words, &pages, &Plan::of(&words), divisor) {
        let mut decoder = Decoder::new(&bins.shared()[1..]).unwrap();
        for (page, range) in bins.encode(&words, &pages).iter().zip(&pages).filter(|(_, r)| !r.is_empty()) {
            let mut decoded = Vec::new();
            decoder.decode(&page.payload, range.len(), |words| decoded.extend_from_slice(words)).unwrap();
            prop_assert_eq!(&decoded, &words[range.clone()]);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_column_comes_back_from_bins(values in integers(), page in 1_usize..1100, divisor in 0_u64..3) {
        any_comes_back(&values, page, divisor)?;
    }

    /// Most numbers are multiples of a factor around a middle, and few lie far below or above.
    #[test]
    fn rare_numbers_far_from_the_others_come_back(
        factor in prop_oneof![1_i64..40, 1_i64..1 << 40],
        middle in -1_000_000_i64..1_000_000,
        width in 1_i64..5000,
        picks in prop::collection::vec((any::<i64>(), prop::bool::weighted(0.01)), 200..3000),
        is_running in any::<bool>(),
    ) {
        let number = |(pick, is_rare): &(i64, bool)| {
            let near = middle + pick.rem_euclid(width);
            let number = if *is_rare { near - pick.rem_euclid(1 << 20) + (1 << 19) } else { near };
            number.wrapping_mul(factor)
        };
        let mut values: Vec<i64> = picks.iter().map(number).collect();
        if is_running {
            let sum = |sum: &mut i64, step: &i64| { *sum = sum.wrapping_add(*step); Some(*sum) };
            values = values.iter().scan(7, sum).collect();
        }
        any_comes_back(&values, 1024, factor.unsigned_abs())?;
        round_trip(&Values::Integer(values), 1024, Effort::Dense(4));
    }

    #[test]
    fn symbols_come_back_in_the_bits_that_they_are_worth(
        weights in prop::collection::vec(0_u32..1000, 1..200),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..1500),
    ) {
        // Symbols by their weights.
        let ends: Vec<usize> = weights
            .iter()
            .scan(0, |sum, w| { *sum += *w as usize; Some(*sum) })
            .collect();
        let all = ends.last().copied().unwrap_or(0).max(1);
        let symbol = |pick: &prop::sample::Index| {
            u8::try_from(ends.partition_point(|end| *end <= pick.index(all)).min(weights.len() - 1)).unwrap()
        };
        let symbols: Vec<u8> = picks.iter().map(symbol).collect();
        let mut counts = vec![0_u32; weights.len()];
        symbols.iter().for_each(|s| counts[usize::from(*s)] += 1);
        let shares = shares(&counts);
        prop_assert_eq!(shares.iter().map(|s| usize::from(*s)).sum::<usize>(), STATES);
        prop_assert!(counts.iter().zip(&shares).all(|(count, share)| (*count > 0) == (*share > 0)));
        let mut bytes = Vec::new();
        Encoder::new(&shares).encode(&symbols, &mut bytes);
        let promised = bits(&counts, &shares) / 8 + 6;
        prop_assert!(bytes.len() as u64 <= promised + promised / 100, "{} of {promised}", bytes.len());
        let len = bytes.len();
        bytes.extend([0xff; 3]);
        let (table, mut decoded) = (Table::new(&shares).unwrap(), Vec::new());
        prop_assert_eq!(table.decode(&bytes, symbols.len(), &mut decoded), Some(len));
        prop_assert_eq!(&decoded, &symbols);
        if len > 0 {
            let cut = table.decode(&bytes[..len - 1], symbols.len(), &mut decoded);
            prop_assert_eq!(cut, None);
        }
    }
}

#[test]
fn shares_that_do_not_sum_up_are_refused() {
    for bad in [&[][..], &[511], &[512, 1], &[u16::MAX; 256], &[2; 257]] {
        Table::new(bad).unwrap_err();
    }
    Table::new(&[0, 512]).unwrap();
}

#[test]
fn rare_numbers_below_the_base_are_not_moved_by_the_factor() {
    for factor in [3, 10, 1000, 1_000_000_007] {
        let near = (0..3000).map(|n| (if n % 2 == 0 { 100 } else { 150 } + n * 7 % 3) * factor);
        let values: Vec<i64> = near.enumerate().map(|(n, v)| if n % 997 == 5 { factor } else { v }).collect();
        round_trip(&Values::Integer(values.clone()), 1024, Effort::Dense(4));
        round_trip(&Values::Float(values.iter().map(|v| *v as f64 / 2.0).collect()), 1024, Effort::Dense(4));
    }
}

#[test]
fn a_column_that_does_not_read_back_is_kept_raw() {
    use super::super::number::checked;
    let values: Vec<i64> = (0..3000).map(|n| n * n % 1009).collect();
    let pages = pages_of(values.len(), 1024);
    let all = Values::Integer(values.clone());
    let mut broken = super::encode(&all, &pages, Effort::Dense(4));
    broken.pages[0].payload[1] ^= 1;
    let kept = checked(broken, &values, &pages);
    assert!(kept.pages.iter().all(|page| page.codec == super::super::RAW || page.payload.is_empty()));
    let mut decoder = super::Decoder::new(all.column_type(), &kept.shared).unwrap();
    let mut read = Values::empty(all.column_type());
    for (page, range) in kept.pages.iter().zip(&pages) {
        decoder.decode(page.codec, &page.payload, range.len(), &mut read).unwrap();
    }
    assert_eq!(read, all);
}
