//! Nodes, and on which of them a pod goes: node selectors and required affinity, the zone of its volumes, required
//! anti-affinity, and topology spread; of those that are left the one with fewest pods.

use std::collections::BTreeMap;

use super::template::{Labels, PodSpec, Spread};

/// The label of a node's zone.
pub(crate) const ZONE: &str = "topology.kubernetes.io/zone";
/// The label of its name.
pub(crate) const HOST: &str = "kubernetes.io/hostname";
const REGION: &str = "topology.kubernetes.io/region";

/// A machine of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    /// Whether no pod comes to it any more.
    pub(crate) is_cordoned: bool,
    /// Whether it has power.
    pub(crate) is_up: bool,
}

/// A pod that is on a machine.
#[derive(Debug, Clone)]
pub(crate) struct Placed<'a> {
    pub(crate) labels: &'a Labels,
    pub(crate) namespace: &'a str,
    pub(crate) machine: &'a str,
}

impl Machine {
    /// Machines in these zones, as many in each, with these labels.
    pub(crate) fn fleet(zones: &[&str], each: usize, labels: &Labels) -> Vec<Self> {
        let one = |number: usize, zone: &str| {
            let name = format!("node-{zone}{number}");
            let own =
                [(HOST, name.as_str()), (ZONE, zone), (REGION, "miniature"), ("kubernetes.io/os", "linux")];
            let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let labels = labels.clone().into_iter().chain(own).collect();
            Self { name, labels, is_cordoned: false, is_up: true }
        };
        (0..each).flat_map(|number| zones.iter().map(move |zone| one(number, zone))).collect()
    }

    /// Its zone.
    pub(crate) fn zone(&self) -> &str {
        self.labels.get(ZONE).map_or("", String::as_str)
    }
}

/// Labels that pods want of nodes beyond those that nodes have by themselves: a production's nodes have been given them.
pub(crate) fn wanted(specs: &[&PodSpec]) -> Labels {
    let selected = specs.iter().flat_map(|spec| &spec.node_selector);
    let mut labels: Labels = selected.map(|(key, value)| (key.clone(), value.clone())).collect();
    let terms =
        specs.iter().flat_map(|spec| spec.affinity.node_affinity.required.node_selector_terms.first());
    for one in terms.flat_map(|term| &term.match_expressions).filter(|one| one.operator == "In") {
        labels.extend(one.values.first().map(|value| (one.key.clone(), value.clone())));
    }
    labels
}

/// The machine for a pod; if there is none, why.
pub(crate) fn choose(
    spec: &PodSpec,
    labels: &Labels,
    namespace: &str,
    zone: Option<&str>,
    machines: &[Machine],
    pods: &[Placed<'_>],
) -> Result<usize, String> {
    let fits = |machine: &Machine| {
        let terms = &spec.affinity.node_affinity.required.node_selector_terms;
        let selected = spec.node_selector.iter().all(|(key, value)| machine.labels.get(key) == Some(value));
        selected && (terms.is_empty() || terms.iter().any(|term| term.matches(&machine.labels)))
    };
    let of_kind: Vec<&Machine> = machines.iter().filter(|machine| fits(machine)).collect();
    if of_kind.is_empty() {
        return Err("no node has the labels that it wants".to_owned());
    }
    let mut why = BTreeMap::new();
    let mut best: Option<(usize, usize)> = None;
    for (at, machine) in machines.iter().enumerate() {
        let reason = if !fits(machine) {
            Some("has not the labels".to_owned())
        } else if machine.is_cordoned {
            Some("is cordoned".to_owned())
        } else if !machine.is_up {
            Some("is not ready".to_owned())
        } else if zone.is_some_and(|zone| zone != machine.zone()) {
            Some("is not in the zone of its volume".to_owned())
        } else {
            against(spec, labels, namespace, machine, &of_kind, pods)
        };
        match reason {
            Some(reason) => *why.entry(reason).or_insert(0) += 1,
            None => {
                let load = pods.iter().filter(|pod| pod.machine == machine.name).count();
                if best.is_none_or(|(_, least)| load < least) {
                    best = Some((at, load));
                }
            }
        }
    }
    let told =
        || why.iter().map(|(reason, count)| format!("{count} {reason}")).collect::<Vec<_>>().join(", ");
    best.map(|(at, _)| at).ok_or_else(|| format!("no node for it: {}", told()))
}

/// What is against a machine because of other pods.
fn against(
    spec: &PodSpec,
    labels: &Labels,
    namespace: &str,
    machine: &Machine,
    of_kind: &[&Machine],
    pods: &[Placed<'_>],
) -> Option<String> {
    let domain_of = |name: &str, key: &str| {
        let machine = of_kind.iter().find(|machine| machine.name == name)?;
        machine.labels.get(key).cloned()
    };
    for term in &spec.affinity.pod_anti_affinity.required {
        let here = machine.labels.get(&term.topology_key);
        let mut others =
            pods.iter().filter(|pod| pod.namespace == namespace && term.label_selector.matches(pod.labels));
        if others.any(|pod| domain_of(pod.machine, &term.topology_key).as_ref() == here) {
            return Some("has a pod that it must not be beside".to_owned());
        }
    }
    let hard =
        spec.topology_spread_constraints.iter().filter(|one| one.when_unsatisfiable != "ScheduleAnyway");
    for spread in hard {
        if skew(spread, labels, namespace, machine, of_kind, pods) > spread.max_skew.max(1) {
            return Some(format!("has too many of its kind by {}", spread.topology_key));
        }
    }
    None
}

/// By how many a machine's domain would have more pods than the one that has fewest, with this pod.
fn skew(
    spread: &Spread,
    labels: &Labels,
    namespace: &str,
    machine: &Machine,
    of_kind: &[&Machine],
    pods: &[Placed<'_>],
) -> usize {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for one in of_kind {
        if let Some(domain) = one.labels.get(&spread.topology_key) {
            counts.entry(domain).or_default();
        }
    }
    for pod in
        pods.iter().filter(|pod| pod.namespace == namespace && spread.label_selector.matches(pod.labels))
    {
        let on = of_kind.iter().find(|one| one.name == pod.machine);
        if let Some(domain) = on.and_then(|one| one.labels.get(&spread.topology_key)) {
            *counts.entry(domain).or_default() += 1;
        }
    }
    let here =
        machine.labels.get(&spread.topology_key).and_then(|domain| counts.get(domain.as_str())).copied();
    let fewest =
        if counts.len() < spread.min_domains { 0 } else { counts.values().min().copied().unwrap_or(0) };
    let own = usize::from(spread.label_selector.matches(labels));
    (here.unwrap_or(0) + own).saturating_sub(fewest)
}

#[cfg(test)]
mod tests;
