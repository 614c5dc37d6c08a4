//! Data shaped like the `cpu-only` use case of the Time Series Benchmark Suite: hosts with ten tags and ten
//! integer fields, one row per host every ten seconds. A field is a random walk with normal steps (mean 0,
//! deviation 1) between 0 and 100, cut to an integer: 2.15 bits of entropy per step.
//!
//! Deterministic: the same seed gives the same lines.

use std::fmt::Write as _;

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

const REGIONS: [&str; 9] = [
    "us-east-1",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "eu-central-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-1",
    "sa-east-1",
];

/// Generates rows host by host, time by time.
#[derive(Debug, Clone)]
pub struct CpuOnly {
    random: u64,
    time_ns: i64,
    next_host: usize,
    hosts: Vec<Host>,
}

#[derive(Debug, Clone)]
struct Host {
    series: String,
    walks: [f64; FIELDS.len()],
}

impl CpuOnly {
    /// Nanoseconds between two rows of a host.
    pub const INTERVAL_NS: i64 = 10_000_000_000;
    /// Values in a row.
    pub const FIELDS: usize = FIELDS.len();

    /// `hosts` hosts from `start_ns` on.
    pub fn new(hosts: usize, start_ns: i64, seed: u64) -> Self {
        let mut generator = Self { random: seed | 1, time_ns: start_ns, next_host: 0, hosts: Vec::new() };
        for number in 0..hosts {
            let region = REGIONS[generator.below(REGIONS.len())];
            let zone = char::from(b"abc"[generator.below(3)]);
            let series = format!(
                "cpu,hostname=host_{number},region={region},datacenter={region}{zone},rack={},os={},arch={},\
                 team={},service={},service_version={},service_environment={}",
                generator.below(100),
                ["Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"][generator.below(3)],
                ["x64", "x86"][generator.below(2)],
                ["SF", "NYC", "LON", "CHI"][generator.below(4)],
                generator.below(20),
                generator.below(2),
                ["production", "staging", "test"][generator.below(3)],
            );
            let walks = std::array::from_fn(|_| generator.uniform() * 100.0);
            generator.hosts.push(Host { series, walks });
        }
        generator
    }

    /// 31 random bits (xorshift64*, enough for test data).
    fn bits(&mut self) -> u32 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        u32::try_from(self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).expect("31 bits")
    }

    fn below(&mut self, limit: usize) -> usize {
        self.bits() as usize % limit
    }

    /// From the half-open range 0..1.
    fn uniform(&mut self) -> f64 {
        f64::from(self.bits()) / f64::from(1_u32 << 31)
    }

    /// Normally distributed, mean 0, deviation 1 (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Appends the next row as a line.
    pub fn write_line(&mut self, out: &mut String) {
        let index = self.next_host;
        let mut walks = self.hosts[index].walks;
        for walk in &mut walks {
            *walk = (*walk + self.normal()).clamp(0.0, 100.0);
        }
        self.hosts[index].walks = walks;
        out.push_str(&self.hosts[index].series);
        for (i, (name, value)) in FIELDS.iter().zip(walks).enumerate() {
            let separator = if i == 0 { ' ' } else { ',' };
            write!(out, "{separator}{name}={}i", value.trunc()).expect("writing to a String cannot fail");
        }
        writeln!(out, " {}", self.time_ns).expect("writing to a String cannot fail");
        self.next_host += 1;
        if self.next_host == self.hosts.len() {
            self.next_host = 0;
            self.time_ns += Self::INTERVAL_NS;
        }
    }

    /// The next `rows` rows as one body.
    pub fn body(&mut self, rows: usize) -> String {
        let mut out = String::with_capacity(rows * 360);
        (0..rows).for_each(|_| self.write_line(&mut out));
        out
    }
}
