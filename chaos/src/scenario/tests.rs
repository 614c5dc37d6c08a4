use std::path::Path;

use super::*;
use crate::scenario_file::{self, ScenarioError, load};

fn parse(faults: &str) -> Result<Scenario, ScenarioError> {
    let text = format!("about: a test\nfaults:\n{faults}\npromises: {{ heal-ms: 1000 }}\n");
    scenario_file::parse(Path::new("some/name.yaml"), &text)
}

#[test]
fn a_scenario_is_read_with_its_defaults() {
    let scenario = parse("- { fault: fill-disk, target: follower, for-ms: 1500, then-ms: 10 }").unwrap();
    assert_eq!((scenario.name.as_str(), scenario.nodes, scenario.repeat), ("name", 3, 1));
    assert_eq!((scenario.faults[0].fault, scenario.faults[0].target), (Fault::FillDisk, Target::Follower));
    assert_eq!(scenario.faults[0].lasts(), Duration::from_millis(1500));
    assert_eq!(scenario.disk(), Some(DiskKind::Small));
    assert_eq!(scenario.promises.write_gap(), None);
}

#[test]
fn what_cannot_be_is_refused() {
    for faults in [
        "[]",
        "- { fault: isolate, target: all, then-ms: 1 }",
        "- { fault: flood, target: all, then-ms: 1 }",
        "- { fault: kill, target: all, then-ms: 1, colour: red }",
        "- { fault: degrade, target: all, then-ms: 1 }",
        "- { fault: kill, target: all, then-ms: 1, link: { delay-ms: 1 } }",
        "- { fault: degrade, target: all, then-ms: 1, link: { delay: 1 } }",
        "- { fault: jump-clock, target: all, then-ms: 1 }",
        "- { fault: throttle, target: all, then-ms: 1 }",
        "- { fault: throttle, target: all, then-ms: 1, percent: 0 }",
        "- { fault: kill, target: all, then-ms: 1, period-ms: 1000 }",
        "- { fault: kill, target: all, then-ms: 1, every-ms: 1000 }",
        "- { fault: half-open, target: all, then-ms: 1 }",
        "- { fault: replace, target: leader, then-ms: 1 }",
        "- { fault: move, target: leader, then-ms: 1 }",
        "- { fault: break-names, target: leader, answer: wrong, then-ms: 1 }",
        "- { fault: kill, target: spares, then-ms: 1 }",
    ] {
        assert!(parse(faults).is_err(), "{faults}");
    }
}

#[test]
fn every_scenario_that_is_shipped_can_be_read() {
    let all: Vec<Scenario> = load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")).unwrap();
    assert!(all.len() > 5, "only {} scenarios", all.len());
    for set in [Set::Short, Set::Ten, Set::Long] {
        assert!(all.iter().any(|scenario| scenario.set == set), "{set:?}");
    }
}
