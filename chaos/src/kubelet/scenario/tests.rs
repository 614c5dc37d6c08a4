use std::path::Path;

use super::*;
use crate::scenario_file;

fn all() -> Vec<Scenario> {
    scenario_file::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("kubelet")).unwrap()
}

#[test]
fn every_file_is_a_scenario_that_does_something() {
    let scenarios = all();
    assert!(scenarios.len() >= 14, "{}", scenarios.len());
    for one in &scenarios {
        assert_eq!(one.steps.is_empty(), one.start == Start::Stuck, "{}", one.name);
        assert!(one.about.ends_with('.'), "{}", one.name);
    }
}

#[test]
fn without_times_it_is_still_promised_that_requests_succeed() {
    let mut rolling = all().into_iter().find(|one| one.name == "rolling-update").unwrap();
    rolling.promises.forget_times();
    assert_eq!((rolling.promises.errors, rolling.promises.write_gap_ms), (Some(0), None));
}
