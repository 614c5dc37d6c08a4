//! Answers as Prometheus gives them, and others.

use serde_json::json;

use super::{Rule, rules, value};

#[test]
fn rules_that_alert_are_read() {
    let data = json!({"groups": [
        {"name": "a", "rules": [
            {"type": "alerting", "name": "TidemarkDown", "health": "ok", "state": "inactive"},
            {"type": "recording", "name": "x:y", "health": "ok"},
        ]},
        {"name": "b", "rules": [{"type": "alerting", "name": "TidemarkX", "health": "err", "lastError": "no"}]},
        {"name": "c"},
    ]});
    let rule = |name: &str, health: &str, error: &str| Rule {
        name: name.to_owned(),
        health: health.to_owned(),
        error: error.to_owned(),
    };
    assert_eq!(rules(&data), Ok(vec![rule("TidemarkDown", "ok", ""), rule("TidemarkX", "err", "no")]));
    for garbage in [json!(null), json!([]), json!({"groups": 1})] {
        assert!(rules(&garbage).is_err(), "{garbage}");
    }
}

#[test]
fn values_are_texts_in_pairs() {
    assert_eq!(value(&json!({"value": [1700000000.0, "1"]})), Some(1.0));
    assert!(value(&json!({"value": [0, "NaN"]})).is_some_and(f64::is_nan));
    for garbage in [json!({}), json!({"value": "1"}), json!({"value": [0]}), json!({"value": [0, 1]})] {
        assert_eq!(value(&garbage), None, "{garbage}");
    }
}
