use serde_json::json;

use super::*;

fn partition(replicas: &Value) -> Value {
    json!({ "partition": 3, "committed": 9, "replicas": replicas })
}

fn replica(node: &str, index: u64, digest: &str) -> Value {
    let compared = json!({ "index": index, "digest": digest, "values": 5, "reason": null });
    json!({ "node": node, "isUp": true, "compared": compared })
}

#[test]
fn replicas_are_judged_once_all_that_are_there_have_told() {
    let before = json!([partition(&json!([]))]);
    let judged = |replicas: Value| judge(&partition(&replicas), &before).outcome;
    let (a, b) = (replica("1", 12, "aa"), replica("2", 12, "aa"));
    assert_eq!(judged(json!([a, b])), "equal");
    assert_eq!(judged(json!([a, replica("2", 12, "ab")])), "different");
    // One that is away is not waited for.
    assert_eq!(judged(json!([a, { "node": "2", "isUp": false, "compared": null }])), "equal");
    assert_eq!(judged(json!([{ "node": "2", "isUp": false }])), "away");
    // What is told of another entry, or of one before the order, is no answer.
    assert_eq!(judged(json!([a, replica("2", 11, "aa")])), "computing");
    assert_eq!(judged(json!([replica("1", 9, "aa"), replica("2", 9, "aa")])), "computing");
    assert_eq!(judged(json!([a, { "node": "2", "isUp": true, "compared": null }])), "computing");
    let lost = json!({ "index": 12, "digest": null, "values": null, "reason": "a file is lost" });
    let lost = json!({ "node": "2", "isUp": true, "compared": lost });
    assert_eq!(judged(json!([a, lost])), "unreadable");
    let verdict = judge(&partition(&json!([a, lost])), &before);
    assert_eq!(verdict.digests, "1=aa 2=a file is lost");
    assert_eq!((verdict.index, verdict.values), (json!(12), json!(5)));
}
