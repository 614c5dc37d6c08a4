//! The listener: HTTP/1 and HTTP/2 on one port, a bounded number of connections, slow heads and idle connections
//! cut, and a shutdown that lets requests in progress end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use metrics::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::gateway::{Gateway, Shared};
use crate::options::Limits;

/// HTTP/2 requests at once on one connection.
const STREAMS_MAX: u32 = 256;
/// Headers of one request.
const HEADERS_MAX: usize = 128;
/// Pause after `accept` failed, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Gateway {
    /// Serves a listener until `shutdown` is ready; then accepts no more, lets requests in progress end as long as
    /// `shutdown` has said, and returns.
    ///
    /// # Errors
    /// None today: a failing `accept` is retried, and logged.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = Drain<'_>> + Send,
    ) -> io::Result<()> {
        let Shared { options, tasks, metrics, .. } = &*self.0;
        let listening =
            Listening::new(&options.limits, self.router(), tasks.clone(), metrics.connections.clone());
        let drain = tokio::select! {
            biased;
            drain = shutdown => drain,
            never = listening.accept(&listener) => match never {},
        };
        drop(listener);
        if !listening.end(drain).await {
            tracing::warn!("requests in progress were cut off at shutdown");
        }
        Ok(())
    }
}

/// How long requests in progress may go on at the end.
pub struct Drain<'a> {
    max: Duration,
    cut: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
}

impl std::fmt::Debug for Drain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drain").field("max", &self.max).finish_non_exhaustive()
    }
}

impl<'a> Drain<'a> {
    /// At most so long.
    #[must_use]
    pub fn within(max: Duration) -> Self {
        Self { max, cut: Box::pin(std::future::pending()) }
    }

    /// And no longer than until this.
    #[must_use]
    pub fn or_until(self, cut: impl Future<Output = ()> + Send + 'a) -> Self {
        Self { cut: Box::pin(cut), ..self }
    }
}

/// The connections of a listener.
pub(crate) struct Listening {
    builder: auto::Builder<TokioExecutor>,
    head_max: Duration,
    slots: Arc<Semaphore>,
    graceful: GracefulShutdown,
    router: axum::Router,
    /// Owns the connections.
    tasks: TaskTracker,
    open: Gauge,
}

impl Listening {
    pub(crate) fn new(limits: &Limits, router: axum::Router, tasks: TaskTracker, open: Gauge) -> Self {
        Self {
            builder: builder(limits),
            head_max: limits.header_read_max,
            slots: Arc::new(Semaphore::new(limits.connections_max)),
            graceful: GracefulShutdown::new(),
            router,
            tasks,
            open,
        }
    }

    /// Accepts connections and answers on them, for ever.
    pub(crate) async fn accept(&self, listener: &TcpListener) -> Infallible {
        loop {
            let slot = Arc::clone(&self.slots).acquire_owned().await;
            let stream = match listener.accept().await {
                Ok((stream, _peer)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    pause(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot set TCP_NODELAY");
            }
            let busy = Busy::default();
            let io = SlowHeads::new(stream, busy.clone(), self.head_max);
            let service = self.router.clone().map_request(move |request: http::Request<Incoming>| {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(busy.enter());
                request
            });
            let service = TowerToHyperService::new(service);
            let connection = self.builder.serve_connection(TokioIo::new(io), service).into_owned();
            let connection = self.graceful.watch(connection);
            let open = self.open.enter();
            self.tasks.spawn(async move {
                let _held = (slot, open);
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection broke");
                }
            });
        }
    }

    /// Lets requests in progress end and closes all connections; `false` when that took longer than it may.
    pub(crate) async fn end(self, drain: Drain<'_>) -> bool {
        let ended = async {
            self.graceful.shutdown().await;
            self.tasks.close();
            self.tasks.wait().await;
        };
        tokio::select! {
            ended = tokio::time::timeout(drain.max, ended) => ended.is_ok(),
            () = drain.cut => false,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a pause of the socket's own, which no simulation drives")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // hyper counts the idle time before a request into this; slow heads are cut by `SlowHeads`.
        .header_read_timeout(limits.connection_idle_max)
        .max_headers(HEADERS_MAX)
        .max_buf_size(limits.header_bytes_max.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.connection_idle_max / 3)
        .keep_alive_timeout(limits.header_read_max);
    builder
}

/// How many requests a connection is working on, until the last byte of their answers.
#[derive(Debug, Clone, Default)]
struct Busy(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    now: AtomicUsize,
    ever: AtomicUsize,
}

/// One request in progress; lives in its extensions and then in its answer's body.
#[derive(Debug)]
pub(crate) struct InProgress(Busy);

impl Busy {
    fn enter(&self) -> Arc<InProgress> {
        self.0.now.fetch_add(1, Ordering::Relaxed);
        self.0.ever.fetch_add(1, Ordering::Relaxed);
        Arc::new(InProgress(self.clone()))
    }

    fn now(&self) -> bool {
        self.0.now.load(Ordering::Relaxed) > 0
    }

    fn ever(&self) -> usize {
        self.0.ever.load(Ordering::Relaxed)
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Makes an answer's body keep something until its last byte is gone.
pub(crate) fn hold<T: Send + Unpin + 'static>(held: T, body: Body) -> Body {
    Body::new(Held { body, _held: held })
}

/// A body that keeps something, and its length known.
struct Held<T> {
    body: Body,
    _held: T,
}

impl<T: Unpin> axum::body::HttpBody for Held<T> {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

/// A stream that fails when the head of an HTTP/1 request takes too long, counted from its first byte. Between
/// requests it waits as long as hyper does.
struct SlowHeads<S> {
    stream: S,
    busy: Busy,
    head_max: Duration,
    /// Runs out when the head that is being read takes too long; with the number of requests before it.
    timer: Option<(usize, Pin<Box<tokio::time::Sleep>>)>,
    protocol: Protocol,
}

#[derive(PartialEq, Eq)]
enum Protocol {
    Unknown,
    Http1,
    Http2,
}

impl<S> SlowHeads<S> {
    const fn new(stream: S, busy: Busy, head_max: Duration) -> Self {
        Self { stream, busy, head_max, timer: None, protocol: Protocol::Unknown }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a deadline of the socket's own, which no simulation drives"
    )]
    fn bytes_came(&mut self, bytes: &[u8]) {
        if self.protocol == Protocol::Unknown {
            self.protocol = if bytes.starts_with(b"PRI") { Protocol::Http2 } else { Protocol::Http1 };
        }
        self.forget_timer_of_a_complete_head();
        if self.protocol == Protocol::Http2 || self.busy.now() {
            self.timer = None;
        } else if self.timer.is_none() {
            self.timer = Some((self.busy.ever(), Box::pin(tokio::time::sleep(self.head_max))));
        }
    }

    fn forget_timer_of_a_complete_head(&mut self) {
        let ever = self.busy.ever();
        self.timer.take_if(|(before, _)| *before != ever);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SlowHeads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut self.stream).poll_read(cx, buf) {
            let bytes = buf.filled().get(before..).unwrap_or_default();
            if !bytes.is_empty() {
                self.bytes_came(bytes);
            }
            return Poll::Ready(result);
        }
        self.forget_timer_of_a_complete_head();
        let Some((_, timer)) = &mut self.timer else { return Poll::Pending };
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the head of a request took too long")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SlowHeads<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
