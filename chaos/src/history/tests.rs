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
fn a_window_without_acknowledgements_is_a_gap() {
    check(&[], 100, 1000, 900);
    check(&[150], 100, 1000, 850);
}
