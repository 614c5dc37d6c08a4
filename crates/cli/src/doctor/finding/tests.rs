//! Words and figures.

use super::{Outcome, Place, Verdict, bytes, count, listed, percent};

#[test]
fn figures_are_not_flattered() {
    assert_eq!(percent(0.99999), "99.9%");
    assert_eq!(percent(1.0), "100.0%");
    assert_eq!(bytes(1023.0), "1023 B");
    assert_eq!(bytes(1536.0), "1.5 KiB");
    assert_eq!(bytes(5.0 * 1024_f64.powi(5)), "5120.0 TiB");
    assert_eq!((count(1, "node"), count(2, "node")), ("1 node".to_owned(), "2 nodes".to_owned()));
}

#[test]
fn long_lists_and_texts_are_cut() {
    assert_eq!(listed(&["a", "b"]), "a, b");
    assert_eq!(listed(&["a"; 7]), "a, a, a, a, a and 2 more");
    let finding = Verdict::fail("é \n".repeat(1 << 20)).about(Place::Node, "");
    assert_eq!(finding.text.chars().count(), 2001);
    assert!(!finding.text.contains('\n'), "a server does not write lines of ours");
}

#[test]
fn the_worst_of_several_counts() {
    let worst =
        Verdict::worst(vec![Verdict::ok("a"), Verdict::warn("b"), Verdict::unknown("c"), Verdict::warn("d")]);
    assert_eq!(worst.map(|worst| (worst.outcome, worst.text)), Some((Outcome::Warn, "b, d".to_owned())));
    assert_eq!(Verdict::worst(Vec::new()), None);
}
