//! The command line against a live node.

use std::process::{Command, Output};

use testkit::binary::tidemark_binary;
use testkit::{Node, NodeOptions};

/// Runs the binary with an empty home, so that no profile of the machine's user is seen.
fn tidemark(home: &std::path::Path, args: &[&str]) -> Output {
    let mut command = Command::new(tidemark_binary());
    command.args(args).env("HOME", home).env_remove("XDG_CONFIG_HOME");
    for name in
        ["INFLUX_TOKEN", "INFLUX_HOST", "INFLUX_ORG", "TIDEMARK_TOKEN", "TIDEMARK_HOST", "TIDEMARK_ORG"]
    {
        command.env_remove(name);
    }
    command.output().expect("the binary runs")
}

#[track_caller]
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn set_up_write_and_query() {
    let node = Node::start(NodeOptions::default());
    let home = tempfile::tempdir().expect("a temporary directory");
    let run = |args: &[&str]| tidemark(home.path(), args);
    let set_up = run(&[
        "setup",
        "--host",
        node.url(),
        "--org",
        "acme",
        "--bucket",
        "metrics",
        "--password",
        "long-enough",
    ]);
    done(&set_up);

    // The saved profile is all that the other verbs need.
    done(&run(&["write", "-b", "metrics", "m,host=a v=1i,s=\"x,y\" 1704067200000000000"]));
    let lines: String = (0..25_000_u64)
        .map(|i| format!("file,host=h{} v={i}i,text=\"line\nbreak {i}\" {}\n", i % 10, 1_704_067_200_000 + i))
        .collect();
    let file = home.path().join("points.lp");
    std::fs::write(&file, &lines).expect("a file");
    let report =
        run(&["write", "-b", "metrics", "-p", "ms", "-f", file.to_str().expect("UTF-8"), "-o", "json"]);
    assert_eq!(done(&report).trim(), r#"[{"batches":5,"points":25000,"refused batches":0}]"#);

    let sql = |form: &str| {
        done(&run(&["query", "-l", "sql", "--db", "metrics", "SELECT count(*) AS c FROM file", "-o", form]))
    };
    assert_eq!(sql("csv"), "c\n25000\n");
    assert_eq!(sql("json").trim(), r#"[{"c":25000}]"#);
    assert_eq!(sql("table").lines().count(), 5);

    let script = "from(bucket: \"metrics\") |> range(start: 2024-01-01T00:00:00Z, stop: 2024-01-02T00:00:00Z) \
                  |> filter(fn: (r) => r._field == \"v\") |> group(columns: [\"_measurement\"]) |> count()";
    let json: serde_json::Value =
        serde_json::from_str(&done(&run(&["query", script, "-o", "json"]))).expect("JSON");
    let counts: Vec<_> =
        json.as_array().expect("rows").iter().map(|r| (&r["_measurement"], &r["_value"])).collect();
    assert_eq!(format!("{counts:?}"), r#"[(String("file"), Number(25000)), (String("m"), Number(1))]"#);
    let csv = done(&run(&["query", script, "-o", "csv"]));
    assert!(csv.starts_with("#datatype,string,long,"), "{csv}");
    let table =
        done(&run(&["query", "-l", "influxql", "--db", "metrics", "SELECT v, s FROM m", "-o", "table"]));
    assert!(table.contains("x,y") && table.contains("time"), "{table}");

    // Errors: what, and an exit code that says which kind.
    let wrong = run(&["query", "from(bucket: \"metrics\""]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("error @1:"));
    assert_eq!(run(&["write", "-b", "nowhere", "m v=1"]).status.code(), Some(3));
    assert_eq!(run(&["write", "-b", "metrics", "m v=\"text\""]).status.code(), Some(4), "v is an integer");
    assert_eq!(run(&["write"]).status.code(), Some(2));
    let unreachable = run(&["query", "buckets()", "--host", "http://127.0.0.1:9", "--org", "acme"]);
    assert_eq!(unreachable.status.code(), Some(5));
    assert_eq!(run(&["setup", "--host", node.url(), "--password", "long-enough"]).status.code(), Some(1));
}

#[test]
fn the_version_is_printed() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let text = done(&tidemark(home.path(), &["version"]));
    assert!(text.starts_with("tidemark ") && text.trim().len() > "tidemark ".len(), "{text}");
}
