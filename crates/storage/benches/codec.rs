//! Codecs on the kinds of data that they are made for: bytes per value, and encode and decode in bytes of raw values
//! (8 each) per second. Columns of 8,192 values in pages of 1,024, as files have them, and columns of one page (short),
//! as flushes of many series have them.

#![expect(clippy::print_stdout, reason = "sizes are part of the report")]

use std::hint::black_box;
use std::ops::Range;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use disk::vfs::sim::Random;
use model::{StringColumn, Values};
use storage::codec::{Decoder, Effort, Encoded, encode};

const ROWS: usize = 8192;
const PAGE_ROWS: usize = 1024;
const COLUMNS: u64 = 16;

/// A normal distribution, by the sum of twelve.
fn normal(random: &mut Random) -> f64 {
    (0..12).map(|_| random.unit()).sum::<f64>() - 6.0
}

/// A number below `end`, with a sign.
fn below(random: &mut Random, end: u64) -> i64 {
    random.below(end).cast_signed()
}

/// A walk of normal steps between 0 and 100, as TSBS makes its gauges.
fn walk(random: &mut Random, step: f64) -> Vec<f64> {
    let mut at = random.unit() * 100.0;
    (0..ROWS)
        .map(|_| {
            at = (at + normal(random) * step).clamp(0.0, 100.0);
            at
        })
        .collect()
}

fn counter(random: &mut Random, mut step: impl FnMut(&mut Random) -> i64) -> Vec<i64> {
    let mut at = 0;
    (0..ROWS)
        .map(|_| {
            at = if below(random, 5000) == 0 { 0 } else { at + step(random) };
            at
        })
        .collect()
}

fn times(random: &mut Random, mut jitter: impl FnMut(&mut Random) -> i64) -> Values {
    let mut at = 1_700_000_000_000_000_000;
    Values::Time(
        (0..ROWS)
            .map(|_| {
                at += 10_000_000_000;
                at + jitter(random)
            })
            .collect(),
    )
}

#[expect(clippy::cast_possible_truncation, reason = "walks stay between 0 and 100")]
fn data_sets(random: &mut Random) -> Vec<(&'static str, Values)> {
    let integers: Vec<i64> = walk(random, 1.0).iter().map(|v| *v as i64).collect();
    let bytes = counter(random, |r| below(r, 1 << 15));
    let decimal = |v: f64| (v * 100.0).round() / 100.0;
    let states = ["running", "sleeping", "stopped", "zombie"];
    let mut gaps = 0;
    vec![
        ("TSBS integer", Values::Integer(integers.clone())),
        ("TSBS integer as float", Values::Float(integers.iter().map(|v| *v as f64).collect())),
        ("gauge of 2 decimals", Values::Float(walk(random, 1.0).into_iter().map(decimal).collect())),
        ("counter of bytes", Values::Integer(bytes.clone())),
        ("counter of bytes as float", Values::Float(bytes.iter().map(|v| *v as f64).collect())),
        (
            "counter, small",
            Values::Unsigned(counter(random, |r| below(r, 10)).iter().map(|v| v.cast_unsigned()).collect()),
        ),
        ("walk of full precision", Values::Float(walk(random, 1.0))),
        ("uniform doubles", Values::Float((0..ROWS).map(|_| random.unit()).collect())),
        ("random words", Values::Unsigned((0..ROWS).map(|_| random.number()).collect())),
        ("constant float", Values::Float(vec![0.1; ROWS])),
        ("times, regular", times(random, |_| 0)),
        (
            "times, 1 % gaps",
            times(random, |r| {
                gaps += if below(r, 100) == 0 { 10_000_000_000 } else { 0 };
                gaps
            }),
        ),
        ("times, ms jitter", times(random, |r| below(r, 100) * 1_000_000)),
        ("times, ns jitter", times(random, |r| below(r, 10_000_000))),
        (
            "booleans, 1 % changes",
            Values::Boolean(
                counter(random, |r| i64::from(below(r, 100) == 0)).iter().map(|v| v % 2 == 0).collect(),
            ),
        ),
        ("booleans, random", Values::Boolean((0..ROWS).map(|_| random.number() & 1 == 0).collect())),
        (
            "states",
            Values::String(
                (0..ROWS)
                    .map(|_| {
                        *states
                            .get(
                                usize::from(random.number() & 1 == 0) + usize::from(random.number() & 1 == 0),
                            )
                            .unwrap_or(&"none")
                    })
                    .collect(),
            ),
        ),
        (
            "random ids",
            Values::String((0..ROWS).map(|_| format!("{:016x}", random.number())).collect::<StringColumn>()),
        ),
        (
            "log lines",
            Values::String(
                (0..ROWS)
                    .map(|_| {
                        format!("level=info status=200 path=/api/v2/write took={}us", below(random, 9000))
                    })
                    .collect::<StringColumn>(),
            ),
        ),
    ]
}

fn pages() -> Vec<Range<usize>> {
    (0..ROWS).step_by(PAGE_ROWS).map(|at| at..at + PAGE_ROWS).collect()
}

fn decode(values: &Values, encoded: &Encoded) -> Values {
    let mut out = Values::with_capacity(values.column_type(), ROWS);
    let mut decoder = Decoder::new(values.column_type(), &encoded.shared).expect("our own bytes");
    for page in &encoded.pages {
        decoder.decode(page.codec, &page.payload, PAGE_ROWS, &mut out).expect("our own bytes");
    }
    out
}

fn part(values: &Values, range: Range<usize>) -> Values {
    let mut part = Values::with_capacity(values.column_type(), range.len());
    part.extend_from(values, range.start, range.end);
    part
}

fn codecs(c: &mut Criterion) {
    let mut random = Random::new(7);
    let columns: Vec<_> = (0..COLUMNS).map(|_| data_sets(&mut random)).collect();
    for (place, (name, _)) in columns[0].iter().enumerate() {
        let columns: Vec<&Values> = columns.iter().map(|set| &set[place].1).collect();
        let raw: usize = columns.iter().map(|v| v.bytes()).sum();
        let mut group = c.benchmark_group(*name);
        group.throughput(Throughput::Bytes(raw as u64));
        let short: Vec<Values> =
            columns.iter().flat_map(|v| pages().into_iter().map(|p| part(v, p))).collect();
        let one_page = 0..PAGE_ROWS;
        let encode_short = |v: &Values| encode(v, std::slice::from_ref(&one_page), Effort::Fast);
        let bytes: usize = short.iter().map(|v| encode_short(v).bytes()).sum();
        println!("{name}, short: {:.3} bytes per value", bytes as f64 / (ROWS * columns.len()) as f64);
        group.bench_function("encode short", |b| {
            b.iter(|| short.iter().for_each(|v| drop(black_box(encode_short(v)))));
        });
        for (how, effort) in [("fast", Effort::Fast), ("dense", Effort::Dense(4))] {
            let encode_all = || columns.iter().map(|v| encode(v, &pages(), effort)).collect::<Vec<_>>();
            let encoded = encode_all();
            let bytes: usize = encoded.iter().map(Encoded::bytes).sum();
            let mut codecs: Vec<u8> = encoded.iter().flat_map(|e| &e.pages).map(|p| p.codec).collect();
            codecs.sort_unstable();
            codecs.dedup();
            println!(
                "{name}, {how}: {:.3} bytes per value, codecs {codecs:?}",
                bytes as f64 / (ROWS * columns.len()) as f64
            );
            group.bench_function(format!("encode {how}"), |b| b.iter(|| black_box(encode_all())));
            group.bench_function(format!("decode {how}"), |b| {
                b.iter(|| columns.iter().zip(&encoded).for_each(|(v, e)| drop(black_box(decode(v, e)))));
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = codecs
}
criterion_main!(benches);
