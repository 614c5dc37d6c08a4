//! How a node finds the others of its cluster: from settings to what the cluster is opened with.
//!
//! `static` is a list. `dns` is a name that stands for all nodes, which then must say where each is reached. `kubernetes`
//! needs no more than a headless service: the founding nodes are the first ordinals of the StatefulSet, each reached at
//! `<pod>.<service>`, so it is a list that every pod writes for itself in the same way.

use std::net::IpAddr;

use cluster::InitialPeers;

use super::address::Peer;
use super::{Config, Role};

/// How other nodes are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscoveryStrategy {
    /// By the list `initial-peers`.
    Static,
    /// By the addresses of a name.
    Dns,
    /// By the names of the pods of a StatefulSet.
    Kubernetes,
}

/// The pod that the node runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pod<'a> {
    stateful_set: &'a str,
    ordinal: u32,
}

impl<'a> Pod<'a> {
    /// Reads `<StatefulSet>-<ordinal>`.
    fn parse(name: &'a str) -> Option<Self> {
        let (stateful_set, ordinal) = name.rsplit_once('-')?;
        let ordinal = ordinal.parse().ok().filter(|n: &u32| n.to_string() == ordinal)?;
        (!stateful_set.is_empty()).then_some(Self { stateful_set, ordinal })
    }
}

impl Config {
    /// Whether the node is one of several.
    #[must_use]
    pub fn has_peers(&self) -> bool {
        self.discovery_strategy != DiscoveryStrategy::Static || !self.initial_peers.is_empty()
    }

    /// Whether all peers that a gateway dials are on this machine.
    pub(super) fn peers_are_near(&self) -> bool {
        let is_near = |peer: &Peer| {
            peer.host == "localhost" || peer.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        };
        self.discovery_strategy == DiscoveryStrategy::Static && self.initial_peers.iter().all(is_near)
    }

    /// The nodes that found the cluster, where this is not a node alone; for a gateway, where nodes of it are found.
    #[must_use]
    pub fn founding_peers(&self) -> Option<InitialPeers> {
        let expect = self.bootstrap_expect.unwrap_or(0);
        if self.role == Role::Gateway && self.discovery_strategy != DiscoveryStrategy::Static {
            // A gateway's pod is in no StatefulSet, and which nodes have founded the cluster does not matter.
            let Peer { host, port } = self.discovery_service()?;
            return Some(InitialPeers::Name { host, port, expect });
        }
        Some(match self.discovery_strategy {
            DiscoveryStrategy::Static if self.initial_peers.is_empty() => return None,
            DiscoveryStrategy::Static => {
                InitialPeers::List(self.initial_peers.iter().map(ToString::to_string).collect())
            }
            DiscoveryStrategy::Dns => {
                let Peer { host, port } = self.discovery_peer()?;
                InitialPeers::Name { host, port, expect }
            }
            DiscoveryStrategy::Kubernetes => {
                let pod = Pod::parse(&self.pod_name)?;
                let names = (0..expect).map(|n| self.pod_address(&format!("{}-{n}", pod.stateful_set)));
                InitialPeers::List(names.collect::<Option<_>>()?)
            }
        })
    }

    /// Host and port at which others reach this node, where that is not as it stands in their list.
    #[must_use]
    pub fn advertised(&self) -> Option<String> {
        match (&self.peer_advertise_address, self.discovery_strategy) {
            (Some(peer), _) => Some(peer.to_string()),
            (None, DiscoveryStrategy::Kubernetes) => self.pod_address(&self.pod_name),
            (None, DiscoveryStrategy::Dns | DiscoveryStrategy::Static) => None,
        }
    }

    /// What the strategy lacks, as the end of the sentence "expected ...".
    pub(super) fn lacks_for_discovery(&self) -> Option<(&'static str, &'static str)> {
        const KEY: &str = "discovery-strategy";
        let expects = matches!(self.bootstrap_expect, Some(1 | 3 | 5));
        let is_listed = self.bootstrap_expect.is_none_or(|count| count == self.initial_peers.len());
        match self.discovery_strategy {
            DiscoveryStrategy::Static if !self.discovery_name.is_empty() => {
                Some((KEY, "dns or kubernetes beside discovery-name"))
            }
            DiscoveryStrategy::Static if !is_listed => {
                Some(("bootstrap-expect", "as many as there are initial-peers, or nothing"))
            }
            DiscoveryStrategy::Static => None,
            DiscoveryStrategy::Dns | DiscoveryStrategy::Kubernetes if !self.initial_peers.is_empty() => {
                Some((KEY, "static beside initial-peers"))
            }
            _ if !expects && self.role == Role::Node => {
                Some(("bootstrap-expect", "1, 3 or 5: the nodes that found the cluster"))
            }
            _ if self.discovery_peer().is_none() => Some((
                "discovery-name",
                "a name that stands for all nodes, such as tidemark-peers or tidemark-peers:8088",
            )),
            _ if self.role == Role::Gateway => None,
            DiscoveryStrategy::Dns if self.peer_advertise_address.is_none() => Some((
                "peer-advertise-address",
                "where others reach this node, by a name that stays: discovery-strategy is dns",
            )),
            DiscoveryStrategy::Kubernetes if Pod::parse(&self.pod_name).is_none() => {
                Some(("pod-name", "the name of a pod of a StatefulSet, such as tidemark-0"))
            }
            DiscoveryStrategy::Dns | DiscoveryStrategy::Kubernetes => None,
        }
    }

    /// The name, with the port that it has or that this node listens on.
    fn discovery_peer(&self) -> Option<Peer> {
        let name = self.discovery_name.trim();
        let with_port = if name.contains(':') {
            name.to_owned()
        } else {
            format!("{name}:{}", self.peer_bind_address.port())
        };
        match <[Peer; 1]>::try_from(Peer::parse_list(&with_port).ok()?) {
            Ok([peer]) => Some(peer),
            Err(_) => None,
        }
    }

    /// Where a pod is reached: by the name that the headless service gives it.
    fn pod_address(&self, pod: &str) -> Option<String> {
        let Peer { host: service, port } = self.discovery_service()?;
        Some(format!("{pod}.{service}:{port}"))
    }

    /// The name as it is looked up: with `kubernetes` in the pod's namespace.
    fn discovery_service(&self) -> Option<Peer> {
        let Peer { host, port } = self.discovery_peer()?;
        let is_whole = host.contains('.') || self.pod_namespace.is_empty();
        let is_service = self.discovery_strategy == DiscoveryStrategy::Kubernetes;
        let host = if is_whole || !is_service { host } else { format!("{host}.{}.svc", self.pod_namespace) };
        Some(Peer { host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::Pod;

    #[test]
    fn a_pod_of_a_stateful_set_has_an_ordinal() {
        assert_eq!(Pod::parse("tide-mark-12"), Some(Pod { stateful_set: "tide-mark", ordinal: 12 }));
        for name in
            ["", "tidemark", "-0", "tidemark-", "tidemark-x", "tidemark-01", "tidemark-+1", "tidemark-7b5f"]
        {
            assert_eq!(Pod::parse(name), None, "{name}");
        }
    }
}
