use super::*;
use crate::kubelet::template::Action;

const SECOND: Duration = Duration::from_secs(1);

fn probe(failure_threshold: u32, success_threshold: u32, initial_delay_seconds: u64) -> Probe {
    Probe {
        action: Action::default(),
        initial_delay_seconds,
        period_seconds: 5,
        timeout_seconds: 1,
        failure_threshold,
        success_threshold,
        termination_grace_period_seconds: None,
    }
}

fn at(age: u64, has_started: bool) -> Situation {
    Situation { age: SECOND * u32::try_from(age).unwrap(), has_started, is_ending: false }
}

#[test]
fn readiness_begins_bad_and_follows_its_thresholds() {
    let mut course = Course::new(Kind::Readiness, &probe(2, 3, 0));
    assert_eq!(course.result, Some(false));
    assert!(!course.take(true) && !course.take(true));
    assert_eq!(course.result, Some(false));
    course.take(true);
    assert_eq!(course.result, Some(true));
    course.take(false);
    assert_eq!(course.result, Some(true), "one failure of two");
    assert!(!course.take(false), "who is not ready is not restarted");
    assert_eq!(course.result, Some(false));
}

#[test]
fn a_success_between_failures_begins_the_count_again() {
    let mut course = Course::new(Kind::Liveness, &probe(3, 1, 0));
    for good in [false, false, true, false, false] {
        assert!(!course.take(good));
    }
    assert_eq!(course.result, Some(true));
    assert!(course.take(false));
}

#[test]
fn what_failed_is_not_asked_again_until_there_is_another_container() {
    let mut course = Course::new(Kind::Liveness, &probe(1, 1, 0));
    assert!(course.asks(at(1, true)));
    assert!(course.take(false));
    assert!(!course.asks(at(2, true)));
}

#[test]
fn others_wait_for_the_startup_probe_and_it_is_asked_until_it_succeeds() {
    let mut startup = Course::new(Kind::Startup, &probe(3, 1, 0));
    let liveness = Course::new(Kind::Liveness, &probe(1, 1, 0));
    assert!(startup.asks(at(0, false)) && !liveness.asks(at(0, false)));
    assert_eq!(startup.result, None);
    assert!(!startup.take(false) && !startup.take(false) && !startup.take(true));
    assert_eq!(startup.result, Some(true));
    assert!(!startup.asks(at(9, true)) && liveness.asks(at(9, true)));
}

#[test]
fn a_startup_probe_that_runs_out_of_patience_restarts() {
    let mut startup = Course::new(Kind::Startup, &probe(2, 1, 0));
    assert!(!startup.take(false));
    assert!(startup.take(false));
    assert_eq!((startup.result, startup.failures), (Some(false), 2));
}

#[test]
fn nothing_is_asked_before_the_initial_delay_and_of_an_ending_pod_only_readiness() {
    let delayed = Course::new(Kind::Readiness, &probe(1, 1, 10));
    assert!(!delayed.asks(at(9, true)) && delayed.asks(at(10, true)));
    let ending = Situation { is_ending: true, ..at(20, true) };
    assert!(delayed.asks(ending));
    assert!(!Course::new(Kind::Liveness, &probe(1, 1, 0)).asks(ending));
}
