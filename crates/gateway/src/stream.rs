//! Answers that stream: a query runs on a thread that may block and feeds a bounded channel.
//!
//! ```text
//! query thread: rows -> writer -> outlet -> channel of 4 pieces -> body -> client
//! ```
//! A client that does not read keeps the query waiting, outside of its turn, and at last ends it. The client's going
//! closes the channel and sets the cancel token. Until the first piece leaves, an error is an error of the whole
//! request; after it, the writer ends the answer in the format's own way.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use crate::error::{ApiError, Code};
use crate::gateway::Shared;
use crate::metrics::Language;
use crate::ports::{CancelToken, QueryError, SinkClosed};
use crate::slots::Turn;
use crate::traces;

/// Pieces that wait for a slow client.
const PIECES_WAITING: usize = 4;

/// The sending end of an answer.
pub(crate) struct Outlet<T> {
    sender: mpsc::Sender<Result<T, QueryError>>,
    sent: bool,
    /// When the query is to end, nothing more of its rows is sent.
    cancel: CancelToken,
    /// What is sent from now on is how the answer ends.
    is_ending: bool,
    turn: Turn,
    /// Longest that the client may take no piece.
    stall_max: Duration,
    /// Set when it did: what was sent is then not the whole answer.
    stalled: Arc<AtomicBool>,
}

impl<T> Outlet<T> {
    /// Whether a piece has left.
    pub(crate) const fn sent(&self) -> bool {
        self.sent
    }

    /// Whether anybody still takes pieces, and the query goes on.
    pub(crate) fn check(&self) -> Result<(), SinkClosed> {
        let is_over = self.is_closed() || (!self.is_ending && self.cancel.is_cancelled());
        if is_over { Err(SinkClosed) } else { Ok(()) }
    }

    fn is_closed(&self) -> bool {
        self.sender.is_closed() || self.stalled.load(Ordering::Relaxed)
    }

    /// All rows are there that will be: what ends the answer is sent though the query was told to end.
    pub(crate) const fn begin_end(&mut self) {
        self.is_ending = true;
    }

    /// Sends a piece; waits for a client that is slow.
    pub(crate) fn send(&mut self, piece: T) -> Result<(), SinkClosed> {
        self.check()?;
        match self.sender.try_send(Ok(piece)) {
            Ok(()) => {}
            Err(TrySendError::Closed(_piece)) => return Err(SinkClosed),
            Err(TrySendError::Full(piece)) => self.wait_for_client(piece)?,
        }
        self.sent = true;
        Ok(())
    }

    fn wait_for_client(&mut self, piece: Result<T, QueryError>) -> Result<(), SinkClosed> {
        let Self { sender, turn, stall_max, stalled, .. } = self;
        turn.step_aside(async {
            match tokio::time::timeout(*stall_max, sender.send(piece)).await {
                Ok(sent) => sent.map_err(|_closed| SinkClosed),
                Err(_elapsed) => {
                    tracing::info!(?stall_max, "a client does not read its answer: the query ends");
                    stalled.store(true, Ordering::Relaxed);
                    Err(SinkClosed)
                }
            }
        })
    }

    /// Says why there is no answer, or no more of it.
    fn fail(&self, error: QueryError) {
        // A client that went away: nobody is left to tell.
        let _gone = host::wait(&Handle::current(), self.sender.send(Err(error)));
    }
}

/// What a query writes its answer with.
pub(crate) trait Writer {
    /// What is sent.
    type Item;
    /// The way to the client.
    fn outlet(&mut self) -> &mut Outlet<Self::Item>;
    /// Sends what is left of a whole answer.
    fn end(self);
}

/// The receiving end of an answer. Dropping it stops the query.
pub(crate) struct Answer<T> {
    first: Option<T>,
    pieces: mpsc::Receiver<Result<T, QueryError>>,
    cancel: CancelToken,
    stalled: Arc<AtomicBool>,
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl<T: Unpin> futures::Stream for Answer<T> {
    type Item = Result<T, QueryError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        match self.pieces.poll_recv(cx) {
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
pub(crate) struct Job<W> {
    /// Set when the client has gone or the time is over.
    pub(crate) cancel: CancelToken,
    /// The way to the client.
    pub(crate) writer: W,
    timed_out: Arc<AtomicBool>,
    duration_max: Duration,
}

impl<W> Job<W> {
    /// Puts the reason in the place of "cancelled" when it was the clock that cancelled.
    pub(crate) fn reason(&self, error: QueryError) -> QueryError {
        limit_or(error, &self.timed_out, self.duration_max)
    }
}

/// Runs a query on a thread that may block; returns when the first piece is there.
///
/// `run` writes to the job's writer. Its error becomes the error of the request if nothing was sent; else it must have
/// written the error into the answer itself and return `Ok`.
pub(crate) async fn run<W>(
    app: &Shared,
    language: Language,
    writer: impl FnOnce(Outlet<W::Item>) -> W,
    run: impl FnOnce(&mut Job<W>) -> Result<(), QueryError> + Send + 'static,
) -> Result<Answer<W::Item>, ApiError>
where
    W: Writer + Send + 'static,
    W::Item: Send,
{
    let duration_max = app.options.limits.query_duration_max;
    let deadline = tokio::time::Instant::now() + duration_max;
    let turn = app.query_slots.acquire(&app.metrics.queries_refused);
    let turn = tokio::time::timeout_at(deadline, turn).await.map_err(|_elapsed| {
        ApiError::new(Code::TooManyRequests, "the query waited for its turn for too long (query-concurrency)")
    })??;
    // Also while it waits for its client: what it holds is held.
    let running = app.metrics.queries_running.enter();
    let (sender, pieces) = mpsc::channel(PIECES_WAITING);
    let cancel = CancelToken::default();
    let stalled = Arc::new(AtomicBool::new(false));
    let mut answer = Answer { first: None, pieces, cancel: cancel.clone(), stalled: Arc::clone(&stalled) };
    let timed_out = Arc::new(AtomicBool::new(false));
    let stall_max = app.options.limits.body_idle_max;
    let mut job = Job {
        cancel: cancel.clone(),
        writer: writer(Outlet {
            sender,
            sent: false,
            cancel: cancel.clone(),
            is_ending: false,
            turn,
            stall_max,
            stalled,
        }),
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
        let outlet = job.writer.outlet();
        if outlet.sent() && matches!(result, Err(QueryError::Internal(_) | QueryError::Unavailable(_))) {
            span.fail_request();
        }
        let context = span.context();
        drop(span);
        match result {
            Ok(()) => {
                outlet.begin_end();
                job.writer.end();
            }
            Err(_stopped) if outlet.is_closed() => {}
            Err(error) if outlet.sent() => {
                // The answer is broken off in the middle: the client must see a broken one, not a short one.
                tracing::error!(%error, "a query failed while its answer was being sent");
                outlet.fail(error);
            }
            Err(error) => {
                let error = job.reason(error);
                job.writer.outlet().fail(error);
            }
        }
        let took = clock.monotonic().saturating_sub(began);
        queries.durations.observe_traced(took, traces::exemplar(context, &*clock));
    }));
    match answer.pieces.recv().await {
        Some(Ok(piece)) => answer.first = Some(piece),
        Some(Err(error)) => return Err(error.into()),
        None => {}
    }
    Ok(answer)
}
