//! Data shaped like the `cpu-only` use case of the Time Series Benchmark Suite: hosts with ten tags and ten
//! fields, one row per host every ten seconds.
//!
//! Deterministic: the same seed gives the same lines, and a host's tags follow from its number alone.

use std::fmt::{self, Write as _};

/// Names of the fields.
pub const FIELDS: [&str; 10] = [
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

/// What the values of the fields look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// As TSBS has them: a random walk with normal steps (mean 0, deviation 1) between 0 and 100, cut to an integer:
    /// 2.15 bits of entropy per step.
    Integers,
    /// The same walk with two decimals, as most gauges are: 8.67 bits of entropy per step.
    Decimals,
    /// Uniform doubles between 0 and 100 of which every bit of the mantissa is random: nothing can make them small.
    Doubles,
}

/// The tags of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostTags {
    number: usize,
    /// One of nine.
    pub region: &'static str,
    zone: char,
    /// 0 to 99.
    pub rack: usize,
    /// One of three.
    pub os: &'static str,
    /// One of two.
    pub arch: &'static str,
    /// One of four.
    pub team: &'static str,
    /// 0 to 19.
    pub service: usize,
    version: usize,
    environment: &'static str,
}

impl HostTags {
    /// The tags of host number `number`.
    pub fn of(number: usize) -> Self {
        let mut random = Random::new(number as u64 + 1);
        Self {
            number,
            region: REGIONS[random.below(REGIONS.len())],
            zone: char::from(b"abc"[random.below(3)]),
            rack: random.below(100),
            os: ["Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"][random.below(3)],
            arch: ["x64", "x86"][random.below(2)],
            team: ["SF", "NYC", "LON", "CHI"][random.below(4)],
            service: random.below(20),
            version: random.below(2),
            environment: ["production", "staging", "test"][random.below(3)],
        }
    }
}

/// Measurement and tags as line protocol has them.
impl fmt::Display for HostTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, region, zone, rack, os, arch, team, service, version, environment } = self;
        write!(
            f,
            "cpu,hostname=host_{number},region={region},datacenter={region}{zone},rack={rack},os={os},arch={arch},\
             team={team},service={service},service_version={version},service_environment={environment}",
        )
    }
}

/// xorshift64*, enough for test data.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Begins anywhere; neighbouring seeds give unrelated numbers.
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        random.bits();
        random
    }

    /// 53 random bits.
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    /// From 0 to `limit`, without it.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.bits()).expect("64-bit machines") % limit
    }

    /// From the half-open range 0..1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
    pub fn uniform(&mut self) -> f64 {
        self.bits() as f64 / (1_u64 << 53) as f64
    }

    /// Normally distributed, mean 0, deviation 1 (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Generates rows host by host, time by time.
#[derive(Debug, Clone)]
pub struct CpuOnly {
    random: Random,
    values: Values,
    time_ns: i64,
    next_host: usize,
    hosts: Vec<Host>,
    sum: f64,
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
    pub fn new(hosts: usize, start_ns: i64, seed: u64, values: Values) -> Self {
        let mut random = Random::new(seed);
        let host = |number| Host {
            series: HostTags::of(number).to_string(),
            walks: std::array::from_fn(|_| random.uniform() * 100.0),
        };
        let hosts = (0..hosts).map(host).collect();
        Self { random, values, time_ns: start_ns, next_host: 0, hosts, sum: 0.0 }
    }

    /// The sum of the first field over all rows made so far.
    pub fn first_field_sum(&self) -> f64 {
        self.sum
    }

    /// Appends the next row as a line.
    pub fn write_line(&mut self, out: &mut String) {
        let (random, host) = (&mut self.random, &mut self.hosts[self.next_host]);
        out.push_str(&host.series);
        for (i, (name, walk)) in FIELDS.iter().zip(&mut host.walks).enumerate() {
            *walk = match self.values {
                Values::Integers | Values::Decimals => (*walk + random.normal()).clamp(0.0, 100.0),
                Values::Doubles => random.uniform() * 100.0,
            };
            let (value, suffix) = match self.values {
                Values::Integers => (walk.trunc(), "i"),
                Values::Decimals => ((*walk * 100.0).round() / 100.0, ""),
                Values::Doubles => (*walk, ""),
            };
            let separator = if i == 0 { ' ' } else { ',' };
            write!(out, "{separator}{name}={value}{suffix}").expect("writing to a String cannot fail");
            self.sum += if i == 0 { value } else { 0.0 };
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
