//! How nodes find one another: by a list of addresses that stay, or by one name for all of them, which the run's own name
//! server knows.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::network::{self, PEER_PORT};

/// The name of all nodes.
pub(crate) const ALL: &str = "nodes.chaos";
/// How far apart the addresses are that a node has one after the other.
const APART: usize = 20;
/// How many a node has, before the first comes again.
const ADDRESSES: usize = 4;

/// How nodes find one another, and what they say of themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Discovery {
    /// By a list of addresses, which stay.
    #[default]
    List,
    /// By a name for all; each is reached by a name of its own.
    Names,
    /// By a name for all; each is reached by its address.
    Addresses,
}

/// Where a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    /// Its address for other nodes. For clients it stays where it is.
    pub(crate) address: Ipv4Addr,
    /// Where it says that others reach it.
    pub(crate) reached_at: String,
    /// What it is told of that.
    pub(crate) arguments: Vec<String>,
}

impl Discovery {
    /// Where a node is that has moved so often.
    pub(crate) fn whereabouts(self, node: usize, moves: usize, founders: usize) -> Whereabouts {
        let address = match self {
            Self::List => network::address(node),
            Self::Names | Self::Addresses => network::address(node + APART * (1 + moves % ADDRESSES)),
        };
        let at = |host: &str| format!("{host}:{PEER_PORT}");
        let reached_at = match self {
            Self::List | Self::Addresses => at(&address.to_string()),
            Self::Names => at(&name(node)),
        };
        let mut arguments = vec![("--peer-bind-address", at(&address.to_string()))];
        if self == Self::List {
            let all: Vec<String> =
                (0..founders).map(|node| at(&network::address(node).to_string())).collect();
            arguments.push(("--initial-peers", all.join(",")));
        } else {
            arguments.extend([
                ("--discovery-strategy", "dns".to_owned()),
                ("--discovery-name", ALL.to_owned()),
                ("--bootstrap-expect", founders.to_string()),
                ("--peer-advertise-address", reached_at.clone()),
            ]);
        }
        let arguments = arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        Whereabouts { address, reached_at, arguments }
    }
}

/// The name of one node.
pub(crate) fn name(node: usize) -> String {
    format!("n{node}.chaos")
}

/// Files that a node has in place of the system's, so that it asks the run's name server for names and nobody else.
#[derive(Debug, Clone)]
pub(crate) struct Resolver {
    pub(crate) resolv: PathBuf,
    pub(crate) nsswitch: PathBuf,
}

impl Resolver {
    /// Writes the files.
    ///
    /// # Errors
    /// They cannot be written.
    pub(crate) fn write(directory: &Path, server: Ipv4Addr) -> std::io::Result<Self> {
        let this = Self { resolv: directory.join("resolv.conf"), nsswitch: directory.join("nsswitch.conf") };
        std::fs::write(&this.resolv, format!("nameserver {server}\nsearch .\n"))?;
        std::fs::write(&this.nsswitch, "hosts: dns\n")?;
        Ok(this)
    }
}
