//! Prometheus's messages, as far as they are needed: `io.prometheus.client` of
//! <https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto>.

use prost::Message;
use prost_types::Timestamp;

use crate::distribution::{self, SCHEMA, Snapshot};
use crate::page::{self, Kind, Number, Value};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MetricFamily {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) help: String,
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    pub(crate) r#type: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) metric: Vec<Metric>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum MetricType {
    Counter = 0,
    Gauge = 1,
    Summary = 2,
    Histogram = 4,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub(crate) label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    pub(crate) gauge: Option<Single>,
    #[prost(message, optional, tag = "3")]
    pub(crate) counter: Option<Single>,
    #[prost(message, optional, tag = "4")]
    pub(crate) summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    pub(crate) histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LabelPair {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Single {
    #[prost(double, optional, tag = "1")]
    pub(crate) value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Summary {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(crate) sample_sum: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(crate) sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    pub(crate) schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    pub(crate) zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    pub(crate) zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "13")]
    pub(crate) positive_delta: Vec<i64>,
    #[prost(message, repeated, tag = "16")]
    pub(crate) exemplars: Vec<Exemplar>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(crate) upper_bound: Option<f64>,
    #[prost(message, optional, tag = "3")]
    pub(crate) exemplar: Option<Exemplar>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    pub(crate) offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    pub(crate) length: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    pub(crate) label: Vec<LabelPair>,
    #[prost(double, optional, tag = "2")]
    pub(crate) value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    pub(crate) timestamp: Option<Timestamp>,
}

/// Writes all families, each after its length.
pub(crate) fn encode(families: &[page::Family]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 << 10);
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        out.extend(message(family).encode_length_delimited_to_vec());
    }
    out
}

fn message(family: &page::Family) -> MetricFamily {
    let r#type = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
        Kind::Sum => MetricType::Summary,
    };
    let metric = family.samples.iter().map(|sample| {
        let label = sample.labels.iter().map(|(name, value)| pair(name, value.clone())).collect();
        let single = |number: Number| Some(Single { value: Some(number.as_f64()) });
        let metric = Metric { label, ..Metric::default() };
        match (&sample.value, family.kind) {
            (Value::Histogram(snapshot), _) => Metric { histogram: Some(histogram(snapshot)), ..metric },
            (Value::Sum(sum, count), _) => {
                let sample_sum = Some(Number::Whole(*sum).as_f64());
                Metric { summary: Some(Summary { sample_count: Some(*count), sample_sum }), ..metric }
            }
            (Value::Number(number), Kind::Counter) => Metric { counter: single(*number), ..metric },
            (Value::Number(number), _) => Metric { gauge: single(*number), ..metric },
        }
    });
    MetricFamily {
        name: family.name.to_owned(),
        help: family.help.to_owned(),
        r#type: Some(r#type.into()),
        metric: metric.collect(),
    }
}

fn pair(name: &str, value: String) -> LabelPair {
    LabelPair { name: Some(name.to_owned()), value: Some(value) }
}

fn histogram(snapshot: &Snapshot) -> Histogram {
    let exemplars: Vec<_> = snapshot.exemplars.iter().map(|one| one.map(exemplar)).collect();
    let bucket = snapshot.cumulative().zip(&exemplars).map(|((bound, count), exemplar)| Bucket {
        cumulative_count: Some(count),
        upper_bound: Some(bound),
        exemplar: exemplar.clone(),
    });
    let (positive_span, positive_delta) = spans(&snapshot.native);
    Histogram {
        sample_count: Some(snapshot.count),
        sample_sum: Some(snapshot.sum),
        bucket: bucket.collect(),
        schema: Some(SCHEMA),
        zero_threshold: Some(0.0),
        zero_count: Some(0),
        positive_span,
        positive_delta,
        exemplars: exemplars.into_iter().flatten().collect(),
    }
}

fn exemplar((of, value): (distribution::Exemplar, f64)) -> Exemplar {
    let nanos = i32::try_from(of.at.0.rem_euclid(1_000_000_000)).expect("less than a second");
    Exemplar {
        label: vec![pair("trace_id", format!("{:032x}", of.trace_id))],
        value: Some(value),
        timestamp: Some(Timestamp { seconds: of.at.0.div_euclid(1_000_000_000), nanos }),
    }
}

/// Runs of buckets that are not empty, and by how much each count is more than that of the one before. An empty histogram has
/// one run of none, by which it is known to be a native one.
fn spans(buckets: &[(i32, u64)]) -> (Vec<BucketSpan>, Vec<i64>) {
    let (mut spans, mut deltas) = (Vec::<(i32, u32)>::new(), Vec::with_capacity(buckets.len()));
    let (mut next, mut before) = (0, 0_i64);
    for (index, count) in buckets {
        match spans.last_mut() {
            Some((_, length)) if *index == next => *length += 1,
            _ => spans.push((index - next, 1)),
        }
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        deltas.push(count - before);
        (next, before) = (index + 1, count);
    }
    if spans.is_empty() {
        spans.push((0, 0));
    }
    let span = |(offset, length)| BucketSpan { offset: Some(offset), length: Some(length) };
    (spans.into_iter().map(span).collect(), deltas)
}
