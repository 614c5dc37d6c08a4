//! Where the replicas of a new cluster's partitions go: a pure plan over the zones of its nodes.
//!
//! Replicas of a partition are on different nodes, and in different zones as long as there are zones; nodes have as
//! many replicas, and as many partitions to lead, as one another, give or take one where zones allow.

pub(crate) mod conform;
pub(crate) mod plan;
pub(crate) mod silence;

/// For each partition the positions of its replicas' nodes, the leader's first. A node without a zone is one of its own.
pub(crate) fn spread(zones: &[&str], partitions: u16, replication: u8) -> Vec<Vec<u8>> {
    let nodes = zones.len();
    let mut replicas_on = vec![0_usize; nodes];
    let mut led_by = vec![0_usize; nodes];
    let place = |turn: usize| {
        let mut chosen: Vec<usize> = Vec::with_capacity(usize::from(replication));
        while chosen.len() < usize::from(replication).min(nodes) {
            let is_crowded = |node: usize| {
                !zones[node].is_empty() && chosen.iter().any(|other| zones[*other] == zones[node])
            };
            // Ties go round, so that every node is next to every other as often.
            let score = |node: &usize| {
                let (leads, at) = (
                    if chosen.is_empty() { led_by[*node] } else { 0 },
                    (node + nodes - turn % nodes) % nodes,
                );
                (is_crowded(*node), leads, replicas_on[*node], at)
            };
            let Some(next) = (0..nodes).filter(|node| !chosen.contains(node)).min_by_key(score) else {
                break;
            };
            if chosen.is_empty() {
                led_by[next] += 1;
            }
            replicas_on[next] += 1;
            chosen.push(next);
        }
        chosen
            .into_iter()
            .map(|node| u8::try_from(node).expect("a cluster is founded by few nodes"))
            .collect()
    };
    (0..usize::from(partitions)).map(place).collect()
}

#[cfg(test)]
mod tests;
