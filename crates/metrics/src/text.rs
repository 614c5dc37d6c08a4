//! Prometheus text 0.0.4 and OpenMetrics 1.0, which differ in the names of counters, in exemplars, and in how they end.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>

use std::fmt::Write as _;

use crate::distribution::{Exemplar, Snapshot};
use crate::page::{Family, Kind, Number, Value};

const GROWS: &str = "a String grows as needed";

/// Writes all families.
pub(crate) fn encode(families: &[Family], is_open_metrics: bool) -> String {
    let mut out = String::with_capacity(64 << 10);
    for family in families {
        let name = match family.kind {
            Kind::Counter if is_open_metrics => family.name.strip_suffix("_total").unwrap_or(family.name),
            _ => family.name,
        };
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Sum => "summary",
        };
        writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", escaped(family.help)).expect(GROWS);
        for sample in &family.samples {
            let labels: String =
                sample.labels.iter().map(|(name, value)| format!("{name}=\"{}\",", escaped(value))).collect();
            match &sample.value {
                Value::Number(value) => {
                    line(&mut out, family.name, "", &labels, *value);
                    out.push('\n');
                }
                Value::Sum(sum, count) => {
                    for (suffix, value) in [("_sum", sum), ("_count", count)] {
                        line(&mut out, family.name, suffix, &labels, Number::Whole(*value));
                        out.push('\n');
                    }
                }
                Value::Histogram(histogram) => {
                    write_histogram(&mut out, family.name, &labels, histogram, is_open_metrics);
                }
            }
        }
    }
    if is_open_metrics {
        out.push_str("# EOF\n");
    }
    out
}

fn write_histogram(out: &mut String, name: &str, labels: &str, histogram: &Snapshot, has_exemplars: bool) {
    for ((bound, count), exemplar) in histogram.cumulative().zip(&histogram.exemplars) {
        let labels = format!("{labels}le=\"{}\",", real(bound));
        line(out, name, "_bucket", &labels, Number::Whole(count));
        if let Some((Exemplar { trace_id, at }, value)) = exemplar.filter(|_| has_exemplars) {
            let (seconds, millis) =
                (at.0.div_euclid(1_000_000_000), at.0.rem_euclid(1_000_000_000) / 1_000_000);
            write!(out, " # {{trace_id=\"{trace_id:032x}\"}} {} {seconds}.{millis:03}", real(value))
                .expect(GROWS);
        }
        out.push('\n');
    }
    line(out, name, "_sum", labels, Number::Real(histogram.sum));
    out.push('\n');
    line(out, name, "_count", labels, Number::Whole(histogram.count));
    out.push('\n');
}

/// A sample, without the end of its line. `labels` are followed by commas.
fn line(out: &mut String, name: &str, suffix: &str, labels: &str, value: Number) {
    out.push_str(name);
    out.push_str(suffix);
    if let Some(labels) = labels.strip_suffix(',') {
        write!(out, "{{{labels}}}").expect(GROWS);
    }
    match value {
        Number::Whole(whole) => write!(out, " {whole}").expect(GROWS),
        Number::Real(value) => write!(out, " {}", real(value)).expect(GROWS),
    }
}

fn real(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        // OpenMetrics wants a bound to be a float.
        format!("{value:?}")
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
