use super::*;

fn ms(values: &[u64]) -> Vec<Duration> {
    values.iter().copied().map(Duration::from_millis).collect()
}

fn check(acknowledged: &[u64], from: u64, to: u64, expected: u64) {
    let window = Duration::from_millis(from)..Duration::from_millis(to);
    assert_eq!(gap(&ms(acknowledged), window), Duration::from_millis(expected), "{acknowledged:?}");
}

#[test]
fn the_gap_is_the_longest_pause_in_the_window() {
    check(&[100, 110, 120, 900, 910], 100, 1000, 780);
    // Order does not matter: several writers note their own.
    check(&[900, 120, 110], 100, 1000, 780);
}

#[test]
fn pauses_outside_the_window_do_not_count() {
    check(&[0, 800, 900, 990, 5000], 800, 1000, 100);
}

#[test]
fn a_node_is_judged_by_its_own_clients() {
    let probe = |node, at, took, outcome, status| Attempt {
        node,
        at: Duration::from_millis(at),
        took: Duration::from_millis(took),
        outcome,
        status: Some(status),
    };
    let probes = [
        probe(0, 0, 10, Outcome::Acknowledged, 204),
        probe(1, 100, 10, Outcome::Acknowledged, 204),
        probe(0, 100, 700, Outcome::Unknown, 503),
        probe(0, 400, 10, Outcome::Acknowledged, 200),
        probe(0, 800, 100, Outcome::Acknowledged, 204),
        probe(0, 2000, 5000, Outcome::Unknown, 503),
    ];
    let window = Duration::ZERO..Duration::from_secs(1);
    assert_eq!(node_gap(&probes, 0, &window), Duration::from_millis(890));
    assert_eq!(node_gap(&probes, 2, &window), Duration::from_secs(1));
    assert_eq!(slowest(&probes, &window), Duration::from_millis(700));
}

#[test]
fn a_window_without_acknowledgements_is_a_gap() {
    check(&[], 100, 1000, 900);
    check(&[150], 100, 1000, 850);
}
