//! What kinds of data cost, and that each gets the codec that is meant for it.

use model::{Bitmap, StringColumn, Values};

use super::super::{BINS, DECIMAL, DICTIONARY, EMPTY, FRAME, PATCHED_DECIMAL, PCO, RAW, RUNS, STEP, ZSTD};
use super::{Effort, round_trip};

const ROWS: i64 = 8192;

/// A fixed stream of numbers in 0..1024.
fn noise() -> impl Iterator<Item = i64> {
    let mut state = 1_u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(state >> 54).unwrap()
    })
}

fn walk(steps: impl Iterator<Item = i64>) -> Vec<i64> {
    steps.scan(1_000_000, |at, step| Some(std::mem::replace(at, *at + step))).take(8192).collect()
}

/// The codecs of the pages, and all bytes.
fn check(values: &Values, effort: Effort, codec: u8, bytes_max: usize) {
    let encoded = round_trip(values, 1024, effort);
    let codecs: Vec<u8> = encoded.pages.iter().map(|p| p.codec).filter(|c| *c != 0).collect();
    assert!(codecs.iter().all(|c| *c == codec), "{codecs:?}");
    assert!(encoded.bytes() <= bytes_max, "{} bytes of {bytes_max}", encoded.bytes());
}

#[test]
fn regular_times_and_constants_are_steps() {
    let times = (0..ROWS).map(|i| 1_700_000_000_000_000_000 + i * 10_000_000_000).collect();
    check(&Values::Time(times), Effort::Fast, STEP, 150);
    check(&Values::Integer(vec![-7; 8192]), Effort::Dense(4), STEP, 20);
    check(&Values::Float(vec![f64::NAN; 8192]), Effort::Fast, STEP, 150);
    check(&Values::Float(vec![0.1; 8192]), Effort::Fast, DECIMAL, 50);
}

#[test]
fn times_with_jitter_cost_their_jitter() {
    let jitter = |unit: i64| {
        let times =
            (0..ROWS).zip(noise()).map(|(i, n)| 1_700_000_000_000_000_000 + i * 10_000_000_000 + n * unit);
        Values::Time(times.collect())
    };
    // Ten bits of noise make eleven of difference, whatever the unit.
    check(&jitter(1), Effort::Fast, FRAME, 8192 * 11 / 8 + 300);
    check(&jitter(1_000_000), Effort::Fast, FRAME, 8192 * 11 / 8 + 300);
    // The difference of two even ones is not even: 10.72 bits of entropy.
    check(&jitter(1_000_000), Effort::Dense(4), BINS, 8192 * 1076 / 800 + 150);
}

#[test]
fn a_reset_does_not_widen_a_counter() {
    let mut counter = walk(noise());
    counter.iter_mut().skip(3000).for_each(|v| *v -= 2_500_000);
    counter.iter_mut().skip(5000).for_each(|v| *v += 1 << 60);
    check(&Values::Integer(counter), Effort::Fast, FRAME, 8192 * 10 / 8 + 300);
}

#[test]
fn noise_is_not_made_worse_by_differences() {
    check(&Values::Integer(noise().take(8192).collect()), Effort::Fast, FRAME, 8192 * 10 / 8 + 200);
}

#[test]
fn decimals_are_integers() {
    let walk = walk(noise().map(|n| n / 32 - 16));
    let float = |v: &i64| format!("{}.{:02}", v / 100, v % 100).parse::<f64>().unwrap();
    let mut floats: Vec<f64> = walk.iter().map(float).collect();
    check(&Values::Float(floats.clone()), Effort::Fast, DECIMAL, 8192 * 5 / 8 + 200);
    // Each exception costs its eight bytes and its place.
    for (i, odd) in
        [f64::NAN, f64::from_bits(0x7ff0_0000_0000_0002), -0.0, f64::INFINITY, 1.0 / 3.0].iter().enumerate()
    {
        floats[i * 1000] = *odd;
    }
    let encoded = round_trip(&Values::Float(floats), 1024, Effort::Fast);
    let codecs: Vec<u8> = encoded.pages.iter().map(|p| p.codec).filter(|c| *c != 0).collect();
    assert_eq!(codecs, [[PATCHED_DECIMAL; 4], [DECIMAL; 4]].concat(), "exceptions in the first half alone");
    assert!(encoded.bytes() <= 8192 * 5 / 8 + 260, "{}", encoded.bytes());
}

#[test]
fn a_longer_decimal_that_the_sample_missed_is_found() {
    // Every 64th is looked at.
    let hundredths =
        |(i, n): (i64, i64)| (n * 10 + if [1, 3, 5].contains(&(i % 16)) { 5 } else { 0 }) as f64 / 100.0;
    let floats: Vec<f64> = (0..ROWS).zip(noise()).map(hundredths).collect();
    check(&Values::Float(floats), Effort::Fast, DECIMAL, 8192 * 14 / 8 + 300);
}

#[test]
fn doubles_of_full_precision_save_their_exponent_or_nothing() {
    let random = |high: u64| -> Values {
        let bits =
            noise().zip(noise().skip(7)).map(|(a, b)| (a.cast_unsigned() << 54) ^ (b.cast_unsigned() << 27));
        Values::Float(
            bits.zip(noise().skip(3))
                .map(|(x, c)| f64::from_bits(((x ^ c.cast_unsigned()) >> 12) | high))
                .take(8192)
                .collect(),
        )
    };
    check(&random(0x3ff0 << 48), Effort::Fast, FRAME, 8192 * 53 / 8 + 300);
    let words = noise().zip(noise().skip(7)).zip(noise().skip(31));
    let word =
        |((a, b), c): ((i64, i64), i64)| ((a << 54) | (b << 44) | (c << 30) | (a * b * c)).cast_unsigned();
    let words: Vec<u64> = words.map(word).take(8192).collect();
    check(&Values::Unsigned(words.clone()), Effort::Fast, RAW, 8192 * 8);
    check(&Values::Unsigned(words), Effort::Dense(4), RAW, 8192 * 8);
}

#[test]
fn merges_come_near_the_entropy_of_whatever_numbers() {
    // Ten even steps are 3.32 bits, and of two coins 0 and 2 are as rare as 1 is frequent: 1.5 bits.
    let counter = walk(noise().map(|n| n % 10));
    check(&Values::Integer(counter), Effort::Dense(4), BINS, 8192 * 333 / 800 + 8 * 8);
    let coins = |n: i64| (n >> 3 & 1) + (n >> 7 & 1);
    check(
        &Values::Unsigned(noise().map(|n| coins(n).cast_unsigned()).take(8192).collect()),
        Effort::Dense(4),
        BINS,
        8192 * 151 / 800 + 8 * 8,
    );
    let floats: Vec<f64> = noise().map(|n| coins(n) as f64 / 4.0).take(8192).collect();
    check(&Values::Float(floats), Effort::Dense(4), DECIMAL, 8192 * 151 / 800 + 8 * 10);
}

#[test]
fn few_numbers_far_apart_are_left_to_pco_by_merges() {
    let sizes = [512, 1 << 20, 123_456_789];
    let values: Vec<i64> =
        noise().take(8192).map(|n| sizes[usize::from(n > 500) + usize::from(n > 1000)]).collect();
    check(&Values::Integer(values.clone()), Effort::Dense(4), PCO, 1_300 + 8 * 30);
    check(&Values::Integer(values), Effort::Fast, FRAME, 8192 * 22 / 8);
}

/// Merges make these floats about as small as pco alone does, with all values in one page; frames do not.
#[test]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the numbers are what a device with floats of 32 bits sends"
)]
fn floats_with_a_structure_that_frames_miss_are_left_to_pco_by_merges() {
    let unit = || noise().zip(noise().skip(9_999)).map(|(a, b)| ((a << 10) + b) as f64 / f64::from(1 << 20));
    let single = |v: f64| f64::from(v as f32);
    let mut units = unit();
    let mut normal = || (0..12).map(|_| units.next().unwrap()).sum::<f64>() - 6.0;
    let columns: [(&str, usize, Vec<f64>); 4] = [
        ("normal, 32 bits", 1024, (0..8192).map(|_| single(normal() * 3.0)).collect()),
        ("sine", 1024, (0..8192).map(|i| (f64::from(i) / 1000.0).sin()).collect()),
        ("multiples", 1024, noise().map(|n| n as f64 * std::f64::consts::PI).take(8192).collect()),
        ("sparse, 32 bits", 410, unit().map(|v| single(v / 3.0)).take(3277).collect()),
    ];
    for (name, page, values) in columns {
        let config = pco::ChunkConfig::default().with_compression_level(4);
        let alone = pco::standalone::simple_compress(&values, &config).unwrap().len();
        let values = Values::Float(values);
        let fast = round_trip(&values, page, Effort::Fast).bytes();
        let dense = round_trip(&values, page, Effort::Dense(4));
        println!("{name}: frames {fast}, dense {}, pco alone {alone}", dense.bytes());
        assert!(dense.bytes() * 100 <= alone * 115, "{name}: {} of {alone} bytes", dense.bytes());
        // pco saves a tenth, bins a two-hundredth, or all is left as it was.
        let saves = |parts: usize| dense.bytes() * parts < fast * (parts - 1);
        let has = |codec: u8| dense.pages.iter().any(|page| page.codec == codec);
        let is_worth_it = match (has(PCO), has(BINS)) {
            (true, binned) => saves(10) && !binned,
            (false, true) => saves(200),
            (false, false) => dense.bytes() == fast,
        };
        assert!(is_worth_it, "{name}: {} of {fast}", dense.bytes());
    }
}

#[test]
fn states_are_indices_or_runs() {
    let states = ["running", "stopped", "failed"];
    let values: StringColumn =
        noise().take(8192).map(|n| states[usize::from(n > 500) + usize::from(n > 1000)]).collect();
    check(&Values::String(values), Effort::Fast, DICTIONARY, 1_650);
    let values: StringColumn = (0..8192).map(|i| states[i / 1500 % 3]).collect();
    check(&Values::String(values), Effort::Fast, DICTIONARY, 200);
    let values: Bitmap = (0..8192).map(|i| i / 100 % 2 == 1).collect();
    check(&Values::Boolean(values), Effort::Fast, RUNS, 110);
}

#[test]
fn log_lines_are_compressed() {
    let line = |n: i64| {
        format!("level=info msg=\"request served\" status=200 path=/api/v2/write took={n}us id={}", n * 7919)
    };
    let values: StringColumn = noise().map(line).take(2048).collect();
    let plain: usize = values.iter().map(str::len).sum();
    check(&Values::String(values), Effort::Fast, ZSTD, plain / 8);
}

/// Few values that jump about: pco tells them apart, and an empty page beside them has nothing to do with it.
#[test]
fn an_empty_page_among_decimals_in_pco_is_read() {
    let mut random = 1_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        [18.55, 21.37, 1023.41][(random >> 33) as usize % 3]
    };
    let values = Values::Float((0..4500).map(|_| next()).collect());
    let encoded = round_trip(&values, 1024, Effort::Dense(8));
    assert_eq!(encoded.shared.first(), Some(&PCO));
    assert!(encoded.pages.iter().any(|page| page.codec == EMPTY));
}
