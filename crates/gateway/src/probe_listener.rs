//! A listener for probes and metrics alone, on a thread and an event loop of its own: whoever asks whether the server lives
//! is answered however many requests wait, and also when its event loop is stuck. Metrics are collected on other threads, for
//! that may wait.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use metrics::Gauge;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::error::{self, ApiError};
use crate::exposed::Exposed;
use crate::options::Limits;
use crate::probes;
use crate::router::name_version;
use crate::serve::{Drain, Listening};
use crate::vitals::{self, Vitals};

/// Probes and monitors are few; there is room for some that keep connections and send nothing.
const LIMITS: Limits = Limits {
    connections_max: 1024,
    header_bytes_max: 8 << 10,
    header_read_max: Duration::from_secs(2),
    connection_idle_max: Duration::from_secs(15),
    ..Limits::STANDARD
};
/// Threads that collect metrics at once.
const COLLECTORS_MAX: usize = 2;
/// How long answers in progress may take at the end.
const ANSWER_MAX: Duration = Duration::from_millis(200);

/// Answers probes as long as it lives.
#[derive(Debug)]
pub struct ProbeListener {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ProbeListener {
    /// Starts the thread.
    ///
    /// # Errors
    /// The listener is of no use, or there is no thread to be had.
    pub fn start(listener: TcpListener, vitals: Vitals, exposed: Exposed) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().max_blocking_threads(COLLECTORS_MAX).build()?;
        let (end, ended) = oneshot::channel();
        let serve = async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let listening =
                Listening::new(&LIMITS, router(&vitals, &exposed), TaskTracker::new(), Gauge::default());
            tokio::select! {
                _ = ended => {}
                never = listening.accept(&listener) => match never {},
            }
            listening.end(Drain::within(ANSWER_MAX)).await;
            Ok::<_, io::Error>(())
        };
        let run = move || {
            if let Err(error) = runtime.block_on(serve) {
                tracing::error!(%error, "probes are not answered");
            }
        };
        let thread = std::thread::Builder::new().name("probes".to_owned()).spawn(run)?;
        Ok(Self { address, end: Some(end), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ProbeListener {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that answers probes panicked");
        }
    }
}

fn router(vitals: &Vitals, exposed: &Exposed) -> Router {
    let metrics = async |State(exposed): State<Exposed>, headers: HeaderMap| {
        let collected = host::offload(move || exposed.answer(&headers)).await;
        collected.unwrap_or_else(|panicked| Err(ApiError::internal(&panicked)))
    };
    let health = async |State(vitals): State<Vitals>| probes::health_of(vitals.healthy(), &[]);
    let ready = async |State(vitals): State<Vitals>| vitals.answer_ready();
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/ping", get(async || error::empty(StatusCode::NO_CONTENT)))
        .with_state(vitals.clone())
        .merge(Router::new().route("/metrics", get(metrics)).with_state(exposed.clone()))
        .merge(vitals::all_routes(vitals))
        .fallback(async || ApiError::not_found("path not found"))
        .layer(axum::middleware::map_response(async |mut response: Response| {
            name_version(response.headers_mut());
            response
        }))
}
