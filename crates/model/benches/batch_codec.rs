//! Speed and size of the batch encoding: bytes of columns per second; the sizes are printed once.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::batch::codec::{decode, encode};
use model::lineprotocol::{Options, parse};
use model::{Batch, BucketId, Precision, Timestamp};

fn batch(hosts: usize, lines: usize, float: bool) -> Batch {
    let mut text = String::new();
    let mut state = 1_u64;
    let mut values = vec![50_i64; hosts * 10];
    for i in 0..lines {
        let host = i % hosts;
        write!(text, "cpu,hostname=host_{host},region=eu-west-1,os=Ubuntu16.10,team=NYC ").expect("a String");
        for field in 0..10 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = &mut values[host * 10 + field];
            *value = (*value + (state >> 62).cast_signed() - 1).clamp(0, 100);
            let comma = if field == 0 { "" } else { "," };
            let fraction = state >> 20 & 0xffff;
            if float {
                write!(text, "{comma}usage_{field}={value}.{fraction:05}").expect("a String");
            } else {
                write!(text, "{comma}usage_{field}={value}i").expect("a String");
            }
        }
        writeln!(text, " {}", 1_451_606_400_000_000_000 + (i / hosts) as u64 * 10_000_000_000)
            .expect("a String");
    }
    let options = Options {
        bucket: BucketId::new(1).expect("not zero"),
        shard_duration_ns: 7 * model::time::DAY_NS,
        precision: Precision::Nanosecond,
        default_time: Timestamp(0),
        line_bytes_max: 1 << 20,
        string_bytes_max: 1 << 20,
    };
    parse(text.as_bytes(), &options).batch
}

#[expect(clippy::print_stdout, reason = "the sizes are part of the result")]
fn bench(c: &mut Criterion) {
    let batches = [
        ("100-hosts", batch(100, 10_000, false)),
        ("10k-hosts", batch(10_000, 10_000, false)),
        ("floats", batch(100, 10_000, true)),
    ];
    for (name, batch) in batches {
        let mut bytes = Vec::new();
        encode(&batch, &mut bytes);
        println!("{name}: {:.1} bytes per row", bytes.len() as f64 / batch.rows() as f64);
        let mut group = c.benchmark_group(format!("batch-codec/{name}"));
        group.sample_size(20);
        group.throughput(Throughput::Bytes(batch.rows() as u64 * 11 * 8));
        group.bench_function("encode", |b| {
            b.iter(|| {
                bytes.clear();
                encode(black_box(&batch), &mut bytes);
            });
        });
        group.bench_function("decode", |b| b.iter(|| decode(black_box(&bytes)).expect("valid")));
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
