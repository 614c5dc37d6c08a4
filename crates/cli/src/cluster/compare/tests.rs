use super::*;

fn replica(node: &str, applied: u64, compared: &Value) -> Value {
    json!({ "node": node, "isUp": true, "applied": applied, "compared": compared })
}

fn held(node: &str, index: u64, digest: &str) -> Value {
    let compared =
        json!({ "index": index, "isComputing": false, "digest": digest, "values": 5, "reason": null });
    replica(node, index, &compared)
}

#[test]
fn only_replicas_that_all_hold_the_same_are_equal() {
    let judged = |replicas: &[Value]| judge(replicas, 12).outcome;
    let (a, b, c) = (held("1", 12, "aa"), held("2", 12, "aa"), held("3", 12, "aa"));
    assert_eq!(judged(&[a.clone(), b.clone(), c]), Verdict::Equal);
    assert_eq!(judged(std::slice::from_ref(&a)), Verdict::Alone);
    let other = held("3", 12, "ab");
    assert_eq!(judged(&[a.clone(), b.clone(), other.clone()]), Verdict::Different);
    // One that is away has told nothing, whatever was told of it before.
    let away = json!({ "node": "3", "isUp": false, "applied": null, "compared": null });
    assert_eq!(judged(&[a.clone(), b.clone(), away.clone()]), Verdict::Partial);
    assert_eq!(judged(&[a.clone(), other, away.clone()]), Verdict::Different);
    assert_eq!(judged(&[a.clone(), away.clone()]), Verdict::Unknown);
    assert_eq!(judged(std::slice::from_ref(&away)), Verdict::Unknown);
    assert_eq!(judged(&[]), Verdict::Unknown);
    // What is told of another entry is no answer.
    for of_another in [held("3", 11, "aa"), held("3", 13, "aa"), replica("3", 12, &Value::Null)] {
        assert_eq!(judged(&[a.clone(), b.clone(), of_another]), Verdict::Partial);
    }
    let lost = json!({ "index": 12, "isComputing": false, "digest": null, "values": null, "reason": "a file is lost" });
    let said = [replica("2", 12, &lost), a, away];
    let Judged { outcome, values, digests } = judge(&said, 12);
    assert_eq!((outcome, values), (Verdict::Unreadable, json!(5)));
    assert_eq!(digests, "2=a file is lost 1=aa 3=away");
}

#[test]
fn who_has_not_come_to_the_entry_or_computes_is_waited_for_and_nobody_else() {
    let computing =
        json!({ "index": 12, "isComputing": true, "digest": null, "values": null, "reason": null });
    let told = |replica: &Value| match Told::of(replica, 12) {
        Told::Behind | Told::Computing => true,
        Told::Away | Told::Missed | Told::Failed(_) | Told::Held(_) => false,
    };
    assert!(told(&replica("1", 12, &computing)));
    assert!(told(&replica("1", 11, &Value::Null)));
    assert!(told(&held("1", 11, "aa")));
    assert!(!told(&held("1", 12, "aa")));
    assert!(!told(&held("1", 13, "aa")));
    assert!(!told(&replica("1", 12, &Value::Null)));
    assert!(!told(&json!({ "node": "1", "isUp": false })));
}
