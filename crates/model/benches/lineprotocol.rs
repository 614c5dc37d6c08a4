//! Speed of the line protocol reader: bytes per second over bodies of several shapes.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::lineprotocol::{Options, parse};
use model::{BucketId, Precision, Timestamp};

const FIELDS: [&str; 10] = [
    "usage_user",
    "usage_system",
    "usage_idle",
    "usage_nice",
    "usage_iowait",
    "usage_irq",
    "usage_softirq",
    "usage_steal",
    "usage_guest",
    "usage_guest_nice",
];

fn options() -> Options {
    Options {
        bucket: BucketId::new(1).expect("not zero"),
        shard_duration_ns: 7 * model::time::DAY_NS,
        precision: Precision::Nanosecond,
        default_time: Timestamp(0),
        line_bytes_max: 1 << 20,
        string_bytes_max: 1 << 20,
    }
}

/// TSBS cpu-only: ten tags, ten fields, hosts in turn.
fn tsbs(hosts: usize, lines: usize, float: bool) -> String {
    let mut out = String::new();
    for i in 0..lines {
        let host = i % hosts;
        let tags = "region=eu-west-1,datacenter=eu-west-1b,rack=67,os=Ubuntu16.10,arch=x64,team=NYC,service=7,\
                    service_version=0,service_environment=production";
        write!(out, "cpu,hostname=host_{host},{tags} ").expect("a String");
        for (f, field) in FIELDS.iter().enumerate() {
            let value = (i * 7 + f * 31 + host) % 101;
            let comma = if f == 0 { "" } else { "," };
            if float {
                write!(out, "{comma}{field}={value}.{:06}", (i * 7919) % 1_000_000).expect("a String");
            } else {
                write!(out, "{comma}{field}={value}i").expect("a String");
            }
        }
        writeln!(out, " {}", 1_451_606_400_000_000_000 + (i / hosts) as u64 * 10_000_000_000)
            .expect("a String");
    }
    out
}

fn one_field(lines: usize, series: usize) -> String {
    let mut out = String::new();
    for i in 0..lines {
        writeln!(out, "m,host=h{} v={} {}", i % series, i % 977, 1_700_000_000_000_000_000 + i as u64)
            .expect("a String");
    }
    out
}

fn bench(c: &mut Criterion) {
    let bodies = [
        ("tsbs/100-hosts", tsbs(100, 10_000, false)),
        ("tsbs/10k-hosts", tsbs(10_000, 10_000, false)),
        ("tsbs/floats", tsbs(100, 10_000, true)),
        ("one-field/1-series", one_field(50_000, 1)),
        ("one-field/100-series", one_field(50_000, 100)),
        ("one-field/100k-distinct", one_field(100_000, 100_000)),
    ];
    let options = options();
    let mut group = c.benchmark_group("lineprotocol");
    group.sample_size(20);
    for (name, body) in bodies {
        assert!(parse(body.as_bytes(), &options).errors.is_empty(), "{name}");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| b.iter(|| parse(black_box(body.as_bytes()), &options)));
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
