//! Logs and traces: what the program says of itself while it runs.
//!
//! ```text
//! tracing events ─► filter (log-level, changed at run time) ─► repeats ─► text | JSON | logfmt ─► standard error
//! trace::Tracer ─► spans of sampled, failed and slow requests ─► bounded queue ─► OTLP (gRPC), when there is a collector
//! ```
//! Nothing here holds a request up: a queue that is full drops spans and counts them. The exporter is not traced, so that
//! it cannot feed itself.

mod export;
mod lines;
mod repeats;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use gateway::ports::LogPort;
use model::{Clock, SystemClock};
use parking_lot::Mutex;
use trace::{Sink, Tracer};
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::{Config, LogFormat};
use export::{Exporter, Queue};
use lines::{About, Lines};
use repeats::Repeats;

/// How often the log tells of lines that it has left out and that have come no more.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Why telemetry could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log filter cannot be parsed; the configuration checks it, so only a hand-made one gets here.
    #[error("log-level cannot be parsed")]
    Filter,
    /// The way to the collector cannot be built.
    #[error("traces cannot be sent to otlp-endpoint")]
    Exporter(#[source] tonic::transport::Error),
    /// There is an endpoint, but no runtime for the connection to it.
    #[error("the exporter of traces needs a tokio runtime")]
    NoRuntime,
    /// The process has a subscriber already.
    #[error("logging was started before")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// What telemetry counts. Monotonic.
#[derive(Debug, Default)]
pub struct Counters {
    /// Spans that did not get to the collector.
    pub spans_dropped: AtomicU64,
    /// Lines of level error, those that were left out as repeated too.
    pub lines_error: AtomicU64,
    /// Lines of level warn, likewise.
    pub lines_warn: AtomicU64,
    /// Queries that took longer than slow-query-threshold.
    pub queries_slow: AtomicU64,
    /// Runs of continuous queries that ended well.
    pub continuous_ok: AtomicU64,
    /// Those that failed.
    pub continuous_failed: AtomicU64,
    /// Rows that queries were given of what is stored.
    pub rows_scanned: AtomicU64,
    /// Bytes that were read from files for them.
    pub bytes_scanned: AtomicU64,
}

/// Telemetry as the parts of a node use it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Handle {
    /// Makes traces.
    pub tracer: Tracer,
    /// What is counted.
    pub counters: Arc<Counters>,
    about: Arc<About>,
    level: Option<Arc<Level>>,
}

impl Handle {
    /// Of a node that nobody watches.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Names the node in logs and traces, once it is known.
    pub fn name_node(&self, node: &str) {
        self.about.node.get_or_init(|| node.to_owned());
        self.tracer.name_node(node);
    }
}

/// Directives that decide what is logged, and the way to change them.
struct Level {
    directives: Mutex<String>,
    filter: reload::Handle<EnvFilter, Registry>,
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Level").field(&self.directives.lock()).finish()
    }
}

impl LogPort for Handle {
    fn level(&self) -> String {
        self.level.as_ref().map(|level| level.directives.lock().clone()).unwrap_or_default()
    }

    fn set_level(&self, directives: &str) -> Result<(), String> {
        let wrong = || {
            "expected error, warn, info, debug, trace, or directives such as info,cluster=debug".to_owned()
        };
        let filter = filter(directives).ok_or_else(wrong)?;
        let level = self.level.as_ref().ok_or("this process has no log of its own")?;
        level.filter.reload(filter).map_err(|error| error.to_string())?;
        let before = std::mem::replace(&mut *level.directives.lock(), directives.to_owned());
        tracing::warn!(before, now = directives, "the log level was changed");
        Ok(())
    }
}

/// Telemetry that runs; [`Telemetry::shutdown`] sends what is left.
#[derive(Debug)]
#[must_use = "spans of the last seconds are sent by shutdown"]
pub struct Telemetry {
    handle: Handle,
    exporter: Option<Exporter>,
    tells: Option<tokio::task::JoinSet<()>>,
}

/// Starts logs and traces for the whole process. With an endpoint it must be called inside a tokio runtime.
///
/// # Errors
/// See [`TelemetryError`]; nothing was started.
pub fn init(config: &Config) -> Result<Telemetry, TelemetryError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (counters, about) = (Arc::<Counters>::default(), Arc::new(About::new(&config.zone)));
    let runtime = tokio::runtime::Handle::try_current();
    let mut exporter = None;
    let mut sink: Option<Arc<dyn Sink>> = None;
    if let Some(endpoint) = &config.otlp_endpoint {
        if runtime.is_err() {
            return Err(TelemetryError::NoRuntime);
        }
        let queue = Arc::new(Queue::new(Arc::clone(&counters)));
        let started = Exporter::start(endpoint, config, Arc::clone(&queue), Arc::clone(&about));
        exporter = Some(started.map_err(TelemetryError::Exporter)?);
        sink = Some(queue);
    }
    let tracer = Tracer::new(trace::Options {
        ratio: config.otlp_sampling_ratio,
        slow: config.slow_query_threshold,
        sink,
        clock: Arc::clone(&clock),
    });
    let repeats = Repeats::new(clock, Arc::clone(&counters));
    let colours = std::io::stderr().is_terminal();
    let (subscriber, level) = subscriber(config, &about, repeats.clone(), std::io::stderr, colours)?;
    tracing::subscriber::set_global_default(subscriber)?;
    let tells = runtime.ok().map(|_runtime| {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let mut every = tokio::time::interval(TELL_EVERY);
            loop {
                every.tick().await;
                repeats.tell();
            }
        });
        tasks
    });
    let handle = Handle { tracer, counters, about, level: Some(Arc::new(level)) };
    Ok(Telemetry { handle, exporter, tells })
}

impl Telemetry {
    /// For the parts of the node.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Sends the spans that are still waiting, for at most a few seconds.
    pub async fn shutdown(self) {
        drop(self.tells);
        if let Some(exporter) = self.exporter {
            exporter.stop().await;
        }
    }
}

/// Libraries that tell of every frame at `debug`: it is not they that an operator asks for.
const CHATTY: [&str; 7] = ["h2", "hyper", "hyper_util", "tower", "tonic", "rustls", "rocksdb"];

/// What is logged; `None` when that is not understood. The Raft library tells of every step of every election, and warns of
/// what is normal in each (a message of the vote before); the operator's own directives come last and win. A word alone is a
/// level: as the name of a target, as which it would be taken, it would silence everything else.
pub(crate) fn filter(directives: &str) -> Option<EnvFilter> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let level = |word: &str| LEVELS.into_iter().find(|level| level.eq_ignore_ascii_case(word));
    let mut own = String::from("openraft=error");
    for directive in directives.split(',').map(str::trim) {
        let is_plain = !directive.contains(['=', '[']);
        match level(directive) {
            Some(level @ ("debug" | "trace")) => {
                CHATTY.iter().for_each(|library| own.push_str(&format!(",{library}=info")));
                own.push_str(&format!(",{level}"));
            }
            Some(level) => own.push_str(&format!(",{level}")),
            None if is_plain => return None,
            None => own.push_str(&format!(",{directive}")),
        }
    }
    EnvFilter::try_new(own).ok()
}

fn subscriber<W>(
    config: &Config,
    about: &Arc<About>,
    repeats: Repeats,
    writer: W,
    colours: bool,
) -> Result<(impl Subscriber + Send + Sync + use<W>, Level), TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter(&config.log_level).ok_or(TelemetryError::Filter)?);
    let level = Level { directives: Mutex::new(config.log_level.clone()), filter: handle };
    let filter = filter.and(repeats);
    // A line that cannot be written is lost: to complain of it on the same standard error would be a panic.
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).log_internal_errors(false);
    let lines = Lines::new(config.log_format, Arc::clone(about), colours);
    let logs: Box<dyn Layer<Registry> + Send + Sync> = match config.log_format {
        LogFormat::Text => layer.with_ansi(colours).event_format(lines).with_filter(filter).boxed(),
        LogFormat::Logfmt => layer.with_ansi(false).event_format(lines).with_filter(filter).boxed(),
        LogFormat::Json => {
            let layer = layer.with_ansi(false).fmt_fields(JsonFields::new());
            layer.event_format(lines).with_filter(filter).boxed()
        }
    };
    Ok((tracing_subscriber::registry().with(logs), level))
}
