//! The peer port: accepts connections and speaks HTTP/2 on them, over TLS where the node has certificates.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use host::Listener;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use proto::peer::peer_server::PeerServer;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::links::{
    CONNECTION_WINDOW_BYTES, KEEP_ALIVE_EVERY, KEEP_ALIVE_WITHIN, MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES,
};
use super::service::Service;
use super::tls::Tls;
use crate::tasks::TaskGroup;

/// Connections at once: four for each of a few hundred nodes.
const CONNECTIONS_MAX: usize = 1024;
/// Calls at once on one connection: an open stream of entries for each group, and whatever else there is.
const STREAMS_MAX: u32 = 8192;
/// How long a peer may take to show who it is.
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
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(KEEP_ALIVE_EVERY)
        .keep_alive_timeout(KEEP_ALIVE_WITHIN);
    let refused = Arc::<Refused>::default();
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
        tasks.spawn("peer connection", async move {
            let _permit = permit;
            let ended = match tls {
                None => http.serve_connection(TokioIo::new(stream), service).await,
                Some(tls) => match timeout(HANDSHAKE_WITHIN, tls.accept(stream)).await {
                    Ok(Ok(stream)) => http.serve_connection(TokioIo::new(stream), service).await,
                    Ok(Err(error)) => return refused.note(from, &error.to_string()),
                    Err(_elapsed) => return refused.note(from, "it takes too long"),
                },
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a peer's connection ended");
            }
        });
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
