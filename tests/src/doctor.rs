//! `tidemark doctor` against real nodes, good and bad, and against what only looks like one; and its table beside the one of
//! the documentation.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use testkit::binary::{tidemark_binary, workspace_root};
use testkit::cluster::free_addresses;
use testkit::wait::wait_for;
use testkit::{Authority, Cluster, Node, NodeOptions};

/// Runs doctor with nothing of the tests' own environment that it would look at.
fn doctor(args: &[&str], stdin: &str) -> Output {
    doctor_in(&[], args, stdin)
}

/// The same with variables.
fn doctor_in(env: &[(String, String)], args: &[&str], stdin: &str) -> Output {
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(tidemark_binary());
    for (name, _) in std::env::vars_os() {
        let ours = ["TIDEMARK_", "INFLUX", "DOCKER_INFLUXDB_", "KUBERNETES_"];
        if name.to_str().is_some_and(|name| ours.iter().any(|start| name.starts_with(start))) {
            command.env_remove(name);
        }
    }
    command.arg("doctor").args(args).env("HOME", home.path()).env_remove("XDG_CONFIG_HOME");
    command.envs(env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    child.stdin.take().expect("piped").write_all(stdin.as_bytes()).expect("it reads");
    child.wait_with_output().expect("the binary runs")
}

/// What was found, and the exit code.
struct Findings {
    code: Option<i32>,
    all: Vec<Value>,
}

#[track_caller]
fn findings(args: &[&str], stdin: &str) -> Findings {
    findings_in(&[], args, stdin)
}

#[track_caller]
fn findings_in(env: &[(String, String)], args: &[&str], stdin: &str) -> Findings {
    let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
    let output = doctor_in(env, &args, stdin);
    let text = String::from_utf8_lossy(&output.stdout);
    let all = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr)));
    Findings { code: output.status.code(), all }
}

impl Findings {
    /// The outcomes of a check, in words of their own order: one for each thing that was looked at.
    fn of(&self, check: &str) -> Vec<&str> {
        let all = self.all.iter().filter(|finding| finding["check"] == check);
        all.filter_map(|finding| finding["outcome"].as_str()).collect()
    }

    #[track_caller]
    fn expect(&self, expected: &[(&str, &[&str])]) {
        for (check, outcomes) in expected {
            assert_eq!(self.of(check), *outcomes, "{check}: {:#?}", self.all);
        }
    }

    fn text(&self, check: &str) -> String {
        let all = self.all.iter().filter(|finding| finding["check"] == check);
        all.filter_map(|finding| finding["finding"].as_str()).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn the_documentation_lists_the_checks_that_there_are() {
    let listed = doctor(&["--list", "-o", "json"], "");
    let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).expect("JSON");
    let page =
        std::fs::read_to_string(workspace_root().join("docs/production-checklist.md")).expect("a page");
    let (before, table) = page.split_once("\n## What doctor checks\n").expect("the heading");
    // | `name` | where | looks at | ok | warn | fail | to mend |
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let documented: Vec<(&str, String, BTreeSet<String>)> = rows
        .iter()
        .map(|row| {
            assert_eq!(row.len(), 7, "{row:?}");
            (row[0].trim_matches('`'), row[1].to_owned(), links(row[6]))
        })
        .collect();
    let there: Vec<(&str, String, BTreeSet<String>)> = listed
        .iter()
        .map(|check| {
            let pages = check["pages"].as_array().expect("pages").iter();
            let pages = pages.map(|page| page.as_str().expect("a path").to_owned()).collect();
            let text = |member: &str| check[member].as_str().expect("a text");
            (text("check"), text("where").to_owned(), pages)
        })
        .collect();
    assert!(there.len() >= 40, "{there:?}");
    assert_eq!(documented, there);

    // The lists of before, during and after name checks that there are, and every check is in one of them.
    let names: BTreeSet<&str> = there.iter().map(|(name, ..)| *name).collect();
    let named: BTreeSet<&str> = before
        .lines()
        .filter(|line| line.starts_with("| ") && line.matches(" | ").count() >= 3)
        .filter_map(|line| line.trim_end_matches([' ', '|']).rsplit(" | ").next())
        .flat_map(|cell| cell.split(", "))
        .filter_map(|cell| cell.strip_prefix('`')?.strip_suffix('`'))
        .collect();
    assert_eq!(named, names);
}

/// The pages that a cell links to, as paths in the repository.
fn links(cell: &str) -> BTreeSet<String> {
    let targets = cell.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .map(|target| match (target.strip_prefix("../"), target.strip_prefix('#')) {
            (Some(above), _) => above.to_owned(),
            (_, Some(heading)) => format!("docs/production-checklist.md#{heading}"),
            _ => format!("docs/{target}"),
        })
        .collect()
}

#[test]
fn every_alert_that_there_is_is_asked_for() {
    let root = workspace_root();
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect(path);
    let asked = read("crates/cli/src/doctor/alerts.txt");
    let asked: BTreeSet<&str> = asked.lines().filter(|line| !line.starts_with('#')).collect();
    let rules = read("k8s/base/monitoring/prometheus/rules/rules.yaml");
    let there: BTreeSet<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(there.len() > 50, "{there:?}");
    assert_eq!(asked, there);
}

/// What does not depend on the machine that tests run on.
const STEADY: &str = "nodes,lag,zones,replica-zones,groups,peers,moves,partitions,versions,feature-level,compare,auth,\
                      peer-tls,peer-certificate,secrets-in-environment,clock-offset,damage,log-lines,probes,shutdown-delay";

#[test]
fn a_sound_node_passes() {
    let probe = free_addresses(1).pop().expect("an address");
    let args = ["--probe-bind-address", &probe].map(str::to_owned).to_vec();
    let mut node = Node::start(NodeOptions { args, ..NodeOptions::default() });
    node.set_up();
    let token = node.token().to_owned();
    let all =
        findings(&["--host", node.url(), "--token", &token, "--check", STEADY, "--fail-on", "warn"], "");
    assert_eq!(all.code, Some(0), "{:#?}", all.all);
    for check in STEADY.split(',') {
        let unknown = all.of(check).iter().filter(|outcome| **outcome == "unknown").count();
        // Only the manifests are not there.
        assert_eq!(unknown, usize::from(check == "secrets-in-environment"), "{check}: {:#?}", all.all);
    }
    assert!(
        all.text("probes").contains(&probe),
        "probes are asked at their own port: {}",
        all.text("probes")
    );

    // One node has no copies, which is a warning, and fails where that is asked for.
    let only = ["--host", node.url(), "--token", &token, "--check", "replicas", "--check", "voters-odd"];
    let warned = findings(&only, "");
    warned.expect(&[("replicas", &["warn"]), ("voters-odd", &["warn"]), ("nodes", &[])]);
    assert_eq!(warned.code, Some(0));
    assert_eq!(findings(&[&only[..], &["--fail-on", "warn"]].concat(), "").code, Some(1));
    let skipped = findings(&[&only[..], &["--skip", "replicas"]].concat(), "");
    skipped.expect(&[("replicas", &[]), ("voters-odd", &["warn"])]);

    // For people: what is wrong, how to mend it, and in the last lines which checks those are.
    let text = doctor(&only, "");
    let text = String::from_utf8_lossy(&text.stdout);
    let parts = [
        "cluster\n  warn     voters-odd              1 voter",
        "\n2 checks: 2 warn\n",
        "\n  warn     voters-odd              -> start a third node: docs/",
    ];
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }

    // Without a token nothing of the cluster can be told, and that is no failure by itself.
    let stranger = ["--host", node.url(), "--check", "nodes,replicas,damage"];
    let unknown = findings(&stranger, "");
    unknown.expect(&[("nodes", &["unknown"]), ("replicas", &["unknown"]), ("damage", &["ok"])]);
    assert!(unknown.text("nodes").contains("--token"), "{}", unknown.text("nodes"));
    assert_eq!(unknown.code, Some(0));
    assert_eq!(findings(&[&stranger[..], &["--fail-on", "unknown"]].concat(), "").code, Some(1));
    // A token that is not taken is one.
    let wrong = findings(&[&stranger[..], &["--token", "wrong"]].concat(), "");
    wrong.expect(&[("nodes", &["fail"]), ("replicas", &["unknown"]), ("damage", &["ok"])]);
    assert_eq!(wrong.code, Some(1));
}

#[test]
fn what_is_wrong_with_a_node_is_found() {
    let env = [
        ("DOCKER_INFLUXDB_INIT_MODE", "setup"),
        ("DOCKER_INFLUXDB_INIT_USERNAME", "root"),
        ("DOCKER_INFLUXDB_INIT_PASSWORD", "long-enough"),
        ("DOCKER_INFLUXDB_INIT_ORG", "acme"),
        ("DOCKER_INFLUXDB_INIT_BUCKET", "metrics"),
        ("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN", "my-own-token"),
        ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let args = ["--http-auth-enabled=false", "--partitions", "1", "--memory-bytes", "1TiB"];
    let args = args.map(str::to_owned).to_vec();
    let node = Node::start(NodeOptions { env: env.clone(), args, ..NodeOptions::default() });
    let found = findings(&["--host", node.url(), "--token", "my-own-token"], "");
    found.expect(&[
        ("nodes", &["ok"]),
        ("partitions", &["warn"]),
        ("auth", &["fail"]),
        ("memory", &["fail"]),
        ("probes", &["warn"]),
        ("shutdown-delay", &["fail"]),
        ("fsync", &["unknown"]),
        ("secrets-in-environment", &["fail", "unknown"]),
        ("grace", &["unknown"]),
        ("scraped", &["unknown"]),
        ("runbooks", &["unknown"]),
    ]);
    assert_eq!(found.code, Some(1));
    let secrets = found.text("secrets-in-environment");
    assert!(
        secrets.contains("DOCKER_INFLUXDB_INIT_PASSWORD") && secrets.contains("_ADMIN_TOKEN"),
        "{secrets}"
    );
    assert!(!format!("{:?}", found.all).contains("my-own-token"), "no secret is printed");

    // In its container the environment says where it answers, and with which token it was set up.
    let address = node.url().trim_start_matches("http://").to_owned();
    let inside: Vec<(String, String)> =
        env.into_iter().chain([("TIDEMARK_HTTP_BIND_ADDRESS".to_owned(), address)]).collect();
    let found = findings_in(&inside, &["--check", "nodes,secrets-in-environment,swap"], "");
    found.expect(&[("nodes", &["ok"]), ("secrets-in-environment", &["fail", "unknown"])]);

    // A process may also be named.
    let pid = node.pid().to_string();
    let by_pid = findings(&["--pid", &pid, "--check", "secrets-in-environment,swap"], "");
    by_pid.expect(&[("secrets-in-environment", &["fail", "unknown"])]);
    assert_eq!(by_pid.of("swap").len(), 1);
    assert_ne!(by_pid.of("swap"), ["unknown"]);
    let own = std::process::id().to_string();
    findings(&["--pid", &own, "--check", "swap"], "").expect(&[("swap", &["unknown"])]);
}

#[test]
fn three_nodes_are_asked_each_and_one_that_dies_is_missed() {
    let certificates = tempfile::tempdir().expect("a temporary directory");
    let arguments = Authority::new().sign(certificates.path(), "127.0.0.1").arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut cluster = Cluster::start(3, &arguments);
    let token = cluster.node(0).token().to_owned();
    let urls: Vec<String> = cluster.up().map(|node| node.url().to_owned()).collect();
    let checks = "nodes,lag,voters-odd,zones,replica-zones,replicas,groups,peers,versions,auth,damage,peer-tls,peer-certificate,probes";
    let ask =
        |urls: &[String]| findings(&["--host", &urls.join(","), "--token", &token, "--check", checks], "");
    // They have just been founded: the last members come by and by.
    let all = wait_for("the cluster to be whole", || {
        let found = ask(&urls);
        if found.code == Some(0) && found.of("replicas") == ["ok"] { Ok(found) } else { Err(found.all) }
    });
    all.expect(&[
        ("nodes", &["ok"]),
        ("voters-odd", &["ok"]),
        ("zones", &["ok"]),
        ("replica-zones", &["ok"]),
        ("groups", &["ok", "ok", "ok", "ok"]),
        ("peers", &["ok", "ok", "ok"]),
        ("peer-tls", &["ok", "ok", "ok"]),
        ("peer-certificate", &["ok", "ok", "ok"]),
        ("probes", &["warn", "warn", "warn"]),
    ]);
    // Who asks one of them is told that there are others.
    let one = ask(&urls[..1]);
    one.expect(&[("nodes", &["ok"]), ("peers", &["ok"]), ("probes", &["warn", "unknown"])]);
    let others = one.text("probes");
    assert!(others.contains("no --host names it: node ") && others.contains(", node "), "{others}");

    cluster.kill(2);
    let without = wait_for("the others to miss it", || {
        let found = ask(&urls[..2]);
        let is_missed = found.of("peers") == ["fail", "fail"] && found.of("groups").contains(&"fail");
        if is_missed { Ok(found) } else { Err(found.all) }
    });
    without.expect(&[("nodes", &["fail"]), ("replicas", &["fail"]), ("damage", &["ok", "ok"])]);
    assert_eq!(without.code, Some(1));
    // The dead one among those asked changes nothing about the others.
    let with = ask(&urls);
    with.expect(&[("nodes", &["fail"]), ("damage", &["ok", "ok", "unknown"])]);
    assert_eq!(with.of("probes").last(), Some(&"fail"), "{:#?}", with.all);
}

/// A server that answers each request with what the function makes of its path, for ever.
fn pretend(answer: impl Fn(&str) -> Option<String> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        // Connections without an answer stay open.
        let mut silent = Vec::new();
        for stream in listener.incoming().map_while(Result::ok) {
            let path = request_path(&stream);
            match answer(&path) {
                Some(body) => {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        body.len()
                    );
                    // Whoever asked may have gone.
                    let _gone = (&stream).write_all((head + &body).as_bytes());
                }
                None => silent.push(stream),
            }
        }
    });
    url
}

fn request_path(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream.take(64 << 10)).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    lines.find(String::is_empty);
    first.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn what_is_no_node_is_no_panic() {
    let garbage = [
        "",
        "{}",
        "[]",
        "null",
        "<html>502</html>",
        "{\"isCurrent\":true,\"nodes\":7}",
        "tidemark_starting 0\nprocess_max_fds NaN\nx{",
        "{\"status\":\"success\",\"data\":{\"groups\":[{\"rules\":7}],\"result\":[7,{\"value\":7}]}}",
    ];
    for body in garbage {
        let url = pretend(move |_| Some(body.to_owned()));
        let found = findings(&["--host", &url, "--prometheus", &url, "--token", "t"], "");
        found.expect(&[("nodes", &["fail"]), ("replicas", &["unknown"]), ("damage", &["unknown"])]);
        found.expect(&[("swap", &["unknown"]), ("scraped", &["fail"])]);
        assert_eq!(found.code, Some(1), "{body}");
    }
    let nobody = free_addresses(1).pop().expect("an address");
    let silent = pretend(|_| None);
    for url in [format!("http://{nobody}"), silent] {
        let found = findings(&["--host", &url, "--token", "t", "--timeout", "1"], "");
        found.expect(&[
            ("nodes", &["fail"]),
            ("probes", &["fail"]),
            ("lag", &["unknown"]),
            ("auth", &["unknown"]),
        ]);
        assert_eq!(found.code, Some(1));
    }
}

#[test]
fn prometheus_is_asked_what_it_scrapes_and_what_fires() {
    let mut node = Node::start(NodeOptions::default());
    node.set_up();
    let alerts =
        std::fs::read_to_string(workspace_root().join("crates/cli/src/doctor/alerts.txt")).expect("alerts");
    let rules: Vec<Value> = alerts
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|name| json!({"type": "alerting", "name": name, "health": "ok"}))
        .collect();
    let prometheus = |up: &'static [&'static str], fires: &'static str, ratio: &'static str| {
        let rules = rules.clone();
        pretend(move |path| {
            let sample =
                |metric: Value, value: &str| json!({"metric": metric, "value": [1_700_000_000.0, value]});
            let data = if path.starts_with("/api/v1/rules") {
                json!({"groups": [{"name": "a", "rules": rules}]})
            } else if path.contains("ALERTS") && !fires.is_empty() {
                json!({"result": [sample(json!({"alertname": "TidemarkX", "severity": fires}), "1")]})
            } else if path.contains("scaling_pressure") {
                json!({"result": [sample(json!({"branch": "write", "signal": "cpu"}), ratio)]})
            } else if path.contains("query=up") {
                assert!(path.contains("namespace%3D%22prod%22"), "{path}");
                let target = |(at, up): (usize, &&str)| {
                    sample(json!({"job": "tidemark", "instance": at.to_string()}), up)
                };
                json!({"result": up.iter().enumerate().map(target).collect::<Vec<_>>()})
            } else {
                json!({"result": []})
            };
            Some(json!({"status": "success", "data": data}).to_string())
        })
    };
    let token = node.token().to_owned();
    let ask = |prometheus: &str| {
        let checks = "scraped,alerts,pressure";
        let only = ["--prometheus-match", "namespace=\"prod\"", "--check", checks];
        findings(
            &[&["--host", node.url(), "--token", &token, "--prometheus", prometheus], &only[..]].concat(),
            "",
        )
    };
    let good = ask(&prometheus(&["1"], "", "0.5"));
    good.expect(&[("scraped", &["ok"]), ("alerts", &["ok"]), ("pressure", &["ok"])]);
    assert_eq!(good.code, Some(0));
    ask(&prometheus(&["0"], "warning", "0.8")).expect(&[
        ("scraped", &["fail"]),
        ("alerts", &["warn"]),
        ("pressure", &["warn"]),
    ]);
    let bad = ask(&prometheus(&[], "critical", "1.5"));
    bad.expect(&[("scraped", &["fail"]), ("alerts", &["fail"]), ("pressure", &["fail"])]);
    assert_eq!(bad.code, Some(1));
}

#[test]
fn objects_of_kubernetes_come_from_a_file_or_standard_input() {
    let only = ["--check", "grace,disruption-budget,manifests", "--host", "http://127.0.0.1:9"];
    let set = json!({"kind": "List", "items": [{
        "kind": "StatefulSet",
        "metadata": {"name": "tidemark"},
        "spec": {"replicas": 3, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "terminationGracePeriodSeconds": 30, "containers": [{"name": "tidemark", "image": "tidemark:1"}],
        }}},
    }]})
    .to_string();
    let bad = findings(&[&only[..], &["--kubernetes", "-"]].concat(), &set);
    bad.expect(&[("grace", &["fail"]), ("disruption-budget", &["fail"]), ("manifests", &["fail"])]);
    assert_eq!(bad.code, Some(1));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &set).expect("a file");
    let path = file.path().to_str().expect("UTF-8");
    assert_eq!(findings(&[&only[..], &["--kubernetes", path]].concat(), "").all, bad.all);
    let none = findings(&[&only[..], &["--kubernetes", "-"]].concat(), r#"{"kind": "List", "items": []}"#);
    none.expect(&[("grace", &["unknown"])]);
    assert_eq!(none.code, Some(0));
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    for args in [
        &["--check", "no-such-check"][..],
        &["--check", "swap", "--skip", "swap"],
        &["--done", "nodes"],
        &["--done", "runbooks=yesterday"],
        &["--done", "restore-tested=2999-01-01"],
        &["--host", "127.0.0.1:8086"],
        &["--prometheus", "127.0.0.1:9090"],
        &["--prometheus-match", "a=\"b\""],
        &["--machine", "--pid", "1"],
        &["--timeout", "0"],
        &["--kubernetes", "-"],
    ] {
        let output = doctor(args, "kind: List");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
    }
    let done = [
        "--done",
        "runbooks,client-tls",
        "--done",
        "load-test=2020-01-01",
        "--check",
        "runbooks,client-tls,load-test",
    ];
    findings(&done, "").expect(&[("runbooks", &["ok"]), ("client-tls", &["ok"]), ("load-test", &["ok"])]);
    // The machine alone, before there is a server.
    let machine =
        findings(&["--machine", "--check", "swap,file-system,secrets-in-environment,shutdown-delay"], "");
    machine.expect(&[("secrets-in-environment", &["ok", "unknown"]), ("shutdown-delay", &["ok"])]);
    assert_ne!(machine.of("swap"), ["unknown"]);
    assert_ne!(machine.of("file-system"), ["unknown"]);
}
