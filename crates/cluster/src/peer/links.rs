//! Connections to other nodes, opened when they are first used: one for each class of calls, so that a heartbeat never
//! waits behind data.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use host::{Connection, Network};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use proto::peer::peer_client::PeerClient;
use tokio::sync::{Semaphore, watch};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower::service_fn;

use super::beats::Beats;
use super::route::Refusal;
use super::tls::Tls;

/// The largest message. Entries are at most 8 MiB, and a message with more than one has at most 1 MiB of them.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Entries sent to one node and not answered.
pub(crate) const UNANSWERED_BYTES_MAX: usize = 32 << 20;
/// HTTP/2 windows: what may be under way before the receiver has read it.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 4 << 20;
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// The same of answers to queries. Whoever asks may read one stream after the other, so those that wait must not use up
/// what the connection has for the one that is read: it has room for 256 of them.
const QUERY_STREAM_WINDOW_BYTES: u32 = 1 << 20;
const QUERY_CONNECTION_WINDOW_BYTES: u32 = 256 << 20;
/// A silent connection is asked for life after the first, and given up after the second.
pub(crate) const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);
pub(crate) const KEEP_ALIVE_WITHIN: Duration = Duration::from_secs(5);
/// Streams of a connection that were given up, and on which something may still come.
pub(crate) const RESETS_MAX: usize = 4096;
/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Entries.
    Append,
    /// Heartbeats, votes and transfers.
    Heartbeat,
    /// Snapshots.
    Snapshot,
    /// Proposals and barriers.
    Request,
    /// Beacons, which say whether the node is there.
    Beacon,
    /// What queries read of other nodes.
    Query,
}

const CLASSES: usize = 6;

impl Class {
    /// The windows of a stream and of a connection.
    const fn windows(self) -> (u32, u32) {
        match self {
            Self::Query => (QUERY_STREAM_WINDOW_BYTES, QUERY_CONNECTION_WINDOW_BYTES),
            _ => (STREAM_WINDOW_BYTES, CONNECTION_WINDOW_BYTES),
        }
    }
}

/// A client over one connection.
pub(crate) type Client = PeerClient<Channel>;

/// The connections to all other nodes.
#[derive(Debug)]
pub(crate) struct Links {
    links: Mutex<HashMap<u128, Arc<Link>>>,
    ways: Ways,
}

/// How connections are made.
#[derive(Debug, Clone)]
struct Ways {
    network: Arc<dyn Network>,
    tls: Option<Arc<Tls>>,
}

/// The connections to one node.
#[derive(Debug)]
pub(crate) struct Link {
    ways: Ways,
    place: Mutex<Place>,
    reach: Mutex<Reach>,
    /// Bytes of entries that may still be sent before some are answered.
    pub(crate) unanswered: Arc<Semaphore>,
    /// How often the node has answered after a silence.
    returns: watch::Sender<u64>,
    /// Heartbeats that wait to be sent.
    pub(super) beats: Beats,
}

/// As much as makes a message larger than an Ethernet packet. Where small packets get through and large ones do not (a
/// tunnel's smaller size that nobody tells of), a node that only sees small ones looks well, and can do nothing.
const PADDING: &[u8] = &[0; 1500];

/// What makes a message, which is so long otherwise, larger than a packet.
pub(crate) fn padding(bytes: usize) -> Bytes {
    Bytes::from_static(PADDING.get(bytes..).unwrap_or_default())
}

/// How the last calls went; told when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reach {
    Fine,
    /// With the reason of the first call that did not get there.
    Away(String),
    Refuses(String),
}

#[derive(Debug)]
struct Place {
    address: String,
    channels: [Option<Channel>; CLASSES],
}

impl Links {
    /// No connections yet; with TLS where it is given.
    pub(crate) fn new(network: Arc<dyn Network>, tls: Option<Arc<Tls>>) -> Self {
        Self { links: Mutex::default(), ways: Ways { network, tls } }
    }

    /// When this node's certificate expires, in seconds since the Unix epoch; `None` where it has none.
    pub(crate) fn certificate_expires(&self) -> Option<i64> {
        self.ways.tls.as_ref()?.expires()
    }

    /// A client to an address of which nobody knows yet who is there; its certificate is for `server_name`, or for the
    /// address.
    pub(crate) fn dial(&self, address: &str, server_name: Option<&str>) -> Result<Client, Status> {
        Ok(client(channel(address, server_name, Class::Request, &self.ways)?))
    }

    /// The connections to a node, which is at `address` unless it is known to be elsewhere.
    pub(crate) fn to(&self, node: u128, address: &str) -> Arc<Link> {
        let mut links = self.links.lock();
        let new = || Arc::new(Link::new(address.to_owned(), self.ways.clone()));
        let link = links.entry(node).or_insert_with(new);
        Arc::clone(link)
    }

    /// The connections to a node, when it is known where that is.
    pub(crate) fn known(&self, node: u128) -> Option<Arc<Link>> {
        self.links.lock().get(&node).cloned()
    }

    /// Notes where a node is now.
    pub(crate) fn moved(&self, node: u128, address: &str) {
        let link = self.to(node, address);
        let mut place = link.place.lock();
        if place.address != address {
            *place = Place { address: address.to_owned(), channels: Default::default() };
        }
    }
}

impl Link {
    fn new(address: String, ways: Ways) -> Self {
        Self {
            ways,
            place: Mutex::new(Place { address, channels: Default::default() }),
            reach: Mutex::new(Reach::Fine),
            unanswered: Arc::new(Semaphore::new(UNANSWERED_BYTES_MAX)),
            returns: watch::Sender::new(0),
            beats: Beats::default(),
        }
    }

    /// Notes that the node has answered.
    pub(crate) fn is_fine(&self) {
        self.note(Reach::Fine);
    }

    /// Notes that a call failed. Only what changes is logged: calls are tried again many times a second.
    pub(crate) fn has_failed(&self, status: &Status) {
        match Refusal::of(status) {
            // Its groups are not open yet: at every start.
            Some(refusal) if Refusal::NoReplica.name() == refusal || Refusal::NoCluster.name() == refusal => {
            }
            Some(refusal) => self.note(Reach::Refuses(refusal.to_owned())),
            None if status.code() == Code::Unavailable => self.note(Reach::Away(reason(status))),
            None => tracing::debug!(%status, "a call to a peer failed"),
        }
    }

    fn note(&self, now: Reach) {
        let mut reach = self.reach.lock();
        // It may be out of reach for several reasons in turn, many times a second.
        let is_away = |reach: &Reach| matches!(reach, Reach::Away(_));
        if *reach == now || is_away(&reach) && is_away(&now) {
            return;
        }
        let address = &self.place.lock().address;
        match &now {
            Reach::Fine => tracing::info!(address, "a node is back"),
            Reach::Away(reason) => tracing::warn!(address, reason, "a node is out of reach"),
            Reach::Refuses(refusal) => tracing::warn!(address, refusal, "a node refuses what is sent to it"),
        }
        *reach = now;
    }

    /// Makes a new connection for the calls of a class that come. Those under way keep theirs.
    pub(crate) fn renew(&self, class: Class) {
        self.place.lock().channels[class as usize] = None;
    }

    /// Notes that the node answers after a silence: all calls to come get new connections, and streams of entries under
    /// way end. A connection that packets did not get over tries again only seconds after they would.
    pub(crate) fn is_back(&self) {
        self.place.lock().channels = Default::default();
        self.returns.send_modify(|returns| *returns += 1);
    }

    /// Changes when the node answers after a silence.
    pub(crate) fn returns(&self) -> watch::Receiver<u64> {
        self.returns.subscribe()
    }

    /// A client for a class of calls.
    pub(crate) fn client(&self, class: Class) -> Result<Client, Status> {
        let mut place = self.place.lock();
        let Place { address, channels } = &mut *place;
        let slot = &mut channels[class as usize];
        let channel = match slot {
            Some(channel) => channel.clone(),
            None => slot.insert(channel(address, None, class, &self.ways)?).clone(),
        };
        Ok(client(channel))
    }
}

fn client(channel: Channel) -> Client {
    PeerClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

fn channel(address: &str, server_name: Option<&str>, class: Class, ways: &Ways) -> Result<Channel, Status> {
    let (stream_window, connection_window) = class.windows();
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| Status::invalid_argument(format!("{address} is no address: {error}")))?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_WITHIN)
        .http2_keep_alive_interval(KEEP_ALIVE_EVERY)
        .keep_alive_timeout(KEEP_ALIVE_WITHIN)
        .keep_alive_while_idle(true)
        // Whoever reads less than there is resets the stream. Peers are no strangers: what still comes on it is no attack.
        .http2_max_concurrent_reset_streams(RESETS_MAX)
        .http2_max_local_error_reset_streams(None)
        .initial_stream_window_size(stream_window)
        .initial_connection_window_size(connection_window);
    let (ways, server_name) = (ways.clone(), server_name.map(ToOwned::to_owned));
    Ok(endpoint.connect_with_connector_lazy(service_fn(move |uri| {
        let (ways, server_name) = (ways.clone(), server_name.clone());
        async move { ways.connect(&uri, server_name.as_deref()).await.map(TokioIo::new) }
    })))
}

impl Ways {
    /// A connection, with TLS where there are certificates.
    async fn connect(&self, uri: &http::Uri, server_name: Option<&str>) -> io::Result<Connection> {
        let no_address = || io::Error::new(io::ErrorKind::InvalidInput, "no address");
        let (host, port) = uri.host().zip(uri.port_u16()).ok_or_else(no_address)?;
        // An address of IPv6 stands in brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = self.network.connect(host, port).await?;
        match &self.tls {
            None => Ok(stream),
            Some(tls) => Ok(Box::new(tls.connect(server_name.unwrap_or(host), stream).await?)),
        }
    }
}

/// Why a call failed, with what it comes from.
pub(crate) fn reason(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// Whether a call failed before anything of it was sent.
pub(crate) fn was_never_sent(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
