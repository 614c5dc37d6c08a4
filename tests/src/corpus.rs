//! Every case of InfluxData's line-protocol corpus against a live node: never a crash, and a refusal is a 400.
//!
//! The corpus is not part of the project: it is read from `TIDEMARK_REFERENCE_DIR` or from `../shared/reference`, and
//! where it is absent this test says so. What is accepted with which points is checked by the parser's own test.

use std::path::PathBuf;

use base64::Engine as _;
use testkit::Node;
use testkit::binary::workspace_root;

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn corpus() -> Option<serde_json::Value> {
    let dir = std::env::var_os("TIDEMARK_REFERENCE_DIR")
        .map_or_else(|| workspace_root().join("../shared/reference"), PathBuf::from);
    let Ok(text) = std::fs::read(dir.join("line-protocol-corpus.json")) else {
        println!("skipped: no line-protocol-corpus.json in {}", dir.display());
        return None;
    };
    Some(serde_json::from_slice(&text).expect("the corpus is JSON"))
}

#[test]
fn a_live_node_takes_every_case_of_the_corpus() {
    let Some(corpus) = corpus() else { return };
    let node = Node::start_set_up();
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut statuses = std::collections::BTreeMap::new();
    for (key, case) in corpus["decode"].as_object().expect("cases") {
        let text = &case["input"]["text"];
        let body = match text["binary"].as_str() {
            Some(binary) => base64::engine::general_purpose::STANDARD.decode(binary).expect("base64"),
            None => text.as_str().expect("a text").as_bytes().to_vec(),
        };
        for url in ["/api/v2/write?org=acme&bucket=metrics", "/write?db=metrics"] {
            let request = node.post(url).token(node.token()).body(body.clone());
            let reply = request.send_with(&agent).unwrap_or_else(|error| panic!("case {key}: {error}"));
            assert!([204, 400, 422].contains(&reply.status), "case {key}: {} {}", reply.status, reply.text());
            *statuses.entry(reply.status).or_insert(0) += 1;
            if reply.status != 204 {
                assert!(reply.json().is_object(), "case {key}: {}", reply.text());
            }
        }
    }
    assert!(statuses[&204] > 300 && statuses[&400] > 3000, "{statuses:?}");
    assert_eq!(node.get("/health").send().status, 200);
    assert!(!node.log().contains("panicked"), "{}", node.log());
}
