//! Where the initial peers are, and what they answer: the list, or whatever a name stands for at each look.

use std::collections::HashMap;

use futures::future::join_all;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::{ANSWER_WITHIN, Asked, who_are_you};
use crate::options::InitialPeers;
use crate::peer::links::{Client, Links};
use crate::peer::myself::Myself;

/// The most addresses of a name that are asked.
const ADDRESSES_MAX: usize = 256;

/// The initial peers, and connections to them. Connections to addresses that a name no longer stands for are given up.
pub(crate) struct Directory<'a> {
    peers: &'a InitialPeers,
    clients: HashMap<String, Option<Client>>,
}

impl<'a> Directory<'a> {
    pub(crate) fn new(peers: &'a InitialPeers) -> Self {
        Self { peers, clients: HashMap::new() }
    }

    /// Asks all who they are, and answers in their order: that of the list, or of the addresses that they advertise. Why
    /// not, where the name stands for nothing.
    pub(super) async fn ask(&mut self, myself: &Myself, links: &Links) -> Result<Vec<Asked>, String> {
        let addresses = self.addresses().await?;
        let server_name = match self.peers {
            InitialPeers::List(_) => None,
            // An address may be in no certificate, and the name that stands for it is.
            InitialPeers::Name { host, .. } => Some(host.as_str()),
        };
        self.clients.retain(|address, _| addresses.contains(address));
        let asked = addresses.into_iter().map(|address| {
            let client = self.clients.entry(address.clone());
            let client = client.or_insert_with(|| links.dial(&address, server_name).ok()).clone();
            async move {
                let answer = who_are_you(myself, client.clone()).await;
                Asked { address, client, answer }
            }
        });
        let mut asked = join_all(asked).await;
        if let InitialPeers::Name { .. } = self.peers {
            asked.sort_by(|a, b| a.reached_at().cmp(b.reached_at()));
        }
        Ok(asked)
    }

    async fn addresses(&self) -> Result<Vec<String>, String> {
        let (host, port) = match self.peers {
            InitialPeers::List(peers) => return Ok(peers.clone()),
            InitialPeers::Name { host, port, .. } => (host.as_str(), *port),
        };
        let found = timeout(ANSWER_WITHIN, lookup_host((host, port))).await;
        let found = found.map_err(|_elapsed| format!("{host}: the name is not answered in time"))?;
        let found = found.map_err(|error| format!("{host}: {error}"))?;
        let mut addresses: Vec<String> =
            found.take(ADDRESSES_MAX).map(|address| address.to_string()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }
}
