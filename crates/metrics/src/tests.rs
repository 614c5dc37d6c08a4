use std::time::Duration;

use model::Timestamp;
use prost::Message as _;

use crate::protobuf::{MetricFamily, MetricType};
use crate::{Distribution, Exemplar, Form, Page};

fn page() -> Page {
    let took = Distribution::default();
    for ms in [1, 90, 240, 20_000] {
        took.observe(Duration::from_millis(ms));
    }
    took.observe_traced(Duration::from_millis(1), None);
    took.observe_traced(
        Duration::from_millis(300),
        Some(Exemplar { trace_id: 0xabc, at: Timestamp(1_500_000_000_250_000_000) }),
    );
    let mut page = Page::default();
    page.counter("tidemark_points_total", "Points.", 7_u64);
    page.gauges("tidemark_zone", "Where.", [(vec![("zone", "a\"b\\c\nd".to_owned())], true)]);
    page.sum("tidemark_size", "How much.", 12, 3);
    page.distribution("tidemark_took_seconds", "How long.", &took);
    page
}

#[test]
fn text_and_open_metrics_differ_as_their_specifications_say() {
    let text = String::from_utf8(page().encode(Form::Text)).unwrap();
    assert!(text.starts_with(
        "# HELP tidemark_points_total Points.\n# TYPE tidemark_points_total counter\ntidemark_points_total 7\n"
    ));
    assert!(text.contains("\ntidemark_size_sum 12\ntidemark_size_count 3\n"), "{text}");
    assert!(text.contains("\ntidemark_zone{zone=\"a\\\"b\\\\c\\nd\"} 1\n"));
    assert!(text.contains("\ntidemark_took_seconds_bucket{le=\"0.001\"} 2\n"), "{text}");
    assert!(text.contains("\ntidemark_took_seconds_bucket{le=\"0.1\"} 3\n"));
    assert!(text.contains("\ntidemark_took_seconds_bucket{le=\"0.5\"} 5\n"), "no exemplar");
    assert!(text.contains("\ntidemark_took_seconds_bucket{le=\"+Inf\"} 6\n"));
    assert!(text.ends_with("\ntidemark_took_seconds_sum 20.632\ntidemark_took_seconds_count 6\n"), "{text}");
    let open = String::from_utf8(page().encode(Form::OpenMetrics)).unwrap();
    assert!(open.starts_with(
        "# HELP tidemark_points Points.\n# TYPE tidemark_points counter\ntidemark_points_total 7\n"
    ));
    let exemplar = " # {trace_id=\"00000000000000000000000000000abc\"} 0.3 1500000000.250\n";
    assert!(open.contains(&format!("\ntidemark_took_seconds_bucket{{le=\"0.5\"}} 5{exemplar}")), "{open}");
    assert!(open.ends_with("tidemark_took_seconds_count 6\n# EOF\n"));
}

#[test]
fn messages_have_native_buckets_that_hold_each_value() {
    let bytes = page().encode(Form::Protobuf);
    let mut rest = &bytes[..];
    let mut families = Vec::new();
    while !rest.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut rest).unwrap());
    }
    let kinds: Vec<MetricType> = families.iter().map(MetricFamily::r#type).collect();
    assert_eq!(kinds, [MetricType::Counter, MetricType::Gauge, MetricType::Summary, MetricType::Histogram]);
    let histogram = families[3].metric[0].histogram.clone().unwrap();
    // Spans and differences of counts, put together again.
    let (mut index, mut count, mut deltas) = (0, 0, histogram.positive_delta.iter());
    let mut buckets = Vec::new();
    for span in &histogram.positive_span {
        index += span.offset();
        for _ in 0..span.length() {
            count += deltas.next().unwrap();
            buckets.push((index, count));
            index += 1;
        }
    }
    assert_eq!((deltas.next(), histogram.schema()), (None, 3));
    let upper = |index: i32| (f64::from(index) / 8.0).exp2();
    let holds = |seconds: f64| buckets.iter().find(|(n, _)| upper(n - 1) < seconds && seconds <= upper(*n));
    let held = [0.001, 0.09, 0.24, 0.3, 20.0].map(|seconds| holds(seconds).map(|(_, count)| *count));
    assert_eq!(held, [Some(2), Some(1), Some(1), Some(1), Some(1)], "{buckets:?}");
    assert_eq!(histogram.bucket.len(), 15);
    assert_eq!(histogram.bucket[9].exemplar, histogram.exemplars.first().cloned());
    assert_eq!(histogram.exemplars[0].timestamp.as_ref().unwrap().nanos, 250_000_000);
}

#[test]
fn extreme_durations_are_counted_in_the_last_buckets() {
    let took = Distribution::default();
    for duration in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(1 << 40)] {
        took.observe(duration);
    }
    assert_eq!(took.len(), 3);
    assert_eq!(took.snapshot().native, [(-160, 2), (96, 1)]);
}

#[test]
fn the_form_is_the_one_that_is_wanted_most() {
    let prometheus = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                      application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.2";
    assert_eq!(Form::of_accept(prometheus), Form::Protobuf);
    let older = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    assert_eq!(Form::of_accept(older), Form::OpenMetrics);
    for text in [
        "",
        "*/*",
        "text/plain",
        "application/json",
        "application/vnd.google.protobuf",
        "text/html, */*;q=0.8",
    ] {
        assert_eq!(Form::of_accept(text), Form::Text, "{text}");
    }
}
