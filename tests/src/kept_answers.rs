//! Answers that are given again: always the bytes that would be computed, whatever was written, deleted or changed since
//! and on whichever node; and that they are given again at all.

use testkit::node::encode;
use testkit::{Cluster, Node};

const GIVEN: &str = "tidemark_answers_given_total";
const STALE: &str = "tidemark_answers_stale_total";

/// Questions whose answers last, of different reach.
const QUESTIONS: [&str; 10] = [
    "SELECT mean(v) FROM m WHERE time >= 0 AND time < 400s GROUP BY time(50s)",
    "SELECT max(v), min(w) FROM m WHERE time >= 300s AND time < 700s GROUP BY time(100s), h",
    "SELECT * FROM m WHERE time >= 100s AND time < 150s",
    "SELECT v FROM m WHERE h = 'a' AND time < 1000s",
    "SELECT count(*) FROM /.*/ WHERE time >= 500s AND time < 600s",
    "SELECT last(v) FROM m WHERE time >= 0 AND time < 1000s GROUP BY *",
    "SELECT derivative(mean(v), 1s) FROM m WHERE time >= 200s AND time < 500s GROUP BY time(50s)",
    "SELECT sum(x) FROM (SELECT max(v) AS x FROM m WHERE time < 900s GROUP BY h, time(100s)) WHERE time < 800s",
    "SELECT v FROM m WHERE time < 100s; SELECT w FROM m WHERE time >= 900s AND time < 1000s",
    "SELECT v FROM other WHERE time < 1000s",
];

/// A stream of numbers, always the same.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).expect("an index")]
    }
}

/// Changes something that some answers depend on.
fn change(node: &Node, chance: &mut Chance, step: u64) {
    let (time, host) = (chance.below(1000) * 1_000_000_000, *chance.of(&["a", "b", "c"]));
    let end = time + chance.below(100) * 1_000_000_000;
    let statement = match chance.below(12) {
        0 => format!("DELETE FROM m WHERE h = '{host}' AND time >= {time} AND time <= {end}"),
        1 => format!("DROP SERIES FROM m WHERE h = '{host}'"),
        2 => "DROP MEASUREMENT m".to_owned(),
        3 => {
            // A field and a tag that nobody has seen.
            node.write("metrics", format!("m,h={host},t{step}=x f{step}=1i {time}")).expect_status(204);
            return;
        }
        4 => {
            node.write("metrics", format!("other v={step} {time}")).expect_status(204);
            return;
        }
        _ => {
            let lines = (0..=chance.below(20)).map(|n| format!("m,h={host} v={step},w={n}i {}\n", time + n));
            node.write("metrics", lines.collect::<String>()).expect_status(204);
            return;
        }
    };
    let reply = node.influxql("metrics", &statement).expect_status(200);
    assert!(!reply.text().contains("error"), "{statement}: {}", reply.text());
}

fn all_are_as_computed(nodes: &[&Node], steps: u64, seed: u64) {
    let mut chance = Chance(seed);
    for step in 0..steps {
        if chance.below(4) == 0 {
            let node = *chance.of(nodes);
            change(node, &mut chance, step);
        }
        let question = *chance.of(&QUESTIONS);
        let (asked, other) = (chance.of(nodes), chance.of(nodes));
        let answer = asked.influxql("metrics", question).expect_status(200).text();
        // Nobody has asked this before.
        let computed = other.influxql("metrics", &format!("{question} -- {step}")).expect_status(200).text();
        assert_eq!(answer, computed, "step {step} of seed {seed}: {question}");
    }
}

#[test]
fn an_answer_is_given_again_only_where_it_would_be_computed_so() {
    let node = Node::start_set_up();
    for seed in 0..3 {
        all_are_as_computed(&[&node], 300, seed);
    }
    assert!(node.metric(GIVEN) > 50.0, "{}", node.metric(GIVEN));
    assert!(node.metric(STALE) > 50.0, "{}", node.metric(STALE));
}

#[test]
fn what_one_node_has_written_another_does_not_hide() {
    let cluster = Cluster::start(3, &[]);
    let nodes: Vec<&Node> = cluster.up().collect();
    all_are_as_computed(&nodes, 300, 7);
    let given: f64 = nodes.iter().map(|node| node.metric(GIVEN)).sum();
    assert!(given > 5.0, "{given}");
}

#[test]
fn what_depends_on_the_clock_or_fails_is_computed() {
    let node = Node::start_set_up();
    node.write("metrics", "m v=1 1\nm v=2 2").expect_status(204);
    for question in [
        "SELECT v FROM m",
        "SELECT count(v) FROM m WHERE time > now() - 1h AND time < 10s",
        "SELECT sample(v, 1) FROM m WHERE time < 10s",
        "SELECT v FROM nothing..m WHERE time < 10s",
        "SHOW MEASUREMENTS",
    ] {
        for _ in 0..4 {
            node.influxql("metrics", question).expect_status(200);
        }
    }
    assert!(node.metric(GIVEN) == 0.0);
    // And what lasts is not mixed up: other times, other databases, other formats.
    let question = "SELECT v FROM m WHERE time < 10s";
    let ask = |params: &str| {
        let path = format!("/query?{params}&q={}", encode(question));
        node.get(&path).token(node.token()).send().text()
    };
    let forms =
        ["db=metrics", "db=metrics&epoch=ms", "db=none", "db=metrics&chunked=true", "db=metrics&pretty=true"];
    let first: Vec<String> = forms.iter().map(|params| ask(params)).collect();
    for _ in 0..3 {
        assert_eq!(forms.iter().map(|params| ask(params)).collect::<Vec<_>>(), first);
    }
    assert!(node.metric(GIVEN) >= 4.0);
}
