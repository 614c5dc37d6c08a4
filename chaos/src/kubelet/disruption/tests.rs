use serde_json::json;

use super::*;

const READY: Victim = Victim { is_running: true, is_ready: true };

fn most(value: Value) -> BudgetSpec {
    BudgetSpec { max_unavailable: Some(value), ..BudgetSpec::default() }
}

fn least(value: Value) -> BudgetSpec {
    BudgetSpec { min_available: Some(value), ..BudgetSpec::default() }
}

fn allowed(spec: &BudgetSpec, expected: usize, healthy: usize) -> usize {
    Budget::of(spec, Counted { expected, healthy }).allowed
}

#[test]
fn one_of_three_may_go_while_all_are_well() {
    let spec = most(json!(1));
    assert_eq!((allowed(&spec, 3, 3), allowed(&spec, 3, 2), allowed(&spec, 3, 1)), (1, 0, 0));
    // It follows the number of replicas.
    assert_eq!((allowed(&spec, 5, 5), allowed(&spec, 1, 1), allowed(&spec, 0, 0)), (1, 1, 0));
}

#[test]
fn shares_are_rounded_up() {
    assert_eq!(allowed(&most(json!("50%")), 3, 3), 2);
    assert_eq!(allowed(&least(json!("50%")), 3, 3), 1);
    assert_eq!(allowed(&least(json!(2)), 3, 3), 1);
    assert_eq!(allowed(&least(json!(1)), 1, 1), 0);
}

#[test]
fn a_ready_pod_needs_the_budget_and_one_that_does_not_run_does_not() {
    let spec = most(json!(1));
    let thin = Budget::of(&spec, Counted { expected: 3, healthy: 2 });
    assert!(!thin.permits(&spec, READY));
    assert!(thin.permits(&spec, Victim { is_running: false, is_ready: false }));
}

#[test]
fn an_unready_pod_goes_only_while_enough_others_are_well_unless_the_policy_says_always() {
    let unready = Victim { is_running: true, is_ready: false };
    let spec = most(json!(1));
    assert!(Budget::of(&spec, Counted { expected: 3, healthy: 2 }).permits(&spec, unready));
    let thin = Budget::of(&spec, Counted { expected: 3, healthy: 1 });
    assert!(!thin.permits(&spec, unready));
    let always = BudgetSpec { unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()), ..spec };
    assert!(thin.permits(&always, unready));
    assert!(!thin.permits(&always, READY));
}
