//! Each judge on both sides of each threshold.

mod outside;

use serde_json::{Value, json};
use server::config::Config;

use super::prometheus;
use crate::doctor::done::Done;
use crate::doctor::exposition::Metrics;
use crate::doctor::facts::{ClusterFacts, Facts, MachineFacts, Missing, NodeFacts, PrometheusFacts, Rule};
use crate::doctor::finding::Outcome::{self, Fail, Ok as Good, Unknown, Warn};
use crate::doctor::survey::{Compared, Gateway, Group, Move, Node, Replica, Survey};
use crate::doctor::table::CHECKS;

/// 2026-03-31, noon.
const NOW: i64 = 1_774_958_400;

/// What a node shows that nothing is wrong with.
const HEALTHY: &[(&str, &str)] = &[
    ("tidemark_starting", "0"),
    ("tidemark_build_info{version=\"1\",node=\"0000000000000001\",role=\"node\"}", "1"),
    ("tidemark_raft_groups_without_leader", "0"),
    ("tidemark_raft_groups_without_quorum", "0"),
    ("tidemark_raft_groups_at_risk", "0"),
    ("tidemark_cluster_peers_unreachable", "0"),
    ("tidemark_peer_clock_offset_seconds", "0.001"),
    ("tidemark_peer_certificate_expiry_timestamp_seconds", "1900000000"),
    ("process_max_fds", "65536"),
    ("process_open_fds", "100"),
    ("tidemark_storage_free_bytes", "60"),
    ("tidemark_storage_total_bytes", "100"),
    ("tidemark_storage_read_only", "0"),
    ("tidemark_wal_fsync_duration_seconds_bucket{le=\"0.005\"}", "1000"),
    ("tidemark_wal_fsync_duration_seconds_bucket{le=\"0.1\"}", "1000"),
    ("tidemark_wal_fsync_duration_seconds_count", "1000"),
    ("tidemark_memory_system_bytes", "1073741824"),
    ("tidemark_memory_budget_bytes", "536870912"),
    ("tidemark_wal_size_bytes", "100"),
    ("tidemark_wal_size_limit_bytes", "536870912"),
    ("tidemark_storage_damaged_places", "0"),
    ("tidemark_storage_corruptions_total", "0"),
    ("tidemark_log_lines_total{level=\"error\"}", "0"),
    ("tidemark_memory_bytes{account=\"queries\"}", "1"),
    ("tidemark_memory_limit_bytes{account=\"queries\"}", "100"),
    ("tidemark_memory_bytes{account=\"index\"}", "1"),
    ("tidemark_memory_limit_bytes{account=\"index\"}", "100"),
];

/// The same with other figures.
fn metrics(changed: &[(&str, &str)]) -> Metrics {
    let value = |name: &str, value: &'static str| -> String {
        changed.iter().find(|(changed, _)| *changed == name).map_or(value, |(_, value)| value).to_owned()
    };
    let lines =
        HEALTHY.iter().map(|(name, was)| (name, value(name, was))).filter(|(_, value)| !value.is_empty());
    Metrics::read(&lines.map(|(name, value)| format!("{name} {value}\n")).collect::<String>())
}

fn settings(flags: &[(&str, &str)]) -> Config {
    let flags = flags.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    Config::resolve(flags, |_| None, |_| Err(std::io::ErrorKind::NotFound.into())).unwrap().config
}

fn node(id: u64) -> Node {
    Node {
        id: format!("{id:016x}"),
        address: format!("10.0.0.{id}:8088"),
        zone: format!("z{id}"),
        version: "1".to_owned(),
        state: "up".to_owned(),
        disk_free_bytes: Some(60),
        disk_total_bytes: Some(100),
        ..Node::default()
    }
}

fn group(partition: Option<u64>, nodes: &[u64]) -> Group {
    let replica = |id: &u64| Replica {
        node: format!("{id:016x}"),
        is_voter: true,
        is_up: true,
        compared: Some(Compared { index: 7, digest: Some("aa".to_owned()), reason: None }),
    };
    Group {
        group: partition.map_or_else(|| "meta".to_owned(), |partition| format!("data-{partition}")),
        partition,
        leader: Some("0000000000000001".to_owned()),
        replicas: nodes.iter().map(replica).collect(),
    }
}

/// A cluster of some nodes that nothing is wrong with, in three partitions.
fn cluster(nodes: u64) -> Survey {
    let all: Vec<u64> = (1..=nodes).collect();
    let voters = &all[..all.len().min(if nodes >= 5 { 5 } else { 3 })];
    let partition = |at: u64| group(Some(at), &all[..all.len().min(3)]);
    let mut survey = Survey {
        is_current: true,
        cluster: "c".to_owned(),
        partitions: 32,
        replication: 3,
        level: 2,
        level_of_all: 2,
        nodes: all.iter().map(|id| node(*id)).collect(),
        groups: vec![group(None, voters), partition(0), partition(1), partition(2)],
        ..Survey::default()
    };
    if nodes == 1 {
        survey.nodes[0].address = "alone".to_owned();
    }
    survey
}

fn told(survey: Survey) -> ClusterFacts {
    ClusterFacts { told_by: vec![("http://a".to_owned(), survey.cluster.clone())], survey, later: Vec::new() }
}

fn facts() -> Facts {
    Facts {
        cluster: Ok(told(cluster(3))),
        nodes: vec![asked(metrics(&[]))],
        machines: Ok(vec![machine()]),
        kubernetes: Ok(vec![stateful_set(), budget(json!({"maxUnavailable": 1}))]),
        prometheus: Ok(prometheus_facts()),
        done: Done::default(),
        now: NOW,
    }
}

fn asked(metrics: Metrics) -> NodeFacts {
    let ready = |path| (path, Ok((200, "{}".to_owned())));
    NodeFacts {
        url: "http://a".to_owned(),
        metrics: Ok(metrics),
        probes_at: "http://a".to_owned(),
        probes: vec![ready("/startupz"), ready("/livez"), ready("/readyz")],
        strangers: vec![("GET /query", Ok(401)), ("POST /api/v2/write", Ok(401))],
        settings: Some(settings(&[
            ("probe-bind-address", ":8089"),
            ("peer-bind-address", ":8088"),
            ("peer-plaintext", "true"),
        ])),
    }
}

fn machine() -> MachineFacts {
    MachineFacts {
        about: "process 7".to_owned(),
        url: Some("http://a".to_owned()),
        settings: Ok(settings(&[("shutdown-delay", "5s")])),
        environment: Ok(vec!["KUBERNETES_SERVICE_HOST".to_owned()]),
        flags: Vec::new(),
        swaps: Ok("Filename Type Size Used Priority\n".to_owned()),
        status: Some(Ok("Name: t\nVmSwap:\t       0 kB\n".to_owned())),
        mounts: Ok(mounts("ext4", "/dev/sda1")),
        data_dir: Some("/var/lib/tide mark/data".into()),
    }
}

fn mounts(kind: &str, source: &str) -> String {
    format!(
        "1 0 0:1 / / rw - overlay overlay rw\n2 1 8:1 / /var/lib/tide\\040mark rw shared:1 - {kind} {source} rw\n\
         3 1 0:5 / /var/lib/tide\\040mark2 rw - nfs4 far:/x rw\ngarbage\n"
    )
}

fn prometheus_facts() -> PrometheusFacts {
    let up = |at: u32| ("tidemark".to_owned(), format!("10.0.0.{at}:8086"), 1.0);
    let rule = |name: &str| Rule { name: name.to_owned(), health: "ok".to_owned(), error: String::new() };
    PrometheusFacts {
        url: "http://p".to_owned(),
        up: Ok(vec![up(1), up(2), up(3)]),
        rules: Ok(prometheus::alerts_of_this_version().map(rule).collect()),
        firing: Ok(vec![("Watchdog".to_owned(), "none".to_owned())]),
        pressure: Ok(vec![("write latency".to_owned(), 0.5)]),
    }
}

fn stateful_set() -> Value {
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "probe"}});
    json!({
        "kind": "StatefulSet",
        "metadata": {"name": "tidemark", "namespace": "tidemark"},
        "spec": {
            "replicas": 3,
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
            "template": {
                "metadata": {"labels": {"app": "tidemark", "component": "node"}},
                "spec": {
                    "terminationGracePeriodSeconds": 120,
                    "containers": [{
                        "name": "tidemark",
                        "image": "registry.example.com:5000/team/tidemark:0.1.0",
                        "startupProbe": probe("/startupz"),
                        "livenessProbe": probe("/livez"),
                        "readinessProbe": probe("/readyz"),
                        "lifecycle": {"preStop": {"exec": {"command":
                            ["/usr/local/bin/tidemark", "pre-stop", "--timeout", "60s"]}}},
                        "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "1024Mi"}},
                        "env": [{"name": "DOCKER_INFLUXDB_INIT_PASSWORD_FILE", "value": "/x"}],
                        "envFrom": [{"configMapRef": {"name": "settings"}}],
                    }],
                },
            },
        },
    })
}

fn budget(spec: Value) -> Value {
    let mut budget = json!({
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "tidemark", "namespace": "tidemark"},
        "spec": {"selector": {"matchLabels": {"app": "tidemark"}}},
    });
    for (name, value) in spec.as_object().unwrap() {
        budget["spec"][name] = value.clone();
    }
    budget
}

/// How a check ends.
#[track_caller]
fn outcome(name: &str, facts: &Facts) -> Outcome {
    let check = CHECKS.iter().find(|check| check.name == name).expect("a check");
    (check.judge)(facts).iter().map(|finding| finding.outcome).max().expect("a finding")
}

#[track_caller]
fn check_cluster(name: &str, nodes: u64, change: impl FnOnce(&mut Survey), expected: Outcome) {
    let mut survey = cluster(nodes);
    change(&mut survey);
    let facts = Facts { cluster: Ok(told(survey)), ..facts() };
    assert_eq!(outcome(name, &facts), expected, "{name}");
}

#[track_caller]
fn check_node(name: &str, changed: &[(&str, &str)], expected: Outcome) {
    let known: Vec<&str> = HEALTHY.iter().map(|(name, _)| *name).collect();
    assert!(changed.iter().all(|(name, _)| known.contains(name)), "{changed:?}");
    let facts = Facts { nodes: vec![asked(metrics(changed))], ..facts() };
    assert_eq!(outcome(name, &facts), expected, "{name} {changed:?}");
}

#[track_caller]
fn check_machine(name: &str, change: impl FnOnce(&mut MachineFacts), expected: Outcome) {
    let mut machine = machine();
    change(&mut machine);
    assert_eq!(outcome(name, &Facts { machines: Ok(vec![machine]), ..facts() }), expected, "{name}");
}

#[track_caller]
fn check_objects(name: &str, change: impl FnOnce(&mut Vec<Value>), expected: Outcome) {
    let mut objects = vec![stateful_set(), budget(json!({"maxUnavailable": 1}))];
    change(&mut objects);
    let text = format!("{objects:?}");
    assert_eq!(outcome(name, &Facts { kubernetes: Ok(objects), ..facts() }), expected, "{name} {text}");
}

#[track_caller]
fn check_prometheus(name: &str, change: impl FnOnce(&mut PrometheusFacts), expected: Outcome) {
    let mut prometheus = prometheus_facts();
    change(&mut prometheus);
    assert_eq!(outcome(name, &Facts { prometheus: Ok(prometheus), ..facts() }), expected, "{name}");
}

const MOVING: fn(&mut Survey) = |survey| survey.moves.push(Move::default());

#[test]
fn names_are_unique_and_where_nothing_is_wrong_all_is_ok() {
    let facts = facts();
    for (at, check) in CHECKS.iter().enumerate() {
        assert!(CHECKS[..at].iter().all(|other| other.name != check.name), "{} twice", check.name);
        if check.is_yours() {
            assert_eq!(outcome(check.name, &facts), Unknown, "{}", check.name);
        } else if check.name == "probes" {
            // Two nodes were not asked, and that is said.
            assert_eq!(outcome(check.name, &facts), Unknown);
        } else {
            assert_eq!(outcome(check.name, &facts), Good, "{}", check.name);
        }
    }
}

#[test]
fn where_nothing_is_known_nothing_is_judged() {
    let nothing = || Facts {
        cluster: Err(Missing { reason: "no token".to_owned(), is_failure: false }),
        nodes: vec![NodeFacts {
            metrics: Err("away".to_owned()),
            probes: Vec::new(),
            strangers: Vec::new(),
            settings: None,
            ..asked(Metrics::default())
        }],
        machines: Err("elsewhere".to_owned()),
        kubernetes: Err("no file".to_owned()),
        prometheus: Err("no address".to_owned()),
        done: Done::default(),
        now: NOW,
    };
    for check in CHECKS {
        assert_eq!(outcome(check.name, &nothing()), Unknown, "{}", check.name);
    }
    let asked_in_vain = Missing { reason: "refused".to_owned(), is_failure: true };
    assert_eq!(outcome("nodes", &Facts { cluster: Err(asked_in_vain), ..nothing() }), Fail);
    // A page without figures is not a good page.
    let empty = Facts { nodes: vec![asked(Metrics::read("tidemark_starting 1\n"))], ..nothing() };
    for check in CHECKS.iter().filter(|check| check.name != "probes" && check.name != "auth") {
        assert_eq!(outcome(check.name, &empty), Unknown, "{}", check.name);
    }
}

#[test]
fn empty_and_absurd_pictures_of_a_cluster_are_no_panic_and_not_ok() {
    let empty = Facts { cluster: Ok(told(Survey::default())), ..facts() };
    for name in ["nodes", "voters-odd", "replicas", "groups"] {
        assert_eq!(outcome(name, &empty), Fail, "{name}");
    }
    let mut absurd = cluster(3);
    absurd.replication = u64::MAX;
    absurd.partitions = u64::MAX;
    absurd.nodes[0].lag = u64::MAX;
    absurd.nodes[0].disk_free_bytes = Some(u64::MAX);
    absurd.nodes[0].disk_total_bytes = Some(1);
    absurd.groups[1].replicas.clear();
    let absurd = Facts { cluster: Ok(told(absurd)), ..facts() };
    for check in CHECKS {
        let _any: Outcome = outcome(check.name, &absurd);
    }
}

#[test]
fn nodes() {
    check_cluster("nodes", 3, |survey| survey.nodes[2].state = "draining".to_owned(), Warn);
    check_cluster("nodes", 3, |survey| survey.nodes[2].state = "away".to_owned(), Fail);
    check_cluster("nodes", 3, |survey| survey.nodes[2].state = "lost".to_owned(), Good);
    check_cluster("nodes", 3, |survey| survey.nodes[2].state = "decommissioned".to_owned(), Good);
    check_cluster("nodes", 3, |survey| survey.is_current = false, Fail);
    let mut two = told(cluster(3));
    two.told_by.push(("http://b".to_owned(), "another".to_owned()));
    assert_eq!(outcome("nodes", &Facts { cluster: Ok(two), ..facts() }), Fail, "two clusters");
}

#[test]
fn lag_is_what_lasts() {
    let lags = |first: u64, later: &[u64]| {
        let with = |lag: u64| {
            let mut survey = cluster(3);
            survey.nodes[1].lag = lag;
            survey
        };
        let later = later.iter().map(|lag| with(*lag)).collect();
        outcome("lag", &Facts { cluster: Ok(ClusterFacts { later, ..told(with(first)) }), ..facts() })
    };
    assert_eq!(lags(0, &[]), Good);
    assert_eq!(lags(50_000, &[3, 0]), Good);
    assert_eq!(lags(3, &[1]), Warn);
    assert_eq!(lags(9_999, &[20_000]), Warn);
    assert_eq!(lags(10_000, &[20_000]), Fail);
}

#[test]
fn voters_are_odd() {
    let shrink = |at: usize| move |survey: &mut Survey| drop(survey.groups[at].replicas.pop());
    check_cluster("voters-odd", 1, |_| {}, Warn);
    check_cluster("voters-odd", 3, shrink(0), Fail);
    check_cluster("voters-odd", 3, shrink(2), Fail);
    check_cluster(
        "voters-odd",
        3,
        |survey| {
            shrink(2)(survey);
            MOVING(survey);
        },
        Warn,
    );
    check_cluster("voters-odd", 3, |survey| survey.groups[2].replicas[0].is_voter = false, Fail);
    check_cluster("voters-odd", 4, |_| {}, Good);
    check_cluster("voters-odd", 5, |_| {}, Good);
    check_cluster("voters-odd", 5, |survey| survey.groups[0].replicas.truncate(3), Fail);
}

#[test]
fn zones() {
    check_cluster("zones", 3, |survey| survey.nodes[0].zone.clear(), Warn);
    check_cluster("zones", 3, |survey| survey.nodes[0].zone = "z2".to_owned(), Warn);
    check_cluster("zones", 4, |survey| survey.nodes[0].zone = "z2".to_owned(), Good);
    check_cluster(
        "zones",
        4,
        |survey| {
            survey.nodes[0].zone = "z2".to_owned();
            survey.nodes[3].state = "away".to_owned();
        },
        Warn,
    );
    check_cluster("zones", 1, |survey| survey.nodes[0].zone.clear(), Good);
    let same = |survey: &mut Survey| survey.nodes[0].zone = "z2".to_owned();
    check_cluster("replica-zones", 3, same, Warn);
    check_cluster("replica-zones", 4, same, Fail);
    check_cluster(
        "replica-zones",
        4,
        |survey| {
            same(survey);
            MOVING(survey);
        },
        Warn,
    );
    check_cluster("replica-zones", 1, |_| {}, Good);
}

#[test]
fn replicas() {
    let away = |survey: &mut Survey| survey.groups[2].replicas[0].is_up = false;
    check_cluster("replicas", 3, away, Fail);
    check_cluster(
        "replicas",
        3,
        |survey| {
            away(survey);
            MOVING(survey);
        },
        Warn,
    );
    check_cluster("replicas", 3, |survey| survey.groups[2].replicas[0].is_voter = false, Fail);
    check_cluster("replicas", 3, |survey| survey.replication = 1, Warn);
    check_cluster("replicas", 3, |survey| survey.replication = 5, Warn);
    check_cluster("replicas", 1, |_| {}, Warn);
}

#[test]
fn groups() {
    check_cluster("groups", 3, |survey| survey.groups[3].leader = None, Fail);
    for name in ["leader", "quorum"] {
        check_node("groups", &[(&format!("tidemark_raft_groups_without_{name}"), "1")], Fail);
    }
    check_node("groups", &[("tidemark_raft_groups_at_risk", "1")], Fail);
    check_node("groups", &[("tidemark_raft_groups_at_risk", "")], Unknown);
}

#[test]
fn what_is_on_its_way_and_what_is_founded() {
    check_cluster("moves", 3, MOVING, Warn);
    check_cluster("partitions", 3, |survey| survey.partitions = 12, Good);
    check_cluster("partitions", 3, |survey| survey.partitions = 11, Warn);
    check_cluster("partitions", 3, |survey| survey.partitions = 3, Warn);
    check_cluster("partitions", 3, |survey| survey.partitions = 2, Fail);
}

#[test]
fn versions_and_levels() {
    check_cluster("versions", 3, |survey| survey.nodes[0].version = "2".to_owned(), Warn);
    let gateway = |version: &str| Gateway { address: ":8086".to_owned(), version: version.to_owned() };
    check_cluster("versions", 3, |survey| survey.gateways.push(gateway("1")), Good);
    check_cluster("versions", 3, |survey| survey.gateways.push(gateway("2")), Warn);
    check_cluster("feature-level", 3, |survey| survey.level = 1, Warn);
}

#[test]
fn replicas_that_compare() {
    let compared =
        |index, digest: &str| Some(Compared { index, digest: Some(digest.to_owned()), reason: None });
    let one =
        |change: Option<Compared>| move |survey: &mut Survey| survey.groups[2].replicas[1].compared = change;
    check_cluster("compare", 3, one(None), Warn);
    check_cluster("compare", 3, one(compared(8, "bb")), Warn);
    check_cluster("compare", 3, one(compared(7, "bb")), Fail);
    let failed = Compared { index: 7, digest: None, reason: Some("damaged".to_owned()) };
    check_cluster("compare", 3, one(Some(failed)), Warn);
    let none = |survey: &mut Survey| {
        survey
            .groups
            .iter_mut()
            .flat_map(|group| &mut group.replicas)
            .for_each(|replica| replica.compared = None);
    };
    check_cluster("compare", 3, none, Warn);
    check_cluster("compare", 1, none, Good);
}

#[test]
fn disks() {
    let free = |free| move |survey: &mut Survey| survey.nodes[1].disk_free_bytes = Some(free);
    check_cluster("disk-free", 3, free(25), Good);
    check_cluster("disk-free", 3, free(24), Warn);
    check_cluster("disk-free", 3, free(10), Warn);
    check_cluster("disk-free", 3, free(9), Fail);
    check_cluster("disk-free", 3, |survey| survey.nodes[1].disk_total_bytes = None, Unknown);
    check_node("disk-free", &[("tidemark_storage_read_only", "1")], Fail);
}

#[test]
fn network_and_clocks() {
    check_node("peers", &[("tidemark_cluster_peers_unreachable", "1")], Fail);
    check_node("clock-offset", &[("tidemark_peer_clock_offset_seconds", "0.1")], Good);
    check_node("clock-offset", &[("tidemark_peer_clock_offset_seconds", "-0.11")], Warn);
    check_node("clock-offset", &[("tidemark_peer_clock_offset_seconds", "0.25")], Warn);
    check_node("clock-offset", &[("tidemark_peer_clock_offset_seconds", "0.26")], Fail);
}

#[test]
fn strangers_get_nothing() {
    let with = |strangers| {
        let node = NodeFacts { strangers, ..asked(metrics(&[])) };
        outcome("auth", &Facts { nodes: vec![node], ..facts() })
    };
    assert_eq!(with(vec![("a", Ok(401)), ("b", Ok(200))]), Fail);
    assert_eq!(with(vec![("a", Ok(404)), ("b", Ok(401))]), Fail);
    assert_eq!(with(vec![("a", Ok(401)), ("b", Ok(503))]), Unknown);
    assert_eq!(with(vec![("a", Err("away".to_owned()))]), Unknown);
}

const EXPIRY: &str = "tidemark_peer_certificate_expiry_timestamp_seconds";

#[test]
fn tls_between_nodes() {
    check_node("peer-tls", &[(EXPIRY, "")], Fail);
    let with = |settings, survey| {
        let node = NodeFacts { settings, ..asked(metrics(&[(EXPIRY, "")])) };
        let cluster = told(survey);
        outcome("peer-tls", &Facts { nodes: vec![node], cluster: Ok(cluster), ..facts() })
    };
    assert_eq!(with(Some(settings(&[])), cluster(3)), Warn, "loopback");
    assert_eq!(with(None, cluster(3)), Fail, "the others are elsewhere");
    let mut near = cluster(3);
    near.nodes.iter_mut().for_each(|node| node.address = "[::1]:8088".to_owned());
    assert_eq!(with(None, near), Warn);
    assert_eq!(with(None, cluster(1)), Good, "alone");
    assert_eq!(with(None, Survey::default()), Unknown);

    let ends = |days: f64| format!("{}", NOW as f64 + days * 86_400.0);
    check_node("peer-certificate", &[(EXPIRY, &ends(14.0))], Good);
    check_node("peer-certificate", &[(EXPIRY, &ends(13.9))], Warn);
    check_node("peer-certificate", &[(EXPIRY, &ends(3.0))], Warn);
    check_node("peer-certificate", &[(EXPIRY, &ends(2.9))], Fail);
    check_node("peer-certificate", &[(EXPIRY, "")], Unknown);
}

#[test]
fn descriptors_and_memory() {
    let descriptors = |open: &str, max: &str, expected| {
        check_node("file-descriptors", &[("process_open_fds", open), ("process_max_fds", max)], expected);
    };
    descriptors("1", "65535", Warn);
    descriptors("32767", "65536", Good);
    descriptors("32768", "65536", Warn);
    descriptors("52428", "65536", Warn);
    descriptors("52429", "65536", Fail);
    descriptors("0", "0", Fail);
    let memory = |beside: u64, expected| {
        let budget = (1_u64 << 30).saturating_sub(beside).to_string();
        check_node("memory", &[("tidemark_memory_budget_bytes", &budget)], expected);
    };
    memory(384 << 20, Good);
    memory((384 << 20) - 1, Warn);
    memory(128 << 20, Warn);
    memory((128 << 20) - 1, Fail);
}

#[test]
fn syncs() {
    let fast = "tidemark_wal_fsync_duration_seconds_bucket{le=\"0.005\"}";
    let slow = "tidemark_wal_fsync_duration_seconds_bucket{le=\"0.1\"}";
    check_node("fsync", &[(fast, "990")], Good);
    check_node("fsync", &[(fast, "989")], Warn);
    check_node("fsync", &[(fast, "0"), (slow, "990")], Warn);
    check_node("fsync", &[(fast, "0"), (slow, "989")], Fail);
    check_node("fsync", &[("tidemark_wal_fsync_duration_seconds_count", "999")], Unknown);
}

#[test]
fn log_damage_and_lines() {
    let log = |size: &str, limit: &str, expected| {
        let changed = [("tidemark_wal_size_bytes", size), ("tidemark_wal_size_limit_bytes", limit)];
        check_node("log-size", &changed, expected);
    };
    log("150", "100", Good);
    log("151", "100", Warn);
    log("1000000001", "900000000", Good);
    log("1000000001", "100", Fail);
    check_node("damage", &[("tidemark_storage_corruptions_total", "1")], Warn);
    check_node("damage", &[("tidemark_storage_damaged_places", "1")], Fail);
    check_node("log-lines", &[("tidemark_log_lines_total{level=\"error\"}", "1")], Warn);
}

#[test]
fn probes() {
    let with = |change: fn(&mut NodeFacts)| {
        let mut node = asked(metrics(&[]));
        change(&mut node);
        // The only node, so that nobody is left who was not asked.
        outcome("probes", &Facts { nodes: vec![node], cluster: Ok(told(cluster(1))), ..facts() })
    };
    assert_eq!(with(|_| {}), Good);
    assert_eq!(with(|node| node.probes[2].1 = Ok((503, "not ready".to_owned()))), Fail);
    assert_eq!(with(|node| node.probes[0].1 = Err("away".to_owned())), Fail);
    assert_eq!(with(|node| node.settings = Some(settings(&[]))), Warn);
    assert_eq!(with(|node| node.settings = None), Good, "how it is set is not known");
}

#[test]
fn swap() {
    check_machine(
        "swap",
        |machine| machine.swaps = Ok("Filename\n/dev/sdb2 partition 1 0 -2\n".to_owned()),
        Warn,
    );
    check_machine("swap", |machine| machine.status = Some(Ok("VmSwap: 4 kB\n".to_owned())), Fail);
    check_machine("swap", |machine| machine.status = None, Good);
    check_machine("swap", |machine| machine.status = Some(Ok(String::new())), Unknown);
}

#[test]
fn file_systems() {
    let on = |kind, source| move |machine: &mut MachineFacts| machine.mounts = Ok(mounts(kind, source));
    check_machine("file-system", on("xfs", "/dev/mapper/a"), Good);
    check_machine("file-system", on("btrfs", "/dev/sda1"), Warn);
    check_machine("file-system", on("zfs", "tank/a"), Warn);
    check_machine("file-system", on("f2fs", "/dev/sda1"), Warn);
    for kind in ["nfs4", "cifs", "fuse.sshfs", "overlay", "tmpfs", "neverheardof"] {
        check_machine("file-system", on(kind, "x"), Fail);
    }
    check_machine("file-system", |machine| machine.data_dir = Some("/elsewhere".into()), Fail);
    check_machine("file-system", |machine| machine.mounts = Ok("garbage - \n - \n".to_owned()), Unknown);
    check_machine("file-system", |machine| machine.settings = Err("wrong".to_owned()), Unknown);
}

#[test]
fn secrets() {
    let variable = |name: &str| {
        let names = vec![name.to_owned()];
        move |machine: &mut MachineFacts| machine.environment = Ok(names)
    };
    check_machine("secrets-in-environment", variable("DOCKER_INFLUXDB_INIT_PASSWORD"), Fail);
    check_machine("secrets-in-environment", variable("TIDEMARK_INIT_ADMIN_TOKEN"), Fail);
    check_machine("secrets-in-environment", variable("TIDEMARK_INIT_ADMIN_TOKEN_FILE"), Good);
    check_machine("secrets-in-environment", |machine| machine.flags.push("init-password".to_owned()), Fail);
    check_machine(
        "secrets-in-environment",
        |machine| machine.environment = Err("hidden".to_owned()),
        Unknown,
    );
    let env = |name: &str| json!([{"name": name, "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    check_objects(
        "secrets-in-environment",
        |objects| {
            objects[0]["spec"]["template"]["spec"]["containers"][0]["env"] = env("TIDEMARK_INIT_PASSWORD");
        },
        Fail,
    );
    let map = |name: &str| json!({"kind": "ConfigMap", "metadata": {"name": name}, "data": {"TIDEMARK_INIT_PASSWORD": "x"}});
    check_objects("secrets-in-environment", |objects| objects.push(map("settings")), Fail);
    check_objects("secrets-in-environment", |objects| objects.push(map("of-another")), Good);
}

#[test]
fn delay_of_a_pod() {
    let delay = |delay| {
        move |machine: &mut MachineFacts| machine.settings = Ok(settings(&[("shutdown-delay", delay)]))
    };
    check_machine("shutdown-delay", delay("4999ms"), Warn);
    check_machine("shutdown-delay", delay("0s"), Fail);
    check_machine(
        "shutdown-delay",
        |machine| {
            delay("0s")(machine);
            machine.environment = Ok(Vec::new());
        },
        Good,
    );
}

#[test]
fn what_is_said_to_be_done() {
    let names: Vec<&str> = CHECKS.iter().filter(|check| check.is_yours()).map(|check| check.name).collect();
    let read = |text: &str| Done::read(&text.split(',').map(str::to_owned).collect::<Vec<_>>(), &names, NOW);
    let with = |text: &str, name: &str| outcome(name, &Facts { done: read(text).unwrap(), ..facts() });
    for name in ["client-tls", "peer-port", "alerts-arrive", "runbooks"] {
        assert_eq!(with(name, name), Good, "{name}");
        assert_eq!(with(&format!("{name}=2020-01-01"), name), Good, "{name}");
    }
    for name in ["restore-tested", "failover-test"] {
        assert_eq!(with(name, name), Warn, "{name}");
        assert_eq!(with(&format!("{name}=2026-03-31"), name), Good, "{name} today");
        assert_eq!(with(&format!("{name}=2025-12-31"), name), Good, "{name} 90 days ago");
        assert_eq!(with(&format!("{name}=2025-12-30"), name), Fail, "{name} 91 days ago");
    }
    assert_eq!(with("load-test", "load-test"), Warn);
    assert_eq!(with("load-test=2020-01-01", "load-test"), Good);
    for wrong in
        ["nodes", "restore", "runbooks=yesterday", "runbooks=2026-02-30", "runbooks=2026-04-02", "runbooks="]
    {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_gateway_stores_nothing() {
    let text = "tidemark_starting 0\ntidemark_build_info{node=\"gateway\",role=\"gateway\"} 1\n";
    let facts = Facts { nodes: vec![asked(Metrics::read(text))], ..facts() };
    for name in ["fsync", "log-size", "disk-free"] {
        assert_eq!(outcome(name, &facts), Good, "{name}");
    }
}
