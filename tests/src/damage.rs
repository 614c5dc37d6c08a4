//! Damage on the disk from outside: found by the verbs that read files, named by a query and by `/health`, and all else
//! is served.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testkit::binary::tidemark_binary;
use testkit::node::encode;
use testkit::{Cluster, Node, NodeOptions, wait_for};

fn tidemark(words: &[&str], path: &Path) -> Output {
    Command::new(tidemark_binary()).args(words).arg(path).output().expect("the binary runs")
}

/// Exit code and standard output.
fn verify(data_dir: &Path) -> (i32, String) {
    let output = tidemark(&["verify", "--data-dir"], data_dir);
    (output.status.code().expect("an exit"), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = std::fs::read(path).expect("a file");
    bytes[offset] ^= 0x10;
    std::fs::write(path, bytes).expect("a file");
}

fn count(node: &Node, host: &str) -> String {
    node.influxql("metrics", &format!("SELECT count(v) FROM cpu WHERE host = '{host}' AND v >= 0"))
        .expect_status(200)
        .text()
}

#[test]
fn damage_is_found_named_and_leaves_the_rest_alone() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let options = NodeOptions {
        data_dir: Some(data_dir.clone()),
        args: ["--partitions", "1", "--scrub-interval", "0s"].map(String::from).to_vec(),
        ..NodeOptions::default()
    };
    let mut node = Node::start(options);
    node.set_up();
    for (host, time) in [("a", 1_000_000_000_u64), ("b", 4_000_000_000_000_000)] {
        // Two shards, so two files, of which one stays sound.
        let lines: String = (0..500)
            .map(|i| format!("cpu,host={host} v={}i {}\n", i * i % 97, time + i * 1_000_000))
            .collect();
        node.write("metrics", lines).expect_status(204);
    }
    node.post("/api/v1/storage/flush").token(node.token()).send().expect_status(204);
    let (code, _) = verify(&data_dir);
    assert_eq!(code, 1, "not while a node runs on it");
    assert!(node.terminate().success());
    assert_eq!(verify(&data_dir), (0, String::new()));

    let tsm = files(&data_dir, "tsm");
    let [first, second] = &tsm[..] else { panic!("{tsm:?}") };
    for what in ["--pages", "--series", "--verify"] {
        let output = tidemark(&["inspect", "tsm", what], first);
        assert!(output.status.success(), "{what}: {output:?}");
    }
    let summary = tidemark(&["inspect", "tsm", "-o", "csv"], first);
    let summary = String::from_utf8_lossy(&summary.stdout).into_owned();
    assert!(summary.contains("rows,500\n") && summary.contains("fields,v integer\n"), "{summary}");

    let output = tidemark(&["inspect", "tsm", "--series", "-o", "json"], first);
    let series: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&series[0]["rows"], &series[0]["unit"]), (&500.into(), &8.into()), "{series}");

    // Within the first page.
    flip(first, 12);
    let (code, found) = verify(&data_dir);
    let name = format!("{} at byte 8: checksum mismatch\n", first.display());
    assert_eq!((code, found), (1, name.clone()));
    let output = tidemark(&["inspect", "tsm", "--verify"], first);
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()), (Some(1), name));

    let node = node.kill_and_restart();
    let (damaged, sound) = (count(&node, "a"), count(&node, "b"));
    assert!(damaged.contains("is damaged at byte 8") && damaged.contains("error"), "{damaged}");
    assert!(sound.contains("500") && !sound.contains("error"), "{sound}");
    let health = node.get("/health").send().expect_status(200).json();
    assert_eq!(health["status"], "pass");
    let check = health["checks"][0]["message"].as_str().expect("a check");
    assert!(check.contains("is damaged at byte 8"), "{check}");
    let metrics = node.get("/metrics").send().expect_status(200).text();
    assert!(metrics.contains("\ntidemark_storage_damaged_places 1\n"), "{metrics}");
    drop(node);

    // Other kinds of files.
    flip(first, 12);
    for path in
        [files(&data_dir, "idx").remove(0), files(&data_dir.join("raft"), "seg").remove(0), second.clone()]
    {
        flip(&path, 12);
        let (code, found) = verify(&data_dir);
        assert!(code == 1 && found.contains(&path.display().to_string()), "{}: {found}", path.display());
        flip(&path, 12);
    }
}

#[test]
fn damaged_and_lost_files_of_a_replica_come_from_another() {
    let mut cluster = Cluster::start(3, &["--partitions", "1", "--scrub-interval", "0s"]);
    let lines: String =
        (0..500).map(|i| format!("cpu,host=a v={}i {}\n", i * i % 97, 1_000 + i * 1_000_000)).collect();
    cluster.node(0).write("metrics", lines).expect_status(204);
    let whole = |node: &Node| {
        let q = encode("SELECT count(v) FROM cpu WHERE host = 'a' AND v >= 0");
        let path = format!("/query?db=metrics&consistency=any&q={q}");
        let said = node.get(&path).token(node.token()).send().text();
        let damaged = node.metric("tidemark_storage_damaged_places");
        if said.contains(",500]") && damaged == 0.0 { Ok(()) } else { Err((said, damaged)) }
    };
    for at in 0..3 {
        let node = cluster.node(at);
        wait_for("the points", || whole(node));
        node.post("/api/v1/storage/flush").token(node.token()).send().expect_status(204);
    }
    let leader = cluster.leads_most();
    for (at, is_lost) in [(leader, false), ((leader + 1) % 3, true)] {
        cluster.kill(at);
        let [file] = &files(&cluster.data_dir(at), "tsm")[..] else { panic!("one file") };
        // Of a lost file the start knows; a damaged page is met by whoever reads it.
        if is_lost {
            std::fs::remove_file(file).expect("a file");
        } else {
            flip(file, 12);
        }
        cluster.start_missing();
        let node = cluster.node(at);
        // A page is only known to be damaged when it was read here, and until then all is whole.
        wait_for("the files of another", || {
            whole(node)?;
            let said = node.log();
            let is_healed = said.contains("damaged files were replaced by a member's");
            if is_healed { Ok(()) } else { Err((said, 0.0)) }
        });
        cluster.node(leader).write("metrics", "cpu,host=b v=-1i 1").expect_status(204);
    }
    for at in 0..3 {
        assert!(cluster.node_mut(at).terminate().success());
        assert_eq!(verify(&cluster.data_dir(at)), (0, String::new()));
    }
}

#[test]
fn a_look_creates_nothing_and_fails_in_words() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (code, found) = verify(dir.path());
    assert_eq!((code, found.contains("there is no node.json")), (1, true), "{found}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0);

    let output = tidemark(&["verify", "--data-dir"], &dir.path().join("nosuch"));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && told.contains("there is no such directory"), "{told}");

    let output = tidemark(&["inspect", "tsm"], Path::new("/dev/zero"));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && told.contains("not a regular file"), "{told}");
}

#[cfg(target_os = "linux")]
#[test]
fn an_error_that_cannot_be_printed_is_an_error_still() {
    let script = "\"$0\" inspect tsm nosuch 2>/dev/full";
    let status = Command::new("sh").args(["-c", script]).arg(tidemark_binary()).status();
    assert_eq!(status.expect("the binary runs").code(), Some(1));
}
