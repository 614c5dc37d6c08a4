//! Addresses to listen on and peers to reach.

use std::fmt;
use std::net::IpAddr;

use super::error::Expected;

const ADDRESS: Expected = Expected("an address such as 127.0.0.1:8086, [::1]:8086, host:8086 or :8086");
const PEER: Expected = Expected("peers as host:port, separated by commas");

/// An address to listen on. No host means every interface, as in `:8086`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindAddress {
    host: String,
    port: u16,
}

impl BindAddress {
    /// Reads `host:port`, `[v6]:port` or `:port`.
    pub(super) fn parse(text: &str) -> Result<Self, Expected> {
        let (host, port) = split(text.trim()).ok_or(ADDRESS)?;
        Ok(Self { host, port })
    }

    /// The host: a name, an address without brackets, or empty for every interface.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 lets the system choose one.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// What to bind, in the order to try: for every interface first both families, then IPv4 alone.
    pub fn to_bind(&self) -> Vec<(String, u16)> {
        if self.host.is_empty() {
            vec![("::".to_owned(), self.port), ("0.0.0.0".to_owned(), self.port)]
        } else {
            vec![(self.host.clone(), self.port)]
        }
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_address(f, &self.host, self.port)
    }
}

/// Another node's peer address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Host name or address without brackets.
    pub host: String,
    /// Port, not 0.
    pub port: u16,
}

impl Peer {
    /// Reads a list of `host:port` separated by commas; empty for none.
    pub(super) fn parse_list(text: &str) -> Result<Vec<Self>, Expected> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        // An empty entry is a variable that is not set: without it another list would be meant.
        let peers = text.split(',').map(|part| match split(part.trim()) {
            Some((host, port)) if !host.is_empty() && port != 0 => Ok(Self { host, port }),
            _ => Err(PEER),
        });
        peers.collect()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_address(f, &self.host, self.port)
    }
}

fn write_address(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
}

fn split(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').filter(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok())?,
        None if host.contains(':') => return None,
        None => host,
    };
    let is_clean = !host.contains(|c: char| c.is_whitespace() || c == '/' || c == '@');
    is_clean.then(|| (host.to_owned(), port))
}
