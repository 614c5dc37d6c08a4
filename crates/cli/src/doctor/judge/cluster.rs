//! Checks of the picture that nodes have of the cluster.

use std::collections::{BTreeMap, BTreeSet};

use crate::doctor::facts::Facts;
use crate::doctor::finding::{Finding, Outcome, Place, Verdict, count, listed, percent};
use crate::doctor::survey::{Group, Node, Survey, short};

/// Entries of which a replica may be behind before others do without it.
const LAG_MAX: u64 = 10_000;
/// Share of a disk beyond which there is little room, and beyond which there is soon none.
const DISK_WARN: f64 = 0.75;
const DISK_FAIL: f64 = 0.9;

pub(crate) fn nodes(facts: &Facts) -> Vec<Finding> {
    let verdict = match &facts.cluster {
        Ok(cluster) => {
            let told: BTreeSet<&str> = cluster.told_by.iter().map(|(_, id)| id.as_str()).collect();
            if told.len() > 1 {
                let told: Vec<String> =
                    cluster.told_by.iter().map(|(url, id)| format!("{url} is of {id}")).collect();
                Verdict::fail(format!("{} clusters, not one: {}", told.len(), listed(&told)))
            } else {
                states(&cluster.survey)
            }
        }
        Err(missing) if missing.is_failure => {
            Verdict::fail(&missing.reason).mend("ask a node that answers, with an operator's token")
        }
        Err(missing) => Verdict::unknown(&missing.reason),
    };
    vec![verdict.about(Place::Cluster, "")]
}

fn states(survey: &Survey) -> Verdict {
    if !survey.is_current {
        return Verdict::fail("no majority of the catalog's voters is heard of: what is shown may be old");
    }
    let members = survey.members().count();
    let not_up: Vec<String> = survey
        .members()
        .filter(|node| node.state != "up")
        .map(|node| match &node.reason {
            Some(reason) => format!("node {} is {} ({reason})", node.short_id(), node.state),
            None => format!("node {} is {}", node.short_id(), node.state),
        })
        .collect();
    if members == 0 {
        Verdict::fail("there is no node")
    } else if not_up.is_empty() {
        Verdict::ok(format!("{} up", count(members, "node")))
    } else if survey.members().all(Node::is_up) {
        Verdict::warn(listed(&not_up))
    } else {
        Verdict::fail(format!("{} of {} not up: {}", not_up.len(), count(members, "node"), listed(&not_up)))
    }
}

pub(crate) fn lag(facts: &Facts) -> Vec<Finding> {
    let Ok(cluster) = &facts.cluster else { return facts.of_cluster(|_| Verdict::ok("")) };
    let looks = || std::iter::once(&cluster.survey).chain(&cluster.later);
    // Who was level once keeps up; what it lacks at other moments is on its way.
    let behind = cluster.survey.members().filter(|node| node.is_up()).filter_map(|node| {
        let lags = looks().filter_map(|look| Some(look.nodes.iter().find(|one| one.id == node.id)?.lag));
        let least = lags.min().unwrap_or(node.lag);
        (least > 0).then(|| (least, format!("node {} lacks {least} entries", node.short_id())))
    });
    let behind: Vec<(u64, String)> = behind.collect();
    let most = behind.iter().map(|(lag, _)| *lag).max().unwrap_or(0);
    let texts: Vec<String> = behind.into_iter().map(|(_, text)| text).collect();
    let text = format!("{}, in each of {}", listed(&texts), count(looks().count(), "look"));
    let verdict = match most {
        0 => Verdict::ok("every node has applied all"),
        1..LAG_MAX => Verdict::warn(text),
        _ => Verdict::fail(text),
    };
    vec![verdict.about(Place::Cluster, "")]
}

pub(crate) fn voters_odd(facts: &Facts) -> Vec<Finding> {
    facts.of_cluster(|survey| {
        let voters = |group: &Group| group.voters().count();
        let even: Vec<String> = survey
            .groups
            .iter()
            .filter(|group| voters(group) % 2 == 0)
            .map(|group| format!("{} has {}", group.group, voters(group)))
            .collect();
        let Some(meta) = survey.groups.iter().find(|group| group.partition.is_none()).map(voters) else {
            return Verdict::fail("there is no group meta");
        };
        let nodes = survey.members().count();
        let wanted = match nodes {
            0..3 => 1,
            3..5 => 3,
            _ => 5,
        };
        if !even.is_empty() {
            let text = format!("an even number of voters: {}", listed(&even));
            return unless_moving(survey, text);
        }
        match meta {
            1 if nodes == 1 => Verdict::warn("1 voter, on the only node: it may not be lost"),
            1 if nodes == 2 => Verdict::warn("1 voter, of 2 nodes: three nodes may lose one"),
            meta if meta < wanted => unless_moving(
                survey,
                format!("the catalog has {}, where {nodes} nodes can have {wanted}", count(meta, "voter")),
            ),
            meta => Verdict::ok(format!("{meta} voters of the catalog, an odd number of every partition")),
        }
    })
}

/// What is wrong, or only on its way.
fn unless_moving(survey: &Survey, text: String) -> Verdict {
    if survey.moves.is_empty() {
        Verdict::fail(text)
    } else {
        Verdict::warn(format!("{text}; replicas are on their way"))
    }
}

/// The zones of nodes that are up; one without a name counts as one.
fn zones(survey: &Survey) -> BTreeMap<&str, usize> {
    let mut zones = BTreeMap::new();
    for node in survey.members().filter(|node| node.is_up()) {
        *zones.entry(node.zone.as_str()).or_default() += 1;
    }
    zones
}

pub(crate) fn zones_of_nodes(facts: &Facts) -> Vec<Finding> {
    facts.of_cluster(|survey| {
        let zones = zones(survey);
        let nodes: usize = zones.values().sum();
        let wanted = usize::try_from(survey.replication).unwrap_or(usize::MAX).max(1);
        let named: Vec<String> =
            zones.iter().filter(|(zone, _)| !zone.is_empty()).map(|(zone, _)| (*zone).to_owned()).collect();
        match zones.get("") {
            _ if nodes < 3 => Verdict::ok(format!("{}: no zones to spread over", count(nodes, "node"))),
            Some(without) => Verdict::warn(format!("{} without a zone", count(*without, "node"))),
            None if named.len() < wanted => Verdict::warn(format!(
                "{nodes} nodes in {} ({}), where {wanted} replicas want {wanted}",
                count(named.len(), "zone"),
                listed(&named)
            )),
            None => Verdict::ok(format!("{nodes} nodes in {} zones: {}", named.len(), listed(&named))),
        }
    })
}

pub(crate) fn replica_zones(facts: &Facts) -> Vec<Finding> {
    facts.of_cluster(|survey| {
        let there = zones(survey).len();
        let zone_of: BTreeMap<&str, &str> =
            survey.nodes.iter().map(|node| (node.id.as_str(), node.zone.as_str())).collect();
        // Of each group with two voters in one zone: how many voters, in how many zones.
        let together = survey.groups.iter().filter_map(|group| {
            let zones: Vec<&str> = group
                .voters()
                .map(|voter| zone_of.get(voter.node.as_str()).copied().unwrap_or_default())
                .collect();
            let different = zones.iter().collect::<BTreeSet<_>>().len();
            (different < zones.len()).then_some((&group.group, zones.len(), different))
        });
        let together: Vec<(&String, usize, usize)> = together.collect();
        let text = |groups: &[(&String, usize, usize)]| {
            let of = |(group, voters, zones): &(&String, usize, usize)| {
                format!("{group}: {voters} replicas in {}", count(*zones, "zone"))
            };
            listed(&groups.iter().map(of).collect::<Vec<_>>())
        };
        let avoidable: Vec<_> =
            together.iter().copied().filter(|(_, voters, zones)| *zones < there.min(*voters)).collect();
        if !avoidable.is_empty() {
            unless_moving(survey, format!("{}; there are {there} zones", text(&avoidable)))
        } else if together.is_empty() {
            Verdict::ok("replicas of each group are in different zones")
        } else {
            Verdict::warn(format!(
                "{} share zones, for there are only {there}",
                count(together.len(), "group")
            ))
        }
    })
}

pub(crate) fn replicas(facts: &Facts) -> Vec<Finding> {
    facts.of_cluster(|survey| {
        let partitions: Vec<&Group> =
            survey.groups.iter().filter(|group| group.partition.is_some()).collect();
        let nodes = u64::try_from(survey.members().count()).unwrap_or(u64::MAX);
        // An even number survives no more than the odd one below it.
        let possible = (nodes.saturating_sub(1) / 2).saturating_mul(2).saturating_add(1);
        let wanted = survey.replication.min(possible);
        let up = |group: &Group| {
            u64::try_from(group.voters().filter(|voter| voter.is_up).count()).unwrap_or(u64::MAX)
        };
        let short: Vec<String> = partitions
            .iter()
            .filter(|group| up(group) < wanted)
            .map(|group| format!("{} has {} of {wanted}", group.group, up(group)))
            .collect();
        if partitions.is_empty() {
            Verdict::fail("there is no partition")
        } else if !short.is_empty() {
            let lack = format!("{} lack replicas that are up", count(short.len(), "partition"));
            unless_moving(survey, format!("{lack}: {}", listed(&short)))
        } else if survey.replication <= 1 {
            Verdict::warn("one replica of each partition: there is no copy of anything")
        } else if wanted < survey.replication {
            Verdict::warn(format!(
                "{wanted} of {} replicas, for there are too few nodes ({nodes}){}",
                survey.replication,
                if wanted == 1 { ": there is no copy of anything" } else { "" }
            ))
        } else {
            Verdict::ok(format!("{} with {wanted} replicas each", count(partitions.len(), "partition")))
        }
    })
}

/// Groups of which no leader says that it leads.
pub(crate) fn leaders(facts: &Facts) -> Vec<Finding> {
    facts.of_cluster(|survey| {
        let without: Vec<&str> = survey
            .groups
            .iter()
            .filter(|group| group.leader.is_none())
            .map(|group| group.group.as_str())
            .collect();
        if survey.groups.is_empty() {
            Verdict::fail("there is no group")
        } else if without.is_empty() {
            Verdict::ok(format!("{} with a leader each", count(survey.groups.len(), "group")))
        } else {
            Verdict::fail(format!("without a leader: {}", listed(&without)))
        }
    })
}

pub(crate) fn moves(facts: &Facts) -> Vec<Finding> {
    facts.of_cluster(|survey| {
        if survey.moves.is_empty() {
            return Verdict::ok("no replica is on its way");
        }
        let moves: Vec<String> =
            survey.moves.iter().map(|one| format!("{} {}", one.group, one.stage)).collect();
        Verdict::warn(format!("{} on their way: {}", count(moves.len(), "replica"), listed(&moves)))
    })
}

pub(crate) fn partitions(facts: &Facts) -> Vec<Finding> {
    facts.of_cluster(|survey| {
        let nodes = u64::try_from(survey.members().count()).unwrap_or(u64::MAX);
        let text = format!("{} partitions for {nodes} nodes", survey.partitions);
        if survey.partitions < nodes {
            Verdict::fail(format!("{text}: some nodes lead nothing"))
        } else if survey.partitions < nodes.saturating_mul(4) {
            Verdict::warn(format!("{text}: fewer than four for each, so that load is uneven"))
        } else if nodes == 1 {
            Verdict::ok(format!("{} partitions for 1 node", survey.partitions))
        } else {
            Verdict::ok(text)
        }
    })
}

pub(crate) fn versions(facts: &Facts) -> Vec<Finding> {
    facts.of_cluster(|survey| {
        let nodes = survey.members().map(|node| (node.version.as_str(), format!("node {}", node.short_id())));
        let gateways = survey
            .gateways
            .iter()
            .map(|gateway| (gateway.version.as_str(), format!("gateway {}", gateway.address)));
        let mut versions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (version, who) in nodes.chain(gateways) {
            versions.entry(version).or_default().push(who);
        }
        let all: Vec<String> =
            versions.iter().map(|(version, who)| format!("{version} on {}", listed(who))).collect();
        match versions.first_key_value() {
            Some((version, who)) if versions.len() == 1 => {
                Verdict::ok(format!("{version} on {}", listed(who)))
            }
            _ => Verdict::warn(all.join("; ")),
        }
    })
}

pub(crate) fn feature_level(facts: &Facts) -> Vec<Finding> {
    facts.of_cluster(|survey| {
        let Survey { level, level_of_all, .. } = survey;
        if level < level_of_all {
            Verdict::warn(format!(
                "level {level}, where all understand {level_of_all}: the upgrade is not ended"
            ))
        } else {
            Verdict::ok(format!("level {level}, all that the versions here understand"))
        }
    })
}

/// What the replicas of a partition have told.
enum Told {
    Same,
    Alone,
    Partly,
    Nothing,
    Unreadable(String),
    Different,
}

pub(crate) fn compare(facts: &Facts) -> Vec<Finding> {
    facts.of_cluster(|survey| {
        let partitions: Vec<&Group> =
            survey.groups.iter().filter(|group| group.partition.is_some()).collect();
        let told: Vec<(&str, Told)> =
            partitions.iter().map(|group| (group.group.as_str(), told(group))).collect();
        let named = |wanted: fn(&Told) -> bool| {
            told.iter().filter(|(_, told)| wanted(told)).map(|(name, _)| *name).collect::<Vec<_>>()
        };
        let different = named(|told| matches!(told, Told::Different));
        let missing = named(|told| matches!(told, Told::Partly | Told::Nothing));
        let unreadable: Vec<String> = told
            .iter()
            .filter_map(|(name, told)| match told {
                Told::Unreadable(reason) => Some(format!("{name}: {reason}")),
                _ => None,
            })
            .collect();
        if !different.is_empty() {
            Verdict::fail(format!("replicas do not hold the same: {}", listed(&different)))
        } else if !unreadable.is_empty() {
            Verdict::warn(format!("a replica cannot say what it holds: {}", listed(&unreadable)))
        } else if missing.len() == told.len() && named(|told| matches!(told, Told::Partly)).is_empty() {
            Verdict::warn("replicas have not been compared since their nodes started")
        } else if missing.is_empty() && told.iter().all(|(_, told)| matches!(told, Told::Alone)) {
            Verdict::ok("one replica of each partition: nothing to compare")
        } else if missing.is_empty() {
            Verdict::ok(format!("the replicas of {} hold the same", count(told.len(), "partition")))
        } else {
            Verdict::warn(format!("not compared, or not by all replicas: {}", listed(&missing)))
        }
    })
}

fn told(group: &Group) -> Told {
    if group.replicas.len() == 1 {
        return Told::Alone;
    }
    let told: Vec<_> = group.replicas.iter().filter_map(|replica| replica.compared.as_ref()).collect();
    if let Some(reason) = told.iter().find_map(|told| told.reason.clone()) {
        return Told::Unreadable(reason);
    }
    // Only what was held at the same entry can be compared.
    let mut digests: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for told in &told {
        if let Some(digest) = &told.digest {
            digests.entry(told.index).or_default().insert(digest);
        }
    }
    let complete = told.iter().filter(|told| told.digest.is_some()).count() == group.replicas.len();
    match digests.len() {
        _ if digests.values().any(|digests| digests.len() > 1) => Told::Different,
        0 => Told::Nothing,
        1 if complete => Told::Same,
        _ => Told::Partly,
    }
}

pub(crate) fn disks(facts: &Facts) -> Vec<Finding> {
    facts.of_cluster(|survey| {
        let verdict = |node: &Node| {
            let id = node.short_id();
            match (node.disk_free_bytes, node.disk_total_bytes) {
                (Some(free), Some(total)) if total > 0 => {
                    let used = 1.0 - free as f64 / total as f64;
                    let text = format!("node {id} {}", percent(used));
                    match used {
                        used if used > DISK_FAIL => Verdict::fail(text),
                        used if used > DISK_WARN => Verdict::warn(text),
                        _ => Verdict::ok(text),
                    }
                }
                _ => Verdict::unknown(format!("node {id} does not say")),
            }
        };
        let verdicts: Vec<Verdict> = survey.members().map(verdict).collect();
        let worst = Verdict::worst(verdicts).unwrap_or_else(|| Verdict::unknown("there is no node"));
        let text = match worst.outcome {
            Outcome::Unknown => worst.text,
            _ => format!("used: {}", worst.text),
        };
        Verdict { text, ..worst }
    })
}

/// Nodes of the cluster that were not asked themselves.
pub(crate) fn not_asked(facts: &Facts) -> Vec<Finding> {
    let Ok(cluster) = &facts.cluster else { return Vec::new() };
    let asked: BTreeSet<&str> = facts.nodes.iter().filter_map(|node| node.id()).collect();
    let others: Vec<String> = cluster
        .survey
        .members()
        .filter(|node| node.is_up() && !asked.contains(short(&node.id)))
        .map(|node| format!("node {}", node.short_id()))
        .collect();
    if others.is_empty() || facts.nodes.iter().any(|node| node.id().is_none()) {
        return Vec::new();
    }
    let text = format!("not asked, as no --host names it: {}", listed(&others));
    vec![Verdict::unknown(text).about(Place::Cluster, "")]
}
