//! Reads of three nodes as real processes, as new as their clients want them: what a client has written it sees through
//! any node, and a node that others do not reach serves what is old only to those who take that.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use testkit::node::encode;
use testkit::{Cluster, Node, Reply};

const START_NS: u64 = 1_700_000_000_000_000_000;
/// Series, over which the points are spread, so that they are in many partitions.
const SERIES: u64 = 50;
const FLUX_COUNT: &str =
    "from(bucket: \"metrics\") |> range(start: 2020-01-01T00:00:00Z) |> group() |> count()";

fn lines(numbers: impl Iterator<Item = u64>) -> String {
    numbers.map(|n| format!("m,part=s{} n={n}i {}\n", n % SERIES, START_NS + n * 1_000_000)).collect()
}

/// Writes, again as long as there is no certain answer, and answers the token of that.
fn write(node: &Node, numbers: impl Iterator<Item = u64>) -> String {
    let lines = lines(numbers);
    let reply = testkit::wait_for("a write to be acknowledged", || {
        let reply = node.write("metrics", lines.clone());
        if reply.status == 503 { Err(reply.text()) } else { Ok(reply.expect_status(204)) }
    });
    reply.header("x-commit-token").expect("each write answers a token").to_owned()
}

/// What a client demands.
#[derive(Debug, Clone, Copy)]
struct At<'a> {
    consistency: &'a str,
    token: Option<&'a str>,
}

const fn at(consistency: &str) -> At<'_> {
    At { consistency, token: None }
}

fn query(node: &Node, at: At<'_>, query: &str) -> Reply {
    let request = node.get(&format!("/query?db=metrics&epoch=ns&q={}", encode(query))).token(node.token());
    let request = request.header("X-Tidemark-Consistency", at.consistency);
    at.token.into_iter().fold(request, |request, token| request.header("X-Commit-Token", token)).send()
}

/// Every point that a node answers with; its status when it does not.
fn numbers(node: &Node, at: At<'_>) -> Result<BTreeSet<u64>, u16> {
    let reply = query(node, at, "SELECT n FROM m");
    if reply.status == 503 {
        assert_eq!(reply.header("retry-after"), Some("1"), "{}", reply.text());
        return Err(503);
    }
    let json = reply.expect_status(200).json();
    let rows = json["results"][0]["series"][0]["values"].as_array().cloned().unwrap_or_default();
    Ok(rows.iter().map(|row| row[1].as_u64().expect("a number")).collect())
}

/// How many points a node counts, by Flux.
fn count(node: &Node, at: At<'_>) -> Result<u64, u16> {
    let request = node
        .post(&format!("/api/v2/query?org=acme&consistency={}", encode(at.consistency)))
        .token(node.token())
        .header("Content-Type", "application/vnd.flux")
        .body(FLUX_COUNT);
    let reply =
        at.token.into_iter().fold(request, |request, token| request.header("X-Commit-Token", token)).send();
    if reply.status == 503 {
        assert_eq!(reply.header("retry-after"), Some("1"), "{}", reply.text());
        return Err(503);
    }
    let text = reply.expect_status(200).text();
    let row = text.lines().nth(1).and_then(|row| row.rsplit(',').next()).unwrap_or_default();
    Ok(row.trim().parse().unwrap_or_else(|_| panic!("no count in {text}")))
}

fn all(count: u64) -> BTreeSet<u64> {
    (0..count).collect()
}

#[test]
fn who_has_written_reads_it_through_any_node() {
    let cluster = Cluster::start(3, &["--partitions", "8"]);
    let mut next = 0;
    for round in 0..20 {
        let token = write(cluster.node(round % 3), next..next + 10);
        next += 10;
        // At once, from whatever each node has itself, in both languages.
        for node in cluster.up() {
            let any = At { consistency: "any", token: Some(&token) };
            assert_eq!(numbers(node, any), Ok(all(next)));
            assert_eq!(count(node, any), Ok(next));
        }
        // Without a token, whoever asks the leaders sees everything.
        let (reader, level) = (cluster.node((round + 1) % 3), ["leader", "linearizable"][round % 2]);
        assert_eq!(numbers(reader, at(level)), Ok(all(next)), "{level}");
        assert_eq!(count(reader, at(level)), Ok(next), "{level}");
    }
    // A delete too.
    let body = serde_json::json!({
        "start": "2020-01-01T00:00:00Z", "stop": "2030-01-01T00:00:00Z", "predicate": "part=\"s7\"",
    });
    let deleted =
        cluster.node(0).post("/api/v2/delete?org=acme&bucket=metrics").token(cluster.node(0).token());
    let deleted = deleted.json(&body).send().expect_status(204);
    let left: BTreeSet<u64> = all(next).into_iter().filter(|n| n % SERIES != 7).collect();
    for node in cluster.up() {
        let any = At { consistency: "any", token: deleted.header("x-commit-token") };
        assert_eq!(numbers(node, any), Ok(left.clone()));
    }
    // A measurement and a database that another node has just made are seen too.
    let made = cluster.node(1).influxql("metrics", "CREATE DATABASE other").expect_status(200);
    assert!(!made.text().contains("error"), "{}", made.text());
    let wrote = cluster.node(1).write("other", "x v=1 1").expect_status(204);
    for node in cluster.up() {
        let any = At { consistency: "any", token: wrote.header("x-commit-token") };
        let answer = query(node, any, "SELECT v FROM other..x").expect_status(200).json();
        assert_eq!(answer["results"][0]["series"][0]["values"][0][1].as_f64(), Some(1.0), "{answer}");
    }
    // The tokens of one cluster mean nothing to another.
    let mut alone = Node::start(testkit::NodeOptions::default());
    alone.set_up();
    let foreign = At { consistency: "any", token: wrote.header("x-commit-token") };
    let refused = query(&alone, foreign, "SELECT n FROM m").expect_status(400);
    assert!(refused.text().contains("another cluster's"), "{}", refused.text());
    let token = write(&alone, 0..10);
    for consistency in ["any", "bounded(1ms)", "leader", "linearizable"] {
        assert_eq!(numbers(&alone, At { consistency, token: Some(&token) }), Ok(all(10)), "{consistency}");
    }
}

#[test]
fn a_node_that_nobody_reaches_is_old_only_for_those_who_take_that() {
    let (mut cluster, relays) = Cluster::start_behind_relays(3, &["--partitions", "8"]);
    write(cluster.node(0), 0..100);
    // A node that has just started leads little, so most of what it has comes from others.
    cluster.kill(2);
    cluster.start_missing();
    let reader = cluster.node(2);
    assert_eq!(numbers(reader, at("linearizable")), Ok(all(100)));
    relays[2].cut();
    // It reaches the others, and so writes go on through it; but what they lead it does not hear of.
    let token = write(reader, 100..200);
    let old = numbers(reader, at("any")).expect("it has a replica of everything");
    assert!(old.is_superset(&all(100)) && old != all(200), "{old:?}");
    assert_eq!(count(reader, at("any")), Ok(old.len() as u64));
    assert_eq!(numbers(reader, at("bounded(1h)")), Ok(old));
    // It knows that it is behind, and reads where the data is.
    for consistency in ["leader", "linearizable", "bounded(1ms)"] {
        assert_eq!(numbers(reader, at(consistency)), Ok(all(200)), "{consistency}");
        assert_eq!(count(reader, at(consistency)), Ok(200), "{consistency}");
    }
    let any = At { consistency: "any", token: Some(&token) };
    assert_eq!((numbers(reader, any), count(reader, any)), (Ok(all(200)), Ok(200)));
    // When it is reached again it has everything itself.
    relays[2].mend();
    testkit::wait_for("the node to catch up", || match numbers(reader, at("any")) {
        Ok(numbers) if numbers == all(200) => Ok(()),
        other => Err(other),
    });
}

#[test]
fn a_node_alone_answers_only_who_takes_what_is_old() {
    let cluster = Cluster::start(3, &["--partitions", "4", "--write-timeout", "3s"]);
    write(cluster.node(0), 0..100);
    let reader = cluster.node(2);
    for consistency in ["linearizable", "bounded(1h)"] {
        assert_eq!(numbers(reader, at(consistency)), Ok(all(100)));
    }
    let others = [cluster.node(0), cluster.node(1)];
    others.iter().for_each(|node| node.pause());
    for consistency in ["any", "bounded(1h)"] {
        assert_eq!(numbers(reader, at(consistency)), Ok(all(100)), "{consistency}");
        assert_eq!(count(reader, at(consistency)), Ok(100), "{consistency}");
    }
    for consistency in ["linearizable", "leader", "bounded(1ms)"] {
        assert_eq!(numbers(reader, at(consistency)), Err(503), "{consistency}");
        assert_eq!(count(reader, at(consistency)), Err(503), "{consistency}");
    }
    // A name that it does not know may be known elsewhere.
    assert_eq!(query(reader, at("any"), "SELECT n FROM nowhere..m").status, 503);
    others.iter().for_each(|node| node.resume());
    testkit::wait_for("a quorum", || match numbers(reader, at("linearizable")) {
        Ok(numbers) if numbers == all(100) => Ok(()),
        other => Err(other),
    });
    assert_eq!(query(reader, at("any"), "SELECT n FROM nowhere..m").status, 200);
}

/// A bound is counted from the last question to a leader, so it is not met for longer than it says.
#[test]
fn an_age_is_not_believed_for_longer_than_it_says() {
    let (mut cluster, relays) = Cluster::start_behind_relays(3, &["--partitions", "4"]);
    write(cluster.node(0), 0..50);
    cluster.kill(2);
    cluster.start_missing();
    let reader = cluster.node(2);
    assert_eq!(numbers(reader, at("bounded(2s)")), Ok(all(50)));
    relays[2].cut();
    write(reader, 50..100);
    let written = now();
    // Old answers may come for as long as the bound says, and never after it.
    testkit::wait_for("the bound to run out", || {
        let asked = now();
        let seen = numbers(reader, at("bounded(2s)"))?;
        if seen == all(100) {
            return Ok(());
        }
        assert!(asked <= written + Duration::from_secs(2), "an old answer {:?} after", asked - written);
        Err(200)
    });
}

#[expect(clippy::disallowed_methods, reason = "tests wait for real processes in real time")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// A statement in one of the languages, as a request to a node.
#[derive(Debug, Clone, Copy)]
enum Statement {
    Influxql(&'static str),
    Sql(&'static str, &'static str),
    Flux(&'static str),
}

impl Statement {
    /// The answer, if there is one: none where it broke off or says that there is none.
    fn ask(self, node: &Node) -> Option<String> {
        let request = match self {
            Self::Influxql(q) => node.get(&format!("/query?db=metrics&q={}", encode(q))),
            Self::Sql(q, format) => {
                node.get(&format!("/api/v3/query_sql?db=metrics&format={format}&q={}", encode(q)))
            }
            Self::Flux(script) => node
                .post("/api/v2/query?org=acme")
                .header("Content-Type", "application/vnd.flux")
                .body(script.to_owned()),
        };
        let reply = request.token(node.token()).try_send().ok()?;
        if reply.status != 200 {
            assert!(matches!(reply.status, 500 | 503), "{self:?}: {} {}", reply.status, reply.text());
            return None;
        }
        let text = reply.text();
        let says_why = match self {
            Self::Influxql(_) => text.contains("\"error\":"),
            Self::Flux(_) => text.contains(",error,reference"),
            Self::Sql(..) => false,
        };
        (!says_why).then_some(text)
    }
}

#[test]
fn an_answer_is_whole_or_none_though_a_node_dies_meanwhile() {
    const STATEMENTS: [Statement; 6] = [
        Statement::Influxql("SELECT n FROM m GROUP BY part"),
        Statement::Influxql(
            "SELECT count(n), mean(n) FROM m WHERE time < '2023-11-14T23:00:00Z' GROUP BY part, time(1s)",
        ),
        Statement::Sql("SELECT * FROM m ORDER BY time", "jsonl"),
        Statement::Sql("SELECT part, count(*), avg(n) FROM m GROUP BY part ORDER BY part", "csv"),
        Statement::Sql("SELECT a.n FROM m a JOIN m b ON a.n = b.n ORDER BY 1", "json"),
        Statement::Flux(
            "from(bucket: \"metrics\") |> range(start: 2020-01-01T00:00:00Z, stop: 2024-01-01T00:00:00Z) |> sum()",
        ),
    ];
    let mut cluster = Cluster::start(3, &["--partitions", "8"]);
    for from in (0..60_000).step_by(10_000) {
        write(cluster.node(0), from..from + 10_000);
    }
    let expected: Vec<String> = STATEMENTS
        .iter()
        .map(|statement| testkit::wait_for("an answer", || statement.ask(cluster.node(0)).ok_or(())))
        .collect();
    for dying in [1, 2] {
        let (asker, killed) = (cluster.take(0), AtomicBool::new(false));
        let answered = STATEMENTS.map(|_| AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for (at, statement) in STATEMENTS.iter().enumerate() {
                let (asker, killed, answered, expected) = (&asker, &killed, &answered[at], &expected[at]);
                // Until it has been answered after the node had died.
                scope.spawn(move || {
                    testkit::wait_for("an answer after the death", || {
                        let was_killed = killed.load(Ordering::Relaxed);
                        let answer = statement.ask(asker).ok_or("none")?;
                        assert!(answer == *expected, "{statement:?} answers {} bytes", answer.len());
                        answered.fetch_add(1, Ordering::Relaxed);
                        if was_killed { Ok(()) } else { Err("all nodes live") }
                    });
                });
            }
            testkit::wait_for("each to be answered", || {
                let all = answered.iter().all(|n| n.load(Ordering::Relaxed) > 0);
                if all { Ok(()) } else { Err(()) }
            });
            cluster.kill(dying);
            killed.store(true, Ordering::Relaxed);
        });
        cluster.put(0, asker);
        cluster.start_missing();
    }
}
