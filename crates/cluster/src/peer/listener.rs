//! The peer port: accepts connections and speaks HTTP/2 on them, over TLS where the node has certificates.

use std::collections::VecDeque;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use host::Listener;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use proto::peer::peer_server::PeerServer;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::io::InspectReader;
use tokio_util::sync::CancellationToken;

use super::links::{
    CONNECTION_WINDOW_BYTES, KEEP_ALIVE_EVERY, KEEP_ALIVE_WITHIN, MESSAGE_BYTES_MAX, RESETS_MAX,
    STREAM_WINDOW_BYTES,
};
use super::service::Service;
use super::tls::Tls;
use crate::tasks::TaskGroup;

/// Connections at once: four for each of a few hundred nodes.
const CONNECTIONS_MAX: usize = 1024;
/// Calls at once on one connection: an open stream of entries for each group, and whatever else there is.
const STREAMS_MAX: u32 = 8192;
/// Of them, those that have not shown yet that they speak the protocol. The oldest goes when another comes.
const STRANGERS_MAX: usize = 256;
/// What a connection of HTTP/2 begins with, in bytes (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;
/// How long a peer may take to show who it is, and that it speaks the protocol.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// Pause between two words about the same stranger.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// How long to wait after a connection could not be accepted.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Spawns what HTTP/2 wants spawned, in the group that ends with the node.
#[derive(Clone)]
struct Spawn(TaskGroup);

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        self.0.spawn("peer call", async move { drop(task.await) });
    }
}

/// Serves the peer port until the group stops.
pub(crate) async fn serve(
    listener: Arc<dyn Listener>,
    tls: Option<Arc<Tls>>,
    service: Service,
    tasks: TaskGroup,
) {
    let service = PeerServer::new(service)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut http = http2::Builder::new(Spawn(tasks.clone()));
    http.timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_local_error_reset_streams(None)
        // Under load peers give up many calls at once that nobody has looked at yet, and are no strangers.
        .max_pending_accept_reset_streams(RESETS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(KEEP_ALIVE_EVERY)
        .keep_alive_timeout(KEEP_ALIVE_WITHIN);
    let refused = Arc::<Refused>::default();
    let mut strangers = Strangers::default();
    let mut pause = tokio::time::interval(ACCEPT_AGAIN_AFTER);
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a peer's connection was not accepted");
                pause.reset();
                pause.tick().await;
                continue;
            }
        };
        let service = TowerToHyperService::new(service.clone());
        let (http, tls, refused) = (http.clone(), tls.clone(), Arc::clone(&refused));
        let (stranger, has_to_go) = strangers.come();
        tasks.spawn("peer connection", async move {
            let _permit = permit;
            let is_known = Arc::clone(&stranger.is_known);
            let mut bytes = 0;
            let begun = move |read: &[u8]| {
                bytes += read.len();
                if bytes >= PREFACE_BYTES {
                    is_known.store(true, Ordering::Relaxed);
                }
            };
            let serving = async {
                let ended = match tls {
                    None => {
                        http.serve_connection(TokioIo::new(InspectReader::new(stream, begun)), service).await
                    }
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => {
                            http.serve_connection(TokioIo::new(InspectReader::new(stream, begun)), service)
                                .await
                        }
                        Err(error) => return refused.note(from, &error.to_string()),
                    },
                };
                if let Err(error) = ended {
                    tracing::debug!(%error, "a peer's connection ended");
                }
            };
            tokio::select! {
                () = serving => {}
                () = stranger.overstays(has_to_go) => refused.note(from, "it does not say what a peer says"),
            }
        });
    }
}

/// Connections that have not shown yet that they speak the protocol, oldest first.
#[derive(Default)]
struct Strangers(VecDeque<(Weak<AtomicBool>, CancellationToken)>);

/// One of them.
struct Stranger {
    /// It has sent what a connection of HTTP/2 begins with.
    is_known: Arc<AtomicBool>,
}

impl Strangers {
    /// Another comes; where there are too many, the oldest has to go, so that nobody is kept away by those who say nothing.
    fn come(&mut self) -> (Stranger, CancellationToken) {
        let stays =
            |known: &Weak<AtomicBool>| known.upgrade().is_some_and(|known| !known.load(Ordering::Relaxed));
        self.0.retain(|(known, _)| stays(known));
        if self.0.len() >= STRANGERS_MAX
            && let Some((_, has_to_go)) = self.0.pop_front()
        {
            has_to_go.cancel();
        }
        let (is_known, has_to_go) = (Arc::<AtomicBool>::default(), CancellationToken::new());
        self.0.push_back((Arc::downgrade(&is_known), has_to_go.clone()));
        (Stranger { is_known }, has_to_go)
    }
}

impl Stranger {
    /// Returns when it has to go, or has had its time; never where it is known by then.
    async fn overstays(&self, has_to_go: CancellationToken) {
        let _elapsed = timeout(HANDSHAKE_WITHIN, has_to_go.cancelled()).await;
        if self.is_known.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

/// Those who are not believed to be nodes. They may come again many times a second.
#[derive(Default)]
struct Refused(Mutex<Option<(IpAddr, Instant)>>);

impl Refused {
    /// Says so in the log, unless that was done of late.
    fn note(&self, from: SocketAddr, reason: &str) {
        let mut last = self.0.lock();
        if last.is_none_or(|(ip, at)| ip != from.ip() || at.elapsed() >= TELL_EVERY) {
            tracing::warn!(%from, reason, "a connection to the peer port was refused");
            *last = Some((from.ip(), Instant::now()));
        }
    }
}
