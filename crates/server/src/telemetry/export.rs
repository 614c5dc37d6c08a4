//! Spans to a collector: a bounded queue, and a task that empties it in batches by OTLP over gRPC.
//!
//! Where the collector is away a batch is kept and sent again, ever more slowly, while the queue fills; what finds no room
//! is dropped and counted. The log says once that it is away, again after minutes, and when it is back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span, status};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use trace::{Finished, Kind, Sink, Value};

use super::Counters;
use super::lines::About;
use crate::config::Config;

/// Spans that wait.
const WAITING_MAX: usize = 8192;
/// Spans of one message.
const BATCH_MAX: usize = 512;
/// How long a span waits for others to go with it.
const SEND_EVERY: Duration = Duration::from_secs(1);
/// How long one message may take, and the last ones when the process stops.
const SEND_WITHIN: Duration = Duration::from_secs(5);
/// Pauses while the collector is away.
const AGAIN_AFTER_MIN: Duration = Duration::from_secs(1);
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(30);
/// How often the log says that it is.
const TELL_EVERY: Duration = Duration::from_secs(300);

/// Flags of a span: whether its parent is remote is known, and it is.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Spans that wait to be sent.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<Finished>>,
    /// Told when a batch is full.
    is_full: Notify,
    counters: Arc<Counters>,
}

impl Queue {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self { waiting: Mutex::default(), is_full: Notify::new(), counters }
    }

    fn drop_spans(&self, count: usize) {
        self.counters.spans_dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn batch(&self) -> Vec<Finished> {
        let mut waiting = self.waiting.lock();
        let count = waiting.len().min(BATCH_MAX);
        waiting.drain(..count).collect()
    }
}

impl Sink for Queue {
    fn take(&self, spans: Vec<Finished>) {
        let mut waiting = self.waiting.lock();
        if waiting.len() + spans.len() > WAITING_MAX {
            drop(waiting);
            return self.drop_spans(spans.len());
        }
        waiting.extend(spans);
        if waiting.len() >= BATCH_MAX {
            self.is_full.notify_one();
        }
    }
}

/// The task that sends.
#[derive(Debug)]
pub(super) struct Exporter {
    queue: Arc<Queue>,
    stop: watch::Sender<bool>,
    task: JoinSet<()>,
}

impl Exporter {
    pub(super) fn start(
        endpoint: &str,
        config: &Config,
        queue: Arc<Queue>,
        about: Arc<About>,
    ) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(endpoint.to_owned())?;
        let channel = endpoint.connect_timeout(SEND_WITHIN).timeout(SEND_WITHIN).connect_lazy();
        let (stop, stopped) = watch::channel(false);
        let sender = Sender {
            client: TraceServiceClient::new(channel),
            service: config.otlp_service_name.clone(),
            about,
            queue: Arc::clone(&queue),
            stopped,
            away: None,
        };
        let mut task = JoinSet::new();
        task.spawn(sender.run());
        Ok(Self { queue, stop, task })
    }

    /// Sends what waits, as far as that goes in a few seconds.
    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        let ended = timeout(SEND_WITHIN, self.task.join_next()).await;
        let left = self.queue.waiting.lock().len();
        if left > 0 || ended.is_err() {
            self.queue.drop_spans(left);
            tracing::warn!(spans = left, "the last spans were not sent");
        }
    }
}

/// A collector that does not take what it is sent.
struct Away {
    since: Instant,
    /// When the log last said so.
    told: Option<Instant>,
}

struct Sender {
    client: TraceServiceClient<Channel>,
    service: String,
    about: Arc<About>,
    queue: Arc<Queue>,
    stopped: watch::Receiver<bool>,
    away: Option<Away>,
}

impl Sender {
    async fn run(mut self) {
        let mut every = interval(SEND_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                _ = every.tick() => false,
                () = self.queue.is_full.notified() => false,
                _ = self.stopped.wait_for(|stopped| *stopped) => true,
            };
            loop {
                let batch = self.queue.batch();
                if batch.is_empty() {
                    break;
                }
                self.send(batch).await;
            }
            if is_last {
                return;
            }
        }
    }

    /// Sends a batch, again and again as long as that may help.
    async fn send(&mut self, batch: Vec<Finished>) {
        let count = batch.len();
        let message = self.message(batch);
        let mut pause = AGAIN_AFTER_MIN;
        loop {
            match self.client.export(message.clone()).await {
                Ok(answer) => {
                    self.is_back();
                    let rejected = answer.into_inner().partial_success.map_or(0, |part| part.rejected_spans);
                    return self.queue.drop_spans(usize::try_from(rejected).unwrap_or(0));
                }
                Err(status) => {
                    self.is_away(&status);
                    let may_help = matches!(
                        status.code(),
                        Code::Unavailable
                            | Code::DeadlineExceeded
                            | Code::Cancelled
                            | Code::Aborted
                            | Code::ResourceExhausted
                            | Code::Unknown
                    );
                    if !may_help || *self.stopped.borrow() {
                        return self.queue.drop_spans(count);
                    }
                }
            }
            // Whoever stops wants one more try at once.
            if timeout(pause, self.stopped.wait_for(|stopped| *stopped)).await.is_err() {
                pause = (pause * 2).min(AGAIN_AFTER_MAX);
            }
        }
    }

    fn is_back(&mut self) {
        if let Some(away) = self.away.take() {
            tracing::info!(seconds = away.since.elapsed().as_secs(), "the collector takes traces again");
        }
    }

    fn is_away(&mut self, status: &tonic::Status) {
        let now = Instant::now();
        let away = self.away.get_or_insert(Away { since: now, told: None });
        if away.told.is_none_or(|told| now.duration_since(told) >= TELL_EVERY) {
            away.told = Some(now);
            let dropped = self.queue.counters.spans_dropped.load(Ordering::Relaxed);
            tracing::warn!(code = %status.code(), reason = status.message(), dropped, "the collector takes no traces");
        }
    }

    fn message(&self, spans: Vec<Finished>) -> ExportTraceServiceRequest {
        let mut attributes =
            vec![text("service.name", &self.service), text("service.version", env!("CARGO_PKG_VERSION"))];
        attributes.extend(self.about.node.get().map(|node| text("service.instance.id", node)));
        if !self.about.zone.is_empty() {
            attributes.push(text("cloud.availability_zone", &self.about.zone));
        }
        let scope = InstrumentationScope {
            name: "tidemark".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let spans = spans.into_iter().map(message).collect();
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource { attributes, ..Resource::default() }),
                scope_spans: vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }],
                schema_url: String::new(),
            }],
        }
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// OTLP's message of a span.
fn message(finished: Finished) -> Span {
    let unix = |time: model::Timestamp| u64::try_from(time.0).unwrap_or(0);
    let attributes = finished.attributes.into_iter().map(|(key, value)| {
        attribute(
            key,
            match value {
                Value::Text(text) => any_value::Value::StringValue(text.into_owned()),
                Value::Int(number) => any_value::Value::IntValue(number),
                Value::Bool(is) => any_value::Value::BoolValue(is),
            },
        )
    });
    let link = |link: &trace::Context| span::Link {
        trace_id: link.trace.get().to_be_bytes().to_vec(),
        span_id: link.span.get().to_be_bytes().to_vec(),
        flags: u32::from(link.is_sampled) | HAS_IS_REMOTE,
        ..span::Link::default()
    };
    let kind = match finished.kind {
        Kind::Internal => span::SpanKind::Internal,
        Kind::Server => span::SpanKind::Server,
        Kind::Client => span::SpanKind::Client,
    };
    let status = finished
        .failure
        .map(|reason| Status { message: reason.into_owned(), code: status::StatusCode::Error.into() });
    let remote = if finished.is_parent_remote { IS_REMOTE } else { 0 };
    Span {
        trace_id: finished.trace.get().to_be_bytes().to_vec(),
        span_id: finished.id.get().to_be_bytes().to_vec(),
        trace_state: finished.state.map(|state| state.to_string()).unwrap_or_default(),
        parent_span_id: finished.parent.map(|id| id.get().to_be_bytes().to_vec()).unwrap_or_default(),
        flags: u32::from(finished.is_sampled) | HAS_IS_REMOTE | remote,
        name: finished.name.into_owned(),
        kind: kind.into(),
        start_time_unix_nano: unix(finished.start),
        end_time_unix_nano: unix(finished.end),
        attributes: attributes.collect(),
        links: finished.links.iter().map(link).collect(),
        status,
        ..Span::default()
    }
}
