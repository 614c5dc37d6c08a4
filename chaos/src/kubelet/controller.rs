//! What the controllers of StatefulSets and Deployments do next, decided from what is there.

use super::manifest::Management;

/// A pod as its controller sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its number, of a StatefulSet.
    pub(crate) ordinal: usize,
    /// Whether it was made from the template as it is now.
    pub(crate) is_new: bool,
    /// Running and ready.
    pub(crate) is_ready: bool,
    /// Ready for as long as is asked.
    pub(crate) is_available: bool,
    /// On its way out.
    pub(crate) is_ending: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Do {
    /// A pod of this number comes, from the new template or that of before.
    Create { ordinal: usize, from_new: bool },
    /// The pod at this place of those seen goes.
    Delete { at: usize },
}

/// What a StatefulSet is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Set {
    pub(crate) replicas: usize,
    pub(crate) management: Management,
    /// Pods below this number keep the template of before.
    pub(crate) partition: usize,
    /// Whether pods are replaced only when somebody deletes them.
    pub(crate) on_delete: bool,
}

/// What a StatefulSet's controller does next.
///
/// Pods are made from the lowest number on and go from the highest. In order, one must be available before the next comes
/// or goes; in parallel nothing waits. Updates replace one pod at a time from the highest number down, whatever the order.
pub(crate) fn stateful_set(set: Set, pods: &[Seen]) -> Vec<Do> {
    let mut actions = Vec::new();
    let in_order = set.management == Management::OrderedReady;
    for ordinal in 0..set.replicas {
        match pods.iter().find(|pod| pod.ordinal == ordinal) {
            None => {
                actions.push(Do::Create { ordinal, from_new: ordinal >= set.partition });
                if in_order {
                    return actions;
                }
            }
            Some(pod) if in_order && (pod.is_ending || !pod.is_available) => return actions,
            Some(_) => {}
        }
    }
    let mut condemned: Vec<(usize, &Seen)> =
        pods.iter().enumerate().filter(|(_, pod)| pod.ordinal >= set.replicas).collect();
    condemned.sort_by_key(|(_, pod)| std::cmp::Reverse(pod.ordinal));
    for (at, pod) in condemned {
        if !pod.is_ending {
            actions.push(Do::Delete { at });
        }
        if in_order {
            return actions;
        }
    }
    if !actions.is_empty() || set.on_delete {
        return actions;
    }
    for ordinal in (set.partition..set.replicas).rev() {
        let Some(at) = pods.iter().position(|pod| pod.ordinal == ordinal) else { return actions };
        let pod = pods[at];
        if !pod.is_new && !pod.is_ending {
            return vec![Do::Delete { at }];
        }
        if pod.is_ending || !pod.is_available {
            return actions;
        }
    }
    actions
}

/// What a Deployment is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fleet {
    pub(crate) replicas: usize,
    /// How many more there may be.
    pub(crate) surge: usize,
    /// How many may be missing.
    pub(crate) unavailable: usize,
}

/// What a Deployment's controller does next. The number of a pod that it creates is of no meaning.
pub(crate) fn deployment(fleet: Fleet, pods: &[Seen]) -> Vec<Do> {
    let live: Vec<usize> = (0..pods.len()).filter(|at| !pods[*at].is_ending).collect();
    let (new, old): (Vec<usize>, Vec<usize>) = live.iter().partition(|at| pods[**at].is_new);
    let room = (fleet.replicas + fleet.surge).saturating_sub(live.len());
    let missing = fleet.replicas.saturating_sub(new.len());
    let mut actions = vec![Do::Create { ordinal: 0, from_new: true }; missing.min(room)];
    // Of what goes, first what serves nobody.
    let by_use = |mut places: Vec<usize>| {
        places.sort_by_key(|at| pods[*at].is_available);
        places
    };
    let surplus = new.len().saturating_sub(fleet.replicas);
    let mut available = live.iter().filter(|at| pods[**at].is_available).count();
    let least = fleet.replicas.saturating_sub(fleet.unavailable);
    let leaving = by_use(new).into_iter().take(surplus).chain(by_use(old));
    for at in leaving {
        if !pods[at].is_available {
            actions.push(Do::Delete { at });
        } else if available > least {
            available -= 1;
            actions.push(Do::Delete { at });
        }
    }
    actions
}

#[cfg(test)]
mod tests;
