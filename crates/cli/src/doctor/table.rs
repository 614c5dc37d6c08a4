//! The table of checks: every name, where it looks, who judges, and where to read how to mend it. Its order is that of the
//! documentation (docs/production-checklist.md), with which a test compares it.

use super::facts::Facts;
use super::finding::{Finding, Place};
use super::judge::{cluster, kubernetes, machine, node, prometheus, you};

/// One check.
#[derive(Debug)]
pub(crate) struct Check {
    /// Never changes: scripts name it.
    pub(crate) name: &'static str,
    pub(crate) places: &'static [Place],
    pub(crate) judge: fn(&Facts) -> Vec<Finding>,
    /// What to do, in a few words.
    pub(crate) remedy: &'static str,
    /// Where that is told, beneath `docs/`.
    pub(crate) pages: &'static [&'static str],
}

impl Check {
    /// Whether nobody but the operator can answer.
    pub(crate) fn is_yours(&self) -> bool {
        self.places == [You]
    }
}

/// The names of all checks.
pub(crate) fn names() -> Vec<&'static str> {
    CHECKS.iter().map(|check| check.name).collect()
}

const fn check(
    name: &'static str,
    places: &'static [Place],
    judge: fn(&Facts) -> Vec<Finding>,
    remedy: &'static str,
    pages: &'static [&'static str],
) -> Check {
    Check { name, places, judge, remedy, pages }
}

use Place::{Cluster, Kubernetes, Machine, Node, Prometheus, You};

/// All of them.
pub(crate) const CHECKS: &[Check] = &[
    check("nodes", &[Cluster], cluster::nodes, "find out why a node is away", &["runbooks/TidemarkDown.md"]),
    check("lag", &[Cluster], cluster::lag, "see what holds it up", &["runbooks/TidemarkReplicationLag.md"]),
    check(
        "voters-odd",
        &[Cluster],
        cluster::voters_odd,
        "start a third node",
        &["reference/operations.md#from-one-node-to-three"],
    ),
    check(
        "zones",
        &[Cluster],
        cluster::zones_of_nodes,
        "give each node its `zone`; spread them over as many as there are replicas",
        &["reference/configuration.md"],
    ),
    check(
        "replica-zones",
        &[Cluster],
        cluster::replica_zones,
        "nodes in more zones, or room in those there are",
        &["runbooks/TidemarkReplicasMissing.md"],
    ),
    check(
        "replicas",
        &[Cluster],
        cluster::replicas,
        "bring nodes back, or start more",
        &["runbooks/TidemarkReplicasMissing.md"],
    ),
    check(
        "groups",
        &[Cluster, Node],
        node::groups,
        "bring nodes back before anything else stops",
        &[
            "runbooks/TidemarkNoLeader.md",
            "runbooks/TidemarkQuorumLost.md",
            "runbooks/TidemarkQuorumAtRisk.md",
        ],
    ),
    check(
        "peers",
        &[Node],
        node::peers,
        "look at the network between the nodes",
        &["runbooks/TidemarkPeersUnreachable.md"],
    ),
    check(
        "moves",
        &[Cluster],
        cluster::moves,
        "wait until they have arrived before you change anything",
        &["reference/operations.md#see-it"],
    ),
    check(
        "partitions",
        &[Cluster],
        cluster::partitions,
        "they stay as founded: found a new cluster with more",
        &["sizing.md#nodes-replicas-partitions"],
    ),
    check("versions", &[Cluster], cluster::versions, "end the upgrade, or go back", &["upgrade.md"]),
    check(
        "feature-level",
        &[Cluster],
        cluster::feature_level,
        "`tidemark cluster finalize`",
        &["upgrade.md#end-it"],
    ),
    check(
        "compare",
        &[Cluster],
        cluster::compare,
        "`tidemark partition compare`, which reads all data",
        &["reference/operations.md#compare-replicas"],
    ),
    check("auth", &[Node], node::auth, "`http-auth-enabled` is to be true", &["reference/configuration.md"]),
    check(
        "peer-tls",
        &[Node, Machine, Cluster],
        node::peer_tls,
        "give each node a certificate: `peer-tls-cert`, `peer-tls-key`, `peer-tls-ca`",
        &["../README.md#several-nodes"],
    ),
    check(
        "peer-certificate",
        &[Node],
        node::peer_certificate,
        "renew it; the files are read again by themselves",
        &["runbooks/TidemarkCertExpiry.md"],
    ),
    check(
        "client-tls",
        &[You],
        |facts| you::said(facts, "client-tls", "Do clients of other machines connect by https?"),
        "a proxy or ingress that ends TLS: k8s/components/ingress",
        &["reference/kubernetes.md"],
    ),
    check(
        "peer-port",
        &[You],
        |facts| you::said(facts, "peer-port", "Is port 8088 closed to all but nodes and gateways?"),
        "a firewall, or k8s/base/app/networkpolicy.yaml",
        &["reference/kubernetes.md"],
    ),
    check(
        "secrets-in-environment",
        &[Machine, Kubernetes],
        kubernetes::secrets_in_environment,
        "put it into a file, and name that with …_FILE",
        &["reference/configuration.md#first-set-up"],
    ),
    check(
        "clock-offset",
        &[Node],
        node::clock_offset,
        "look after chrony on both machines",
        &["runbooks/TidemarkClockSkew.md"],
    ),
    check(
        "swap",
        &[Machine],
        machine::swap,
        "`swapoff -a`, and take it out of /etc/fstab",
        &["production-checklist.md#before"],
    ),
    check(
        "file-descriptors",
        &[Node],
        node::file_descriptors,
        "LimitNOFILE=65536 or more",
        &["runbooks/TidemarkFileDescriptors.md"],
    ),
    check(
        "disk-free",
        &[Cluster, Node],
        node::disk_free,
        "shorter retention, larger volumes, more nodes",
        &["runbooks/TidemarkHighDisk.md"],
    ),
    check(
        "file-system",
        &[Machine],
        machine::file_system,
        "data belong on a local volume with ext4 or xfs",
        &["sizing.md#disk"],
    ),
    check("fsync", &[Node], node::fsync, "a faster disk", &["runbooks/TidemarkFsyncP99.md"]),
    check(
        "memory",
        &[Node],
        node::memory,
        "a higher limit, or a smaller `memory-bytes`",
        &["sizing.md#memory"],
    ),
    check(
        "log-size",
        &[Node],
        node::log_size,
        "see why points are not written to files",
        &["runbooks/TidemarkWALSize.md"],
    ),
    check(
        "damage",
        &[Node],
        node::damage,
        "let a replica heal it, and replace the disk",
        &["runbooks/TidemarkCorruptionDetected.md"],
    ),
    check("log-lines", &[Node], node::log_lines, "read them", &["runbooks/TidemarkErrorsLogged.md"]),
    check(
        "probes",
        &[Node, Machine, Cluster],
        node::probes,
        "see why it is not ready",
        &["runbooks/TidemarkNotReady.md"],
    ),
    check(
        "shutdown-delay",
        &[Machine],
        machine::shutdown_delay,
        "TIDEMARK_SHUTDOWN_DELAY=5s",
        &["reference/configuration.md"],
    ),
    check(
        "grace",
        &[Kubernetes],
        kubernetes::grace,
        "terminationGracePeriodSeconds: twice the --timeout of the preStop hook, as in k8s/base/app/statefulset.yaml",
        &["reference/kubernetes.md"],
    ),
    check(
        "disruption-budget",
        &[Kubernetes],
        kubernetes::disruption_budget,
        "one with maxUnavailable: 1, as in k8s/base/app/poddisruptionbudget.yaml",
        &["reference/kubernetes.md"],
    ),
    check(
        "manifests",
        &[Kubernetes],
        kubernetes::manifests,
        "compare with k8s/base/app",
        &["reference/kubernetes.md"],
    ),
    check(
        "scraped",
        &[Prometheus, Cluster],
        prometheus::scraped,
        "look at the targets in Prometheus",
        &["runbooks/TidemarkTargetMissing.md"],
    ),
    check(
        "alerts",
        &[Prometheus],
        prometheus::alerts,
        "load k8s/base/monitoring; read the runbook of what fires",
        &["runbooks/README.md"],
    ),
    check(
        "alerts-arrive",
        &[You],
        |facts| you::said(facts, "alerts-arrive", "Has a test alert rung somebody's telephone?"),
        "`amtool alert add`; on Kubernetes the Secret tidemark-alerts",
        &["reference/kubernetes.md#deploy"],
    ),
    check(
        "pressure",
        &[Prometheus, Node],
        prometheus::pressure,
        "add what is short",
        &["sizing.md#which-resource-is-short"],
    ),
    check(
        "restore-tested",
        &[You],
        |facts| you::lately(facts, "restore-tested", "Has the cluster been brought back in a drill?"),
        "do the drills",
        &["disaster-recovery.md#drills"],
    ),
    check(
        "load-test",
        &[You],
        |facts| you::once(facts, "load-test", "Has it borne twice the peak?"),
        "do the load test",
        &["production-checklist.md#load-test"],
    ),
    check(
        "failover-test",
        &[You],
        |facts| you::lately(facts, "failover-test", "Has a node died under load, and nothing was lost?"),
        "do the failover test",
        &["production-checklist.md#failover-test"],
    ),
    check(
        "runbooks",
        &[You],
        |facts| you::said(facts, "runbooks", "Has who is on call read the runbooks?"),
        "read what must not be done, above all",
        &["runbooks/README.md"],
    ),
];
