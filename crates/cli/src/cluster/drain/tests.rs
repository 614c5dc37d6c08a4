//! What is said of a node that drains.

use serde_json::json;

use super::*;

#[test]
fn a_node_that_drains_is_followed_until_it_is_empty() {
    let node = |holds: u64, state: &str| json!({ "id": "01", "holds": holds, "state": state });
    let moves = json!([
        { "group": "data-3", "from": "01", "to": "04", "stage": "catching up", "lag": 17 },
        { "group": "data-4", "from": "01", "to": null, "stage": "leaving", "lag": null },
        { "group": "data-5", "from": "02", "to": "04", "stage": "waiting", "lag": null },
    ]);
    let line = progress(&node(3, "draining"), &moves).unwrap().unwrap();
    assert_eq!(
        line,
        "node 01 holds 3 replicas; on their way: data-3 (catching up, 17 entries behind), data-4 (leaving)"
    );
    let line = progress(&node(1, "draining"), &json!([])).unwrap().unwrap();
    assert_eq!(line, "node 01 holds 1 replicas; on their way: none");
    assert_eq!(progress(&node(0, "draining"), &moves).unwrap(), None);
    assert!(matches!(progress(&node(3, "up"), &moves), Err(CliError::Usage(_))));
    assert!(matches!(progress(&json!({}), &moves), Err(CliError::Answer(_))));
}
