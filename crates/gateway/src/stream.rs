//! Answers that stream: a query runs on a thread that may block and feeds a bounded channel, which is the body.
//!
//! ```text
//! query thread: rows -> encoder -> ChunkWriter (gzip) -> channel of 4 chunks -> body -> client
//! ```
//! The client's going closes the channel and sets the cancel token. Until the first chunk leaves, an error is an
//! HTTP error; after it, the encoder ends the text in the format's own way.

use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::csv::CHUNK_BYTES;
use crate::error::{ApiError, Code};
use crate::gateway::Shared;
use crate::metrics::{Count, InGauge, add};
use crate::ports::{CancelToken, QueryError, SinkClosed};

/// Chunks that wait for a slow client.
const CHUNKS_WAITING: usize = 4;

/// Queries that run at once, and those that wait.
#[derive(Debug)]
pub(crate) struct QuerySlots {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl QuerySlots {
    pub(crate) fn new(running_max: usize, waiting_max: usize) -> Self {
        Self { running: Arc::new(Semaphore::new(running_max)), waiting: AtomicUsize::new(0), waiting_max }
    }

    async fn acquire(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        if let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() {
            return Ok(permit);
        }
        let _place = Place::take(&self.waiting, self.waiting_max).ok_or_else(|| {
            ApiError::new(
                Code::TooManyRequests,
                format!(
                    "queue length exceeded: {} queries wait already (query-concurrency)",
                    self.waiting_max
                ),
            )
        })?;
        Arc::clone(&self.running).acquire_owned().await.map_err(|closed| ApiError::internal(&closed))
    }
}

/// A place in a queue.
pub(crate) struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    pub(crate) fn take(queue: &'a AtomicUsize, max: usize) -> Option<Self> {
        queue
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < max).then_some(n + 1))
            .ok()
            .map(|_before| Self(queue))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

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
    bytes: Count,
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
        if self.sender.is_closed() { Err(SinkClosed) } else { Ok(()) }
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
            Packing::Plain => std::mem::take(&mut self.plain),
            Packing::Gzip(encoder) => std::mem::take(encoder.get_mut()),
        };
        self.send_chunk(chunk)
    }

    fn send_chunk(&mut self, chunk: Vec<u8>) -> Result<(), SinkClosed> {
        if chunk.is_empty() {
            return self.check();
        }
        add(&self.bytes, chunk.len());
        self.sender.blocking_send(Ok(chunk.into())).map_err(|_closed| SinkClosed)?;
        self.sent = true;
        Ok(())
    }

    fn end(mut self) {
        let last = match std::mem::replace(&mut self.packing, Packing::Plain) {
            Packing::Plain => std::mem::take(&mut self.plain),
            Packing::Gzip(encoder) => encoder.finish().unwrap_or_default(),
        };
        // A closed channel is a client that went away with the last bytes on their way: nobody is left to tell.
        let _gone = self.send_chunk(last);
    }

    /// Answers with an error instead of a body; only before the first chunk.
    fn fail(self, error: QueryError) {
        debug_assert!(!self.sent);
        // As in `end`.
        let _gone = self.sender.blocking_send(Err(error));
    }
}

/// The receiving end: the body of the response. Dropping it stops the query.
struct QueryBody {
    first: Option<Bytes>,
    chunks: mpsc::Receiver<Result<Bytes, QueryError>>,
    cancel: CancelToken,
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
        self.chunks.poll_recv(cx)
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
    gzip: bool,
    run: impl FnOnce(&mut Job) -> Result<(), QueryError> + Send + 'static,
) -> Result<Body, ApiError> {
    let duration_max = app.options.limits.query_duration_max;
    let deadline = tokio::time::Instant::now() + duration_max;
    let permit =
        tokio::time::timeout_at(deadline, app.query_slots.acquire()).await.map_err(|_elapsed| {
            ApiError::new(
                Code::TooManyRequests,
                "the query waited for its turn for too long (query-concurrency)",
            )
        })??;
    let (sender, chunks) = mpsc::channel(CHUNKS_WAITING);
    let packing =
        if gzip { Packing::Gzip(GzEncoder::new(Vec::new(), Compression::fast())) } else { Packing::Plain };
    let cancel = CancelToken::default();
    let mut body = QueryBody { first: None, chunks, cancel: cancel.clone() };
    let timed_out = Arc::new(AtomicBool::new(false));
    let mut job = Job {
        cancel: cancel.clone(),
        writer: ChunkWriter {
            sender,
            packing,
            plain: Vec::new(),
            sent: false,
            bytes: app.metrics.query_bytes.clone(),
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
    let running = InGauge::new(&app.metrics.queries_running);
    let panics = app.metrics.panics.clone();
    let span = tracing::debug_span!("query");
    app.tasks.spawn_blocking(move || {
        let _held = (permit, running, done.drop_guard());
        let result = span.in_scope(|| std::panic::catch_unwind(AssertUnwindSafe(|| run(&mut job))));
        let result = result.unwrap_or_else(|_panic| {
            panics.inc();
            Err(QueryError::Internal("the query panicked".into()))
        });
        match result {
            Ok(()) => job.writer.end(),
            Err(error) if job.writer.sent() => {
                // The text is broken off in the middle: the client must see a broken body, not a short one.
                tracing::error!(%error, "a query failed while its answer was being sent");
                let _gone = job.writer.sender.blocking_send(Err(error));
            }
            Err(error) => {
                let error = job.reason(error);
                job.writer.fail(error);
            }
        }
    });
    match body.chunks.recv().await {
        Some(Ok(chunk)) => body.first = Some(chunk),
        Some(Err(error)) => return Err(error.into()),
        None => {}
    }
    Ok(Body::from_stream(body))
}
