//! Most nodes are lost for good: what is left becomes a cluster again that has everything that is left, takes writes, grows,
//! and hears nobody who was given up. A crash at any step of that is mended by taking the step again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testkit::Cluster;
use testkit::binary::tidemark_binary;

use crate::cluster::{all, figures, lines, numbers};
use crate::cluster_moves::{ARGUMENTS, PARTITIONS, check, said, under_load, wait_for_replicas};

/// Series of the points that are written.
const SERIES: u64 = 50;

fn recover(arguments: &[&str], faults: &str) -> Output {
    let mut command = Command::new(tidemark_binary());
    command.arg("recover").args(arguments).env("TIDEMARK_DISK_FAULTS", faults);
    command.output().expect("the binary runs")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a readable path")
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    said(output)
}

#[track_caller]
fn fails(output: &Output, code: i32, why: &str) {
    assert_eq!(output.status.code(), Some(code), "{}", said(output));
    assert!(said(output).contains(why), "{}", said(output));
}

/// Where reports and the plan are kept.
struct Desk {
    dir: tempfile::TempDir,
    plan: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let plan = dir.path().join("plan.json");
        Self { dir, plan }
    }

    fn report_file(&self, node: usize) -> PathBuf {
        self.dir.path().join(format!("report-{node}.json"))
    }

    fn report(&self, cluster: &Cluster, node: usize) -> Output {
        let (data_dir, file) = (cluster.data_dir(node), self.report_file(node));
        recover(&["report", "--data-dir", text(&data_dir), "-o", text(&file)], "")
    }

    fn plan(&self, nodes: &[usize], more: &[&str]) -> Output {
        let files: Vec<PathBuf> = nodes.iter().map(|node| self.report_file(*node)).collect();
        let mut arguments = vec!["plan", "-o", text(&self.plan)];
        arguments.extend(files.iter().map(|file| text(file)));
        arguments.extend(more);
        recover(&arguments, "")
    }

    /// The cluster's id, as the plan has it.
    fn cluster_id(&self) -> String {
        let plan = std::fs::read(&self.plan).expect("the plan was written");
        let plan: serde_json::Value = serde_json::from_slice(&plan).expect("it is JSON");
        plan["content"]["from"].as_str().expect("an id").to_owned()
    }

    fn apply(&self, data_dir: &Path, more: &[&str], faults: &str) -> Output {
        let id = self.cluster_id();
        let mut arguments =
            vec!["apply", "--data-dir", text(data_dir), "--plan", text(&self.plan), "--cluster-id", &id];
        arguments.extend(more);
        recover(&arguments, faults)
    }

    /// What a directory has, without what differs each time.
    fn seen(&self, data_dir: &Path) -> serde_json::Value {
        let file = self.dir.path().join("seen.json");
        succeeds(&recover(&["report", "--data-dir", text(data_dir), "-o", text(&file)], ""));
        let bytes = std::fs::read(&file).expect("the report was written");
        serde_json::from_slice::<serde_json::Value>(&bytes).expect("it is JSON")["content"].take()
    }

    /// Lets the process die at every step of applying the plan to copies of a directory; what comes of applying it again is
    /// what comes of it without a crash.
    fn die_everywhere(&self, data_dir: &Path, flags: &[&str]) {
        let whole = self.dir.path().join("whole");
        copy(data_dir, &whole);
        succeeds(&self.apply(&whole, flags, ""));
        let expected = self.seen(&whole);
        let mut died = 0;
        for (operation, action) in
            [("write", "tear"), ("sync", "kill"), ("rename", "kill"), ("rename", "kill-after")]
        {
            for number in 1.. {
                let broken = self.dir.path().join("broken");
                copy(data_dir, &broken);
                let faults = format!("{operation}::{number}:{action}; unsynced");
                let first = self.apply(&broken, flags, &faults);
                if first.status.success() {
                    break;
                }
                died += 1;
                assert_eq!(first.status.code(), None, "{faults}: {}", said(&first));
                succeeds(&self.apply(&broken, flags, ""));
                assert_eq!(self.seen(&broken), expected, "{faults}");
                let again = self.apply(&broken, flags, "");
                assert!(succeeds(&again).contains("before"), "{}", said(&again));
            }
        }
        assert!(died > 10, "{died}");
    }
}

/// Copies a data directory.
fn copy(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).expect("it can be removed");
    }
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success());
}

/// Puts a directory elsewhere. No node runs in it.
#[expect(clippy::disallowed_methods, reason = "a volume is carried away, as by an operator")]
fn move_dir(from: &Path, to: &Path) {
    std::fs::rename(from, to).expect("it is there");
}

const ACCEPT: &[&str] = &["--i-accept-data-loss"];

#[test]
fn one_node_of_three_goes_on_with_all_that_it_had_and_grows_again() {
    let mut cluster = Cluster::start(3, &ARGUMENTS);
    let points = under_load(&mut cluster, 0, 0, |_| {});
    // Writes have stopped, and every node has all of them.
    check(&cluster, points);
    let desk = Desk::new();
    fails(&desk.report(&cluster, 0), 1, "a node runs on");
    cluster.kill(1);
    cluster.kill(2);
    let kept = cluster.data_dir(1).with_extension("kept");
    move_dir(&cluster.data_dir(1), &kept);
    std::fs::remove_dir_all(cluster.data_dir(2)).expect("it is there");
    // It may be in the log, and come to be written after all.
    let unavailable = cluster.node(0).write("metrics", lines(points..points + 1));
    assert_eq!(unavailable.status, 503, "{}", unavailable.text());
    let mut left = cluster.take(0);
    left.terminate();
    drop(left);

    succeeds(&desk.report(&cluster, 0));
    // It takes the place of what is there, and of a device nothing must.
    let link = desk.dir.path().join("link");
    std::os::unix::fs::symlink("/dev/null", &link).expect("a link");
    let data_dir = cluster.data_dir(0);
    let to_link = ["report", "--data-dir", text(&data_dir), "-o", text(&link)];
    fails(&recover(&to_link, ""), 1, "is no regular file");
    assert!(link.is_symlink());
    let planned = desk.plan(&[0], &[]);
    assert!(succeeds(&planned).contains("0 of 9 groups have everything"), "{}", said(&planned));
    let fates = String::from_utf8_lossy(&planned.stdout).into_owned();
    assert_eq!(fates.lines().count(), 9, "{fates}");
    assert!(fates.contains("data-3: 1 of 3 voters are left"), "{fates}");
    let dir = cluster.data_dir(0);
    fails(&desk.apply(&dir, &[], ""), 2, "--i-accept-data-loss");
    let typed = ["apply", "--data-dir", text(&dir), "--plan", text(&desk.plan), "--cluster-id", "12"];
    let typed: Vec<&str> = typed.into_iter().chain(ACCEPT.iter().copied()).collect();
    fails(&recover(&typed, ""), 1, "the plan is for cluster");
    let spoilt = desk.dir.path().join("spoilt.json");
    let plan = std::fs::read_to_string(&desk.plan).expect("the plan was written");
    std::fs::write(&spoilt, plan.replacen("\"term\": 10000", "\"term\": 20000", 1)).expect("it is written");
    let id = desk.cluster_id();
    let changed = ["apply", "--data-dir", text(&dir), "--plan", text(&spoilt), "--cluster-id", &id];
    let changed: Vec<&str> = changed.into_iter().chain(ACCEPT.iter().copied()).collect();
    fails(&recover(&changed, ""), 1, "changed by hand");
    // Half of it is no node.
    let broken = desk.apply(&dir, ACCEPT, "rename:node.json:1:kill");
    assert_eq!(broken.status.code(), None, "{}", said(&broken));
    fails(&desk.report(&cluster, 0), 1, "must be brought to its end");
    let mut half = cluster.launch(0);
    assert!(!half.wait_for_end().success());
    assert!(half.log().contains("run `tidemark recover apply` again"), "{}", half.log());
    drop(half);
    assert!(succeeds(&desk.apply(&dir, ACCEPT, "")).contains("goes on alone with 9 groups"));
    assert!(succeeds(&desk.apply(&dir, ACCEPT, "")).contains("before"));
    let mut verify = Command::new(tidemark_binary());
    let verified = verify.arg("verify").arg("--data-dir").arg(&dir).output().expect("the binary runs");
    assert!(verified.status.success(), "{verified:?}");

    cluster.start_some(&[0]);
    cluster.node(0).write("metrics", lines(points..points + 1)).expect_status(204);
    check(&cluster, points + 1);
    let points = under_load(&mut cluster, 0, points, |cluster| {
        // One that was given up comes back, and is told so.
        move_dir(&kept, &cluster.data_dir(1));
        let mut lost = cluster.launch(1);
        assert!(!lost.wait_for_end().success());
        assert!(lost.log().contains("has given this node up as lost"), "{}", lost.log());
        assert_eq!((cluster.join("zone-1"), cluster.join("zone-2")), (3, 4));
        let each = usize::try_from(PARTITIONS).expect("small");
        wait_for_replicas(cluster.node(3), &[("1", each), ("4", each), ("5", each)]);
    });
    check(&cluster, points);
    let points = under_load(&mut cluster, 3, points, |cluster| cluster.kill(0));
    check(&cluster, points);
    cluster.start_some(&[0]);
    check(&cluster, points);
}

#[test]
fn two_nodes_of_five_go_on_with_every_partition_that_one_of_them_had() {
    let mut cluster = Cluster::start(5, &ARGUMENTS);
    let points = 5_000;
    for first in (0..points).step_by(500) {
        cluster.node(0).write("metrics", lines(first..first + 500)).expect_status(204);
    }
    check(&cluster, points);
    let desk = Desk::new();
    for lost in [2, 3, 4] {
        cluster.kill(lost);
        std::fs::remove_dir_all(cluster.data_dir(lost)).expect("it is there");
    }
    for left in [0, 1] {
        cluster.take(left).terminate();
        succeeds(&desk.report(&cluster, left));
    }
    let refused = desk.plan(&[0, 1], &[]);
    fails(&refused, 1, "--make-lost-partitions-empty");
    let fates = String::from_utf8_lossy(&refused.stdout).into_owned();
    let lost = fates.lines().filter(|line| line.contains("all of its data are lost")).count();
    assert!(lost > 0 && lost < 8, "{fates}");
    let empty = ["--make-lost-partitions-empty"];
    succeeds(&desk.plan(&[0, 1], &empty));
    let flags: Vec<&str> = ACCEPT.iter().copied().chain(empty).collect();
    fails(&desk.apply(&cluster.data_dir(0), ACCEPT, ""), 2, "--make-lost-partitions-empty");
    for left in [0, 1] {
        desk.die_everywhere(&cluster.data_dir(left), &flags);
        succeeds(&desk.apply(&cluster.data_dir(left), &flags, ""));
    }
    cluster.start_some(&[0, 1]);
    // A series is there with all of its points, or its partition is lost.
    let mut by_series: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for number in numbers(cluster.node(1)) {
        by_series.entry(number % SERIES).or_default().insert(number);
    }
    assert!(!by_series.is_empty() && by_series.len() < 50, "{}", by_series.len());
    for (series, there) in &by_series {
        let wanted: BTreeSet<u64> =
            all(points).into_iter().filter(|number| number % SERIES == *series).collect();
        assert_eq!(*there, wanted, "series {series}");
    }
    // What is lost can be written again, and when a third node comes there are three of everything.
    let points = under_load(&mut cluster, 1, points, |cluster| {
        cluster.join("zone-5");
        let each = usize::try_from(PARTITIONS).expect("small");
        wait_for_replicas(cluster.node(0), &[("1", each), ("2", each), ("6", each)]);
    });
    cluster.node(0).write("metrics", lines(0..5_000)).expect_status(204);
    cluster.kill(0);
    for node in cluster.up() {
        assert_eq!(numbers(node), all(points));
        assert_eq!(figures(node), (points, points * (points - 1) / 2));
    }
}
