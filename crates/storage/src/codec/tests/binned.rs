//! Bins of any column, whether they would be chosen or not, and the symbols below them.

use proptest::prelude::*;

use super::super::bins::{Bins, Decoder};
use super::super::frame::Plan;
use super::super::tans::{Encoder, STATES, Table, bits, shares};
use super::{integers, pages_of};

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_column_comes_back_from_bins(values in integers(), page in 1_usize..1100, divisor in 0_u64..3) {
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
