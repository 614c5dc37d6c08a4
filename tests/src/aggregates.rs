//! Aggregates of partitions that are on other nodes: computed there, merged where the query runs, and the same to the last
//! bit as where all data is.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use testkit::node::encode;
use testkit::{Cluster, Node, wait_for};

/// Numbers that look random and are the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).expect("an index")]
    }
}

/// Seconds from the first point to the last.
const SPAN_S: u64 = 7200;
const START_S: u64 = 1_700_000_000;

/// Points of two measurements: sums of the floats of `even` are the same in any order, those of `rough` are not.
fn points(random: &mut Random, count: usize) -> String {
    let mut lines = String::new();
    for _ in 0..count {
        let measurement = random.one(&["even", "rough"]);
        let host = random.below(40);
        let (rack, time) = (host % 5, START_S + random.below(SPAN_S));
        #[expect(clippy::cast_precision_loss, reason = "any number will do")]
        let float = match measurement {
            "even" => random.below(4096) as f64 / 16.0 - 128.0,
            _ => random.next() as f64 / 3e9,
        };
        let integer = random.next().cast_signed() / 4096;
        // Some series have no tag `dc`, and some points lack a field.
        let dc = if host.is_multiple_of(7) { String::new() } else { format!(",dc=d{}", host % 3) };
        let text = random.below(100);
        let more = if random.below(4) == 0 { String::new() } else { format!(",i={integer}i,s=\"t{text}\"") };
        writeln!(
            lines,
            "{measurement},host=h{host}{dc},rack=r{rack} f={float},b={}{more} {time}",
            text.is_multiple_of(2)
        )
        .expect("writing to a String cannot fail");
    }
    lines
}

fn influxql(random: &mut Random, measurement: &str) -> String {
    let field = random.one(&["f", "i"]);
    let function = random.one(&["count", "sum", "mean", "min", "max", "spread", "first", "last"]);
    let second = random.one(&["", "", ", count(i)", ", last(s)", ", first(b)", ", mean(f), max(i)"]);
    let (from, to) = (START_S + random.below(SPAN_S / 2), START_S + SPAN_S / 2 + random.below(SPAN_S));
    let filter =
        random.one(&["", " AND dc = 'd1'", " AND host =~ /h1.*/", " AND rack != 'r2'", " AND dc = ''"]);
    let time = random.one(&["", "time(1m)", "time(7m, 3m)", "time(1h)"]);
    let tags = random.one(&["", "rack", "dc", "host", "dc, rack", "*"]);
    let group = match (time, tags) {
        ("", "") => String::new(),
        ("", one) | (one, "") => format!(" GROUP BY {one}"),
        (time, tags) => format!(" GROUP BY {time}, {tags}"),
    };
    let fill = if time.is_empty() {
        ""
    } else {
        random.one(&["", " fill(none)", " fill(previous)", " fill(linear)", " fill(7)"])
    };
    let end = random.one(&["", "", " ORDER BY time DESC", " LIMIT 3", " LIMIT 5 OFFSET 2", " SLIMIT 2"]);
    format!(
        "SELECT {function}({field}){second} FROM {measurement} WHERE time >= {from}s AND time < {to}s{filter}{group}{fill}{end}"
    )
}

fn flux(random: &mut Random, measurement: &str) -> String {
    let field = random.one(&["f", "i"]);
    let function = random.one(&["count", "sum", "mean", "min", "max", "first", "last", "spread", "stddev"]);
    let from = START_S + random.below(SPAN_S / 2);
    let shape = match random.below(3) {
        0 => format!(" |> {function}()"),
        1 => format!(" |> aggregateWindow(every: 5m, fn: {function})"),
        _ => format!(" |> group(columns: [\"dc\"]) |> {function}()"),
    };
    format!(
        "from(bucket: \"metrics\") |> range(start: {from}, stop: {}) \
         |> filter(fn: (r) => r._measurement == \"{measurement}\" and r._field == \"{field}\"){shape}",
        START_S + SPAN_S
    )
}

/// SQL, marked as such. Sums of floats that no node computes are added in any order, so they are of `even` alone.
fn sql(random: &mut Random, measurement: &str) -> String {
    let (from, to) = (START_S + random.below(SPAN_S / 2), START_S + SPAN_S / 2 + random.below(SPAN_S));
    let range = format!("time >= to_timestamp({from}) AND time < to_timestamp({to})");
    let filter =
        random.one(&["", " AND dc = 'd1'", " AND host ~ 'h1.*'", " AND rack <> 'r2'", " AND dc IS NULL"]);
    let aggregate =
        random.one(&["count(i)", "sum(i)", "min(f)", "max(i)", "avg(f)", "selector_last(s, time)['value']"]);
    let text = match random.below(4) {
        0 => {
            let key = random.one(&["rack", "dc", "host", "date_bin(INTERVAL '7 minutes', time)"]);
            format!(
                "SELECT {key} AS k, {aggregate} FROM {measurement} WHERE {range}{filter} GROUP BY 1 ORDER BY 1"
            )
        }
        1 => {
            let key = "date_bin_gapfill(INTERVAL '10 minutes', time)";
            let aggregate = random.one(&["count(i)", "sum(i)", "min(f)", "avg(f)"]);
            format!(
                "SELECT {key} AS k, rack, locf({aggregate}) FROM {measurement} WHERE {range}{filter} GROUP BY 1, 2 ORDER BY 1, 2"
            )
        }
        2 => format!("SELECT * FROM {measurement} WHERE {range}{filter} ORDER BY time DESC, host LIMIT 20"),
        _ => format!(
            "SELECT b, count(*), sum(f) FROM even WHERE {range}{filter} AND i > 0 GROUP BY b ORDER BY b"
        ),
    };
    format!("sql {text}")
}

fn write(node: &Node, lines: &str) {
    let uri = "/api/v2/write?org=acme&bucket=metrics&precision=s";
    node.post(uri).token(node.token()).body(lines).send().expect_status(204);
}

/// What a node answers a question, in any language.
fn ask(node: &Node, question: &str) -> String {
    let reply = if let Some(text) = question.strip_prefix("sql ") {
        node.get(&format!("/api/v3/query_sql?db=metrics&format=csv&q={}", encode(text)))
            .token(node.token())
            .send()
    } else if question.starts_with("from(") {
        node.flux(question)
    } else {
        node.influxql("metrics", question)
    };
    reply.expect_status(200).text()
}

#[test]
fn aggregates_are_the_same_wherever_the_data_is() {
    let mut random = Random(7);
    let mut cluster = Cluster::start(3, &["--partitions", "8"]);
    // Of three nodes each has everything, of four none; a gateway has nothing.
    cluster.join("zone-3");
    wait_for("the fourth node to have its share", || {
        let node = cluster.node(3);
        let status = node.get("/api/v1/cluster/status").token(node.token()).send().expect_status(200).json();
        let counts: Vec<_> =
            status["nodes"].as_array().expect("nodes").iter().map(|n| n["replicas"].as_u64()).collect();
        let at_rest = status["moves"].as_array().is_some_and(Vec::is_empty);
        if at_rest && counts.iter().all(|count| *count < Some(9)) { Ok(()) } else { Err(status) }
    });
    let gateway = cluster.gateway(&[]);
    let alone = {
        let args = ["--partitions", "8"].map(str::to_owned).to_vec();
        let mut alone = Node::start(testkit::NodeOptions { args, ..testkit::NodeOptions::default() });
        alone.set_up();
        alone
    };
    for _ in 0..5 {
        let lines = points(&mut random, 4000);
        write(&gateway, &lines);
        write(&alone, &lines);
    }
    for round in 0..360 {
        let measurement = if round % 2 == 0 { "even" } else { "rough" };
        let question = match round % 3 {
            0 => flux(&mut random, measurement),
            1 => sql(&mut random, measurement),
            _ => influxql(&mut random, measurement),
        };
        let expected = ask(&gateway, &question);
        assert!(!expected.contains("\"error\""), "{question}: {expected}");
        for node in cluster.up() {
            assert_eq!(ask(node, &question), expected, "{question}");
        }
        // Ids of buckets are drawn, so the same series are in other partitions there.
        if measurement == "even" {
            assert_eq!(ask(&alone, &question), expected, "{question}");
        }
    }
}

#[test]
fn an_aggregate_whose_node_dies_is_computed_elsewhere() {
    let mut random = Random(8);
    let mut cluster = Cluster::start(3, &["--partitions", "8"]);
    let gateway = cluster.gateway(&[]);
    for _ in 0..5 {
        write(&gateway, &points(&mut random, 4000));
    }
    let questions = [
        "SELECT mean(f), sum(i), last(s) FROM rough GROUP BY time(1s), host fill(none)",
        "SELECT spread(f), count(i) FROM even WHERE time < 1700007200s GROUP BY time(1m), rack",
    ];
    let expected = questions.map(|question| ask(&gateway, question));
    for victim in 0..3 {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let mut answers = 0;
                while !stop.load(Ordering::Relaxed) {
                    for (question, expected) in questions.iter().zip(&expected) {
                        let reply = gateway.influxql("metrics", question);
                        // Until others lead, some partitions cannot be read.
                        if reply.status == 503 {
                            continue;
                        }
                        let text = reply.expect_status(200).text();
                        if text.contains("\"error\"") {
                            assert!(text.contains("out of reach") || text.contains("unavailable"), "{text}");
                            continue;
                        }
                        assert!(text == *expected, "another answer to {question}");
                        answers += 1;
                    }
                }
                answers
            });
            cluster.kill(victim);
            wait_for("answers without the node", || {
                let reply = gateway.influxql("metrics", questions[1]);
                let text = reply.text();
                if text == expected[1] { Ok(()) } else { Err(text.chars().take(200).collect::<String>()) }
            });
            cluster.start_missing();
            stop.store(true, Ordering::Relaxed);
            assert!(asking.join().expect("the client does not panic") > 0);
        });
    }
}
