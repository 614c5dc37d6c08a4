//! Samples as nodes write them, and texts that are none.

use super::Metrics;

#[test]
fn samples_are_read_with_their_labels() {
    let metrics = Metrics::read(
        "# HELP a What.\n# TYPE a gauge\na 1\nb{x=\"1\",y=\"q\\\"\\\\\\n}\"} 2.5 1700000000\nb{x=\"2\",} +Inf\n  c 3\n",
    );
    assert_eq!(metrics.need("a"), Ok(1.0));
    assert_eq!(metrics.find("b", &[("x", "1")]), Some(2.5));
    assert_eq!(metrics.label("b", "y"), Some("q\"\\\n}"));
    assert_eq!(metrics.find("b", &[("x", "2")]), Some(f64::INFINITY));
    assert!(metrics.need_of("b", &[("x", "2")]).is_err(), "not a figure to judge by");
    assert_eq!(metrics.need("c"), Ok(3.0));
    assert_eq!(metrics.need("d"), Err("no d in /metrics".to_owned()));
}

#[test]
fn a_node_that_starts_has_no_figures_yet() {
    let starting = Metrics::read("tidemark_starting 1\n");
    assert_eq!(starting.need("d"), Err("the node is starting: no d yet".to_owned()));
}

#[test]
fn what_is_no_sample_is_passed_over() {
    for text in [
        "",
        "a",
        "a b",
        "a{",
        "a{x",
        "a{x=",
        "a{x=\"",
        "a{x=\"y\\",
        "a{x=\"y\"",
        "a{x=\"y\"} ",
        "{} 1",
        "\u{1F600} é",
    ] {
        assert_eq!(Metrics::read(text), Metrics::default(), "{text:?}");
    }
    assert_eq!(Metrics::read("<html>\n<body>502 Bad Gateway</body>"), Metrics::default());
}
