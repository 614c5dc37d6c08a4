//! Checks of what a process shows of itself.

use super::cluster;
use crate::doctor::done::DAY;
use crate::doctor::exposition::Metrics;
use crate::doctor::facts::{Facts, NodeFacts};
use crate::doctor::finding::{Finding, Judged, Outcome, Place, Verdict, bytes, listed, one_line, percent};

/// Days before a certificate ends.
const CERTIFICATE_WARN: f64 = 14.0;
const CERTIFICATE_FAIL: f64 = 3.0;
/// Seconds by which clocks may differ.
const CLOCK_WARN: f64 = 0.1;
const CLOCK_FAIL: f64 = 0.25;
/// Descriptors that a process should be given, and shares of them that may be in use.
const DESCRIPTORS_MIN: f64 = 65_536.0;
const DESCRIPTORS_WARN: f64 = 0.5;
const DESCRIPTORS_FAIL: f64 = 0.8;
/// Fewer syncs say nothing of the disk.
const SYNCS_MIN: f64 = 1000.0;
/// Of a hundred syncs 99 within this.
const SYNCS_SHARE: f64 = 0.99;
/// Memory beside the budget.
const BESIDE_WARN: f64 = 384.0 * 1024.0 * 1024.0;
const BESIDE_FAIL: f64 = 128.0 * 1024.0 * 1024.0;
/// Size of the log against its limit, and in bytes.
const LOG_WARN: f64 = 1.5;
const LOG_FAIL_BYTES: f64 = 1e9;
/// How much of what a probe says is repeated.
const ANSWER_CHARS_MAX: usize = 200;

fn is_gateway(metrics: &Metrics) -> bool {
    metrics.label("tidemark_build_info", "role") == Some("gateway")
}

/// What a gateway has none of.
const NOTHING_STORED: &str = "a gateway stores nothing";

pub(crate) fn groups(facts: &Facts) -> Vec<Finding> {
    let mut findings = cluster::leaders(facts);
    findings.extend(facts.of_nodes(|_, metrics| {
        let figures = [
            ("without a leader", metrics.need("tidemark_raft_groups_without_leader")?),
            ("without a majority", metrics.need("tidemark_raft_groups_without_quorum")?),
            ("one failure from losing their majority", metrics.need("tidemark_raft_groups_at_risk")?),
        ];
        let bad: Vec<String> = figures
            .iter()
            .filter(|(_, groups)| *groups > 0.0)
            .map(|(what, groups)| format!("groups {what}: {groups}"))
            .collect();
        if bad.is_empty() {
            return Ok(Verdict::ok("its groups have a leader and a majority, and may lose a node"));
        }
        Ok(Verdict::fail(listed(&bad)))
    }));
    findings
}

pub(crate) fn peers(facts: &Facts) -> Vec<Finding> {
    facts.of_nodes(|_, metrics| {
        let away = metrics.need("tidemark_cluster_peers_unreachable")?;
        Ok(if away > 0.0 {
            Verdict::fail(format!("it does not reach {away} of the other nodes"))
        } else {
            Verdict::ok("it reaches all other nodes")
        })
    })
}

pub(crate) fn auth(facts: &Facts) -> Vec<Finding> {
    facts.of_nodes(|node, _| {
        let mut let_in = Vec::new();
        for (request, answer) in &node.strangers {
            match answer {
                Ok(401) => {}
                Ok(status) if *status < 500 => let_in.push(format!("{request} answers {status}")),
                Ok(status) => return Err(format!("{request} answers {status}")),
                Err(reason) => return Err(reason.clone()),
            }
        }
        if node.strangers.is_empty() {
            return Err("nothing was asked".to_owned());
        }
        Ok(if let_in.is_empty() {
            Verdict::ok("without a token: 401")
        } else {
            Verdict::fail(format!("without a token {}, where 401 is right", listed(&let_in)))
        })
    })
}

const ALONE: &str = "a node alone, which talks to no other";

/// Whether the cluster is one node that was started without others.
fn is_alone(facts: &Facts) -> bool {
    let members: Vec<_> = facts.cluster.iter().flat_map(|cluster| cluster.survey.members()).collect();
    matches!(members[..], [only] if only.address == "alone")
}

const EXPIRY: &str = "tidemark_peer_certificate_expiry_timestamp_seconds";

pub(crate) fn peer_tls(facts: &Facts) -> Vec<Finding> {
    facts.of_nodes(|node, metrics| {
        // Only of one that has taken up its part the missing figure says something.
        metrics.need("tidemark_cluster_peers_unreachable")?;
        if metrics.find(EXPIRY, &[]).is_some() {
            return Ok(Verdict::ok("nodes talk by TLS"));
        }
        if is_alone(facts) {
            return Ok(Verdict::ok(ALONE));
        }
        let addresses = || facts.cluster.iter().flat_map(|cluster| cluster.survey.members());
        let in_the_clear = "nodes talk in the clear";
        let verdict = match &node.settings {
            Some(settings) if !is_gateway(metrics) => {
                let address = &settings.peer_bind_address;
                if address.is_loopback() {
                    Verdict::warn(format!("{in_the_clear}, within this machine ({address})"))
                } else {
                    Verdict::fail(format!("{in_the_clear}, and others may reach {address}"))
                }
            }
            _ if addresses().count() == 0 => {
                return Err("no TLS; whether other machines reach the peer port is not known".to_owned());
            }
            _ if addresses().all(|one| is_loopback(&one.address)) => {
                Verdict::warn(format!("{in_the_clear}, within one machine"))
            }
            _ => Verdict::fail(format!("{in_the_clear}, between machines")),
        };
        Ok(verdict)
    })
}

/// Whether an address with a port, or none, is of this machine alone.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub(crate) fn peer_certificate(facts: &Facts) -> Vec<Finding> {
    facts.of_nodes(|_, metrics| {
        metrics.need("tidemark_cluster_peers_unreachable")?;
        let Some(ends) = metrics.find(EXPIRY, &[]) else {
            return if is_alone(facts) {
                Ok(Verdict::ok(ALONE))
            } else {
                Err("there is none: see peer-tls".to_owned())
            };
        };
        let days = (ends - facts.now as f64) / DAY as f64;
        let text = if days < 0.0 {
            format!("it ended {:.1} days ago", -days)
        } else {
            format!("it ends in {days:.1} days")
        };
        Ok(match days {
            days if days >= CERTIFICATE_WARN => Verdict::ok(text),
            days if days >= CERTIFICATE_FAIL => Verdict::warn(text),
            _ => Verdict::fail(text),
        })
    })
}

pub(crate) fn clock_offset(facts: &Facts) -> Vec<Finding> {
    facts.of_nodes(|_, metrics| {
        let offset = metrics.need("tidemark_peer_clock_offset_seconds")?.abs();
        let text = format!("{:.1} ms from the clock of another node, at most", offset * 1000.0);
        Ok(match offset {
            offset if offset > CLOCK_FAIL => Verdict::fail(text),
            offset if offset > CLOCK_WARN => Verdict::warn(text),
            _ => Verdict::ok(text),
        })
    })
}

pub(crate) fn file_descriptors(facts: &Facts) -> Vec<Finding> {
    facts.of_nodes(|_, metrics| {
        let (open, max) = (metrics.need("process_open_fds")?, metrics.need("process_max_fds")?);
        let text = format!("{open} of {max} are open");
        Ok(if max <= 0.0 || open / max >= DESCRIPTORS_FAIL {
            Verdict::fail(text)
        } else if open / max >= DESCRIPTORS_WARN {
            Verdict::warn(text)
        } else if max < DESCRIPTORS_MIN {
            Verdict::warn(format!("{text}; the limit should be {DESCRIPTORS_MIN} or more"))
        } else {
            Verdict::ok(text)
        })
    })
}

pub(crate) fn disk_free(facts: &Facts) -> Vec<Finding> {
    let mut findings = cluster::disks(facts);
    findings.extend(facts.of_nodes(|_, metrics| {
        if is_gateway(metrics) {
            return Ok(Verdict::ok(NOTHING_STORED));
        }
        let free = bytes(metrics.need("tidemark_storage_free_bytes")?);
        Ok(if metrics.need("tidemark_storage_read_only")? > 0.0 {
            Verdict::fail(format!("{free} free: the disk is full, and takes no points"))
                .mend("make room: docs/runbooks/TidemarkReadOnly.md")
        } else {
            Verdict::ok(format!("{free} free, and it takes points"))
        })
    }));
    findings
}

pub(crate) fn fsync(facts: &Facts) -> Vec<Finding> {
    facts.of_nodes(|_, metrics| {
        if is_gateway(metrics) {
            return Ok(Verdict::ok(NOTHING_STORED));
        }
        let name = "tidemark_wal_fsync_duration_seconds";
        let syncs = metrics.need(&format!("{name}_count"))?;
        if syncs < SYNCS_MIN {
            return Err(format!(
                "{syncs} syncs since the start, too few to judge the disk by: at {SYNCS_MIN} it can be"
            ));
        }
        let within =
            |bound| metrics.need_of(&format!("{name}_bucket"), &[("le", bound)]).map(|within| within / syncs);
        let (fast, slow) = (within("0.005")?, within("0.1")?);
        let text = format!("{} of {syncs} syncs within 5 ms, {} within 100 ms", percent(fast), percent(slow));
        Ok(if slow < SYNCS_SHARE {
            Verdict::fail(text)
        } else if fast < SYNCS_SHARE {
            Verdict::warn(text)
        } else {
            Verdict::ok(text)
        })
    })
}

pub(crate) fn memory(facts: &Facts) -> Vec<Finding> {
    facts.of_nodes(|_, metrics| {
        let system = metrics.need("tidemark_memory_system_bytes")?;
        let budget = metrics.need("tidemark_memory_budget_bytes")?;
        let beside = system - budget;
        let text = format!(
            "it divides {} of {}, which leaves {}",
            bytes(budget),
            bytes(system),
            bytes(beside.max(0.0))
        );
        Ok(match beside {
            beside if beside >= BESIDE_WARN => Verdict::ok(text),
            beside if beside >= BESIDE_FAIL => Verdict::warn(format!("{text}; it should be 384 MiB")),
            _ => Verdict::fail(format!("{text}: it will be killed")),
        })
    })
}

pub(crate) fn log_size(facts: &Facts) -> Vec<Finding> {
    facts.of_nodes(|_, metrics| {
        if is_gateway(metrics) {
            return Ok(Verdict::ok(NOTHING_STORED));
        }
        let size = metrics.need("tidemark_wal_size_bytes")?;
        let limit = metrics.need("tidemark_wal_size_limit_bytes")?;
        let text = format!("{}, limit {}", bytes(size), bytes(limit));
        Ok(if size <= limit * LOG_WARN {
            Verdict::ok(text)
        } else if size <= LOG_FAIL_BYTES {
            Verdict::warn(text)
        } else {
            Verdict::fail(text)
        })
    })
}

pub(crate) fn damage(facts: &Facts) -> Vec<Finding> {
    facts.of_nodes(|_, metrics| {
        let damaged = metrics.need("tidemark_storage_damaged_places")?;
        let met = metrics.need("tidemark_storage_corruptions_total")?;
        Ok(if damaged > 0.0 {
            Verdict::fail(format!("{damaged} damaged places in its files"))
        } else if met > 0.0 {
            Verdict::warn(format!("{met} damaged places were met since the start, and healed"))
        } else {
            Verdict::ok("no damage met")
        })
    })
}

pub(crate) fn log_lines(facts: &Facts) -> Vec<Finding> {
    facts.of_nodes(|_, metrics| {
        let errors = metrics.need_of("tidemark_log_lines_total", &[("level", "error")])?;
        Ok(if errors > 0.0 {
            Verdict::warn(format!("{errors} errors in its log since the start"))
        } else {
            Verdict::ok("no errors in its log since the start")
        })
    })
}

pub(crate) fn probes(facts: &Facts) -> Vec<Finding> {
    let verdict = |node: &NodeFacts| -> Judged {
        let mut bad = Vec::new();
        for (path, answer) in &node.probes {
            match answer {
                Ok((200, _)) => {}
                Ok((status, body)) => {
                    bad.push(format!("{path} answers {status}: {}", one_line(body, ANSWER_CHARS_MAX)));
                }
                Err(reason) => bad.push(reason.clone()),
            }
        }
        bad.dedup();
        if node.probes.is_empty() {
            return Err("nothing was asked".to_owned());
        }
        let is_silent = node.probes.iter().any(|(_, answer)| answer.is_err());
        Ok(match &node.settings {
            _ if is_silent => Verdict::fail(listed(&bad))
                .mend("find out why it does not answer: docs/runbooks/TidemarkDown.md"),
            _ if !bad.is_empty() => Verdict::fail(listed(&bad)),
            Some(settings) if settings.probe_bind_address.is_none() => Verdict::warn(format!(
                "started, alive, ready ({}); without a port of their own probes wait behind requests",
                node.probes_at
            ))
            .mend("set `probe-bind-address`"),
            _ => Verdict::ok(format!("started, alive, ready ({})", node.probes_at)),
        })
    };
    let nodes = facts.nodes.iter();
    let mut findings: Vec<Finding> =
        nodes.map(|node| Verdict::of(verdict(node)).about(Place::Node, node.name())).collect();
    findings.extend(cluster::not_asked(facts));
    findings
}

/// How near a process is to what the scaling decision is taken at, without a history of its figures.
pub(crate) fn pressure(_: &NodeFacts, metrics: &Metrics) -> Judged {
    let ratio = |of: &str, account: &str| {
        let labels = [("account", account)];
        let limit = metrics.need_of("tidemark_memory_limit_bytes", &labels)?;
        let used = metrics.need_of("tidemark_memory_bytes", &labels)?;
        Ok::<_, String>((of.to_owned(), if limit > 0.0 { used / limit } else { 0.0 }))
    };
    let mut ratios = vec![ratio("query memory", "queries")?];
    if !is_gateway(metrics) {
        let total = metrics.need("tidemark_storage_total_bytes")?;
        let free = metrics.need("tidemark_storage_free_bytes")?;
        if total > 0.0 {
            ratios.push(("storage disk".to_owned(), (1.0 - free / total) / 0.75));
        }
        let (name, index) = ratio("storage series", "index")?;
        ratios.push((name, index / 0.8));
    }
    let verdict = super::prometheus::judge_pressure(&ratios);
    // What is so at one moment may be over at the next.
    Ok(Verdict { outcome: verdict.outcome.min(Outcome::Warn), ..verdict })
}
