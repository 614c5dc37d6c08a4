//! Answers that stream: a query runs on a thread that may block and feeds a bounded channel, which is the body.
//!
//! ```text
//! query thread: rows -> encoder -> ChunkWriter (gzip) -> channel of 4 chunks -> body -> client
//! ```
//! A client that does not read keeps the query waiting, outside of its turn, and at last ends it. The client's going
//! closes the channel and sets the cancel token. Until the first chunk leaves, an error is an
//! HTTP error; after it, the encoder ends the text in the format's own way.

use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, header};
use metrics::Counter;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use crate::csv::CHUNK_BYTES;
use crate::error::{ApiError, Code};
use crate::gateway::Shared;
use crate::metrics::Language;
use crate::ports::{CancelToken, QueryError, SinkClosed};
use crate::slots::Turn;
use crate::traces;

/// Chunks that wait for a slow client.
const CHUNKS_WAITING: usize = 4;

/// Whether the client takes gzip.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|item| {
            let (name, weight) = item.split_once(';').unwrap_or((item, ""));
            let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32));
            matches!(name.trim(), "gzip" | "x-gzip" | "*") && !refused
        })
}

enum Packing {
    Plain,
    Gzip(GzEncoder<Vec<u8>>),
}

/// The sending end of a body.
pub(crate) struct ChunkWriter {
    sender: mpsc::Sender<Result<Bytes, QueryError>>,
    packing: Packing,
    plain: Vec<u8>,
    sent: bool,
    bytes: Counter,
    turn: Turn,
    /// Longest that the client may take no chunk.
    stall_max: Duration,
    /// Set when it did: what was sent is then not the whole answer.
    stalled: Arc<AtomicBool>,
}

impl ChunkWriter {
    /// Whether a chunk has left, so that an error can no longer be an HTTP error.
    pub(crate) fn sent(&self) -> bool {
        self.sent
    }

    /// Takes the bytes out of `text` and sends full chunks.
    pub(crate) fn write(&mut self, text: &mut Vec<u8>) -> Result<(), SinkClosed> {
        self.pack(text)?;
        if self.pending() >= CHUNK_BYTES { self.send() } else { self.check() }
    }

    /// Takes the bytes out of `text` and sends all there is, so that the client sees it now.
    pub(crate) fn write_through(&mut self, text: &mut Vec<u8>) -> Result<(), SinkClosed> {
        self.pack(text)?;
        if let Packing::Gzip(encoder) = &mut self.packing {
            encoder.flush().map_err(|_io| SinkClosed)?;
        }
        self.send()
    }

    fn check(&self) -> Result<(), SinkClosed> {
        let closed = self.sender.is_closed() || self.stalled.load(Ordering::Relaxed);
        if closed { Err(SinkClosed) } else { Ok(()) }
    }

    fn pending(&self) -> usize {
        match &self.packing {
            Packing::Plain => self.plain.len(),
            Packing::Gzip(encoder) => encoder.get_ref().len(),
        }
    }

    fn pack(&mut self, text: &mut Vec<u8>) -> Result<(), SinkClosed> {
        match &mut self.packing {
            Packing::Plain if self.plain.is_empty() => std::mem::swap(&mut self.plain, text),
            Packing::Plain => self.plain.append(text),
            Packing::Gzip(encoder) => {
                encoder.write_all(text).map_err(|_io| SinkClosed)?;
                text.clear();
            }
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), SinkClosed> {
        let chunk = match &mut self.packing {
            // After a full chunk a full one is likely.
            Packing::Plain if self.plain.len() >= CHUNK_BYTES => {
                std::mem::replace(&mut self.plain, Vec::with_capacity(CHUNK_BYTES * 9 / 8))
            }
            Packing::Plain => std::mem::take(&mut self.plain),
            Packing::Gzip(encoder) => std::mem::take(encoder.get_mut()),
        };
        self.send_chunk(chunk)
    }

    fn send_chunk(&mut self, chunk: Vec<u8>) -> Result<(), SinkClosed> {
        if chunk.is_empty() {
            return self.check();
        }
        self.check()?;
        self.bytes.add(chunk.len());
        match self.sender.try_send(Ok(chunk.into())) {
            Ok(()) => {}
            Err(TrySendError::Closed(_chunk)) => return Err(SinkClosed),
            Err(TrySendError::Full(chunk)) => self.wait_for_client(chunk)?,
        }
        self.sent = true;
        Ok(())
    }

    fn wait_for_client(&mut self, chunk: Result<Bytes, QueryError>) -> Result<(), SinkClosed> {
        let Self { sender, turn, stall_max, stalled, .. } = self;
        turn.step_aside(async {
            match tokio::time::timeout(*stall_max, sender.send(chunk)).await {
                Ok(sent) => sent.map_err(|_closed| SinkClosed),
                Err(_elapsed) => {
                    tracing::info!(?stall_max, "a client does not read its answer: the query ends");
                    stalled.store(true, Ordering::Relaxed);
                    Err(SinkClosed)
                }
            }
        })
    }

    fn end(mut self) {
        let last = match std::mem::replace(&mut self.packing, Packing::Plain) {
            Packing::Plain => std::mem::take(&mut self.plain),
            Packing::Gzip(encoder) => encoder.finish().unwrap_or_default(),
        };
        // A client that went away with the last bytes on their way: nobody is left to tell.
        let _gone = self.send_chunk(last);
    }

    /// Answers with an error instead of a body; only before the first chunk.
    fn fail(self, error: QueryError) {
        debug_assert!(!self.sent);
        // As in `end`.
        let _gone = host::wait(&Handle::current(), self.sender.send(Err(error)));
    }
}

/// The receiving end: the body of the response. Dropping it stops the query.
struct QueryBody {
    first: Option<Bytes>,
    chunks: mpsc::Receiver<Result<Bytes, QueryError>>,
    cancel: CancelToken,
    stalled: Arc<AtomicBool>,
}

impl Drop for QueryBody {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl futures::Stream for QueryBody {
    type Item = Result<Bytes, QueryError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        match self.chunks.poll_recv(cx) {
            // The end of what was sent is not the end of the answer: the client must see that.
            Poll::Ready(None) if self.stalled.swap(false, Ordering::Relaxed) => {
                Poll::Ready(Some(Err(QueryError::Cancelled)))
            }
            other => other,
        }
    }
}

/// Why a query ended early, told to its encoder.
pub(crate) fn limit_or(error: QueryError, timed_out: &AtomicBool, max: Duration) -> QueryError {
    match error {
        QueryError::Cancelled if timed_out.load(Ordering::Relaxed) => {
            QueryError::LimitReached(format!("the query ran longer than {max:?} (query-timeout)"))
        }
        other => other,
    }
}

/// What a query's job needs besides its request.
pub(crate) struct Job {
    /// Set when the client has gone or the time is over.
    pub(crate) cancel: CancelToken,
    /// The way to the client.
    pub(crate) writer: ChunkWriter,
    timed_out: Arc<AtomicBool>,
    duration_max: Duration,
}

impl Job {
    /// Puts the reason in the place of "cancelled" when it was the clock that cancelled.
    pub(crate) fn reason(&self, error: QueryError) -> QueryError {
        limit_or(error, &self.timed_out, self.duration_max)
    }
}

/// Runs a query on a thread that may block; returns when the first chunk is there.
///
/// `run` writes to the job's writer. Its error becomes the HTTP error if nothing was sent; else it must have
/// written the error into the text itself and return `Ok`.
pub(crate) async fn run(
    app: &Shared,
    language: Language,
    gzip: bool,
    run: impl FnOnce(&mut Job) -> Result<(), QueryError> + Send + 'static,
) -> Result<Body, ApiError> {
    let duration_max = app.options.limits.query_duration_max;
    let deadline = tokio::time::Instant::now() + duration_max;
    let turn = app.query_slots.acquire(&app.metrics.queries_refused);
    let turn = tokio::time::timeout_at(deadline, turn).await.map_err(|_elapsed| {
        ApiError::new(Code::TooManyRequests, "the query waited for its turn for too long (query-concurrency)")
    })??;
    // Also while it waits for its client: what it holds is held.
    let running = app.metrics.queries_running.enter();
    let (sender, chunks) = mpsc::channel(CHUNKS_WAITING);
    let packing =
        if gzip { Packing::Gzip(GzEncoder::new(Vec::new(), Compression::fast())) } else { Packing::Plain };
    let cancel = CancelToken::default();
    let stalled = Arc::new(AtomicBool::new(false));
    let mut body = QueryBody { first: None, chunks, cancel: cancel.clone(), stalled: Arc::clone(&stalled) };
    let timed_out = Arc::new(AtomicBool::new(false));
    let mut job = Job {
        cancel: cancel.clone(),
        writer: ChunkWriter {
            sender,
            packing,
            plain: Vec::new(),
            sent: false,
            bytes: app.metrics.query_bytes.clone(),
            turn,
            stall_max: app.options.limits.body_idle_max,
            stalled,
        },
        timed_out: Arc::clone(&timed_out),
        duration_max,
    };
    let done = CancellationToken::new();
    app.tasks.spawn({
        let done = done.clone();
        async move {
            if tokio::time::timeout_at(deadline, done.cancelled()).await.is_err() {
                timed_out.store(true, Ordering::Relaxed);
                cancel.cancel();
            }
        }
    });
    let (metrics, clock) = (Arc::clone(&app.metrics), Arc::clone(&app.ports.clock));
    let began = clock.monotonic();
    let mut span = trace::span("query");
    let log_span = tracing::Span::current();
    app.tasks.spawn(host::offload(move || {
        let _held = (done.drop_guard(), running);
        let entered = span.here().map(trace::Here::enter);
        let result = log_span.in_scope(|| std::panic::catch_unwind(AssertUnwindSafe(|| run(&mut job))));
        drop(entered);
        let result = result.unwrap_or_else(|_panic| {
            metrics.panics.inc();
            Err(QueryError::Internal("the query panicked".into()))
        });
        let queries = metrics.queries(language);
        if result.is_err() {
            queries.errors.inc();
        }
        span.note(&result);
        if job.writer.sent() && matches!(result, Err(QueryError::Internal(_) | QueryError::Unavailable(_))) {
            span.fail_request();
        }
        let context = span.context();
        drop(span);
        match result {
            Ok(()) => job.writer.end(),
            Err(_stopped) if job.writer.check().is_err() => {}
            Err(error) if job.writer.sent() => {
                // The text is broken off in the middle: the client must see a broken body, not a short one.
                tracing::error!(%error, "a query failed while its answer was being sent");
                let _gone = host::wait(&Handle::current(), job.writer.sender.send(Err(error)));
            }
            Err(error) => {
                let error = job.reason(error);
                job.writer.fail(error);
            }
        }
        let took = clock.monotonic().saturating_sub(began);
        queries.durations.observe_traced(took, traces::exemplar(context, &*clock));
    }));
    match body.chunks.recv().await {
        Some(Ok(chunk)) => body.first = Some(chunk),
        Some(Err(error)) => return Err(error.into()),
        None => {}
    }
    Ok(Body::from_stream(body))
}
