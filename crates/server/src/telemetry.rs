//! Logs and traces: what the program says of itself while it runs.
//!
//! Logs go to standard error, as text or JSON, filtered by `log-level`. When a collector is configured, spans of
//! level info and above go there by OTLP, whatever the log's level; the exporter's own spans never do, so it
//! cannot feed itself. A request that carries `traceparent` continues its caller's trace and follows the caller's
//! decision whether it is sampled; of others, `otlp-sampling-ratio` are.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, TracerProviderBuilder};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{Config, LogFormat};

#[cfg(test)]
mod tests;

/// How long one batch of spans may take to send, and the last ones at shutdown.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Libraries beneath the exporter: their spans would be exported by sending them.
const EXPORTERS_OWN: [&str; 6] = ["h2", "hyper", "hyper_util", "tonic", "tower", "opentelemetry"];

/// The Raft library's spans belong to no request.
const OF_NO_REQUEST: &str = "openraft";

/// Why telemetry could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log filter cannot be parsed; the configuration checks it, so only a hand-made one gets here.
    #[error("log-level cannot be parsed")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The exporter of traces cannot be built.
    #[error("traces cannot be sent to otlp-endpoint")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// There is an endpoint, but no runtime for the connection to it.
    #[error("the exporter of traces needs a tokio runtime")]
    NoRuntime,
    /// The process has a subscriber already.
    #[error("logging was started before")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Telemetry that runs; [`Telemetry::shutdown`] sends what is left.
#[derive(Debug)]
#[must_use = "spans of the last seconds are sent by shutdown"]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Starts logs and traces for the whole process. With an endpoint it must be called inside a tokio runtime.
///
/// # Errors
/// See [`TelemetryError`]; nothing was started.
pub fn init(config: &Config) -> Result<Telemetry, TelemetryError> {
    let provider = match &config.otlp_endpoint {
        None => None,
        Some(endpoint) => {
            if tokio::runtime::Handle::try_current().is_err() {
                return Err(TelemetryError::NoRuntime);
            }
            let builder = SpanExporter::builder().with_tonic().with_endpoint(endpoint);
            let exporter = builder.with_timeout(EXPORT_TIMEOUT).build()?;
            Some(provider(config).with_batch_exporter(exporter).build())
        }
    };
    let colours = std::io::stderr().is_terminal();
    let subscriber = subscriber(config, provider.as_ref(), std::io::stderr, colours)?;
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(Telemetry { provider })
}

impl Telemetry {
    /// Sends the spans that are still waiting, for at most a few seconds. Blocks: call it on a thread that may,
    /// while the runtime of [`init`] still runs.
    pub fn shutdown(self) {
        if let Some(provider) = self.provider
            && let Err(error) = provider.shutdown_with_timeout(EXPORT_TIMEOUT)
        {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// What traces are made of, without where they go.
fn provider(config: &Config) -> TracerProviderBuilder {
    let resource = Resource::builder()
        .with_service_name(config.otlp_service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let own = Sampler::TraceIdRatioBased(config.otlp_sampling_ratio);
    SdkTracerProvider::builder().with_resource(resource).with_sampler(Sampler::ParentBased(Box::new(own)))
}

fn subscriber<W>(
    config: &Config,
    provider: Option<&SdkTracerProvider>,
    writer: W,
    colours: bool,
) -> Result<impl Subscriber + Send + Sync + use<W>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // The Raft library tells of every step of every election, and warns of what is normal in each (a message of the
    // vote before); the operator's own directives come last and win.
    let filter = EnvFilter::try_new(format!("openraft=error,{}", config.log_level))?;
    // A line that cannot be written is lost: to complain of it on the same standard error would be a panic.
    let lines =
        tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours).log_internal_errors(false);
    let logs: Box<dyn Layer<Registry> + Send + Sync> = match config.log_format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    };
    Ok(tracing_subscriber::registry().with(logs).with(provider.map(traces)))
}

fn traces<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    let exported = Targets::new()
        .with_default(LevelFilter::INFO)
        // The steps of a request: parse, store, query.
        .with_target("gateway", LevelFilter::DEBUG)
        .with_target(OF_NO_REQUEST, LevelFilter::OFF)
        .with_targets(EXPORTERS_OWN.map(|target| (target, LevelFilter::OFF)));
    tracing_opentelemetry::layer().with_tracer(provider.tracer("tidemark")).with_filter(exported)
}

/// The trace and span that a W3C `traceparent` header names; `None` when it is not one.
pub fn parent_from_traceparent(header: &str) -> Option<opentelemetry::Context> {
    let carrier = HashMap::from([("traceparent".to_owned(), header.to_owned())]);
    let empty = opentelemetry::Context::new();
    let parent = TraceContextPropagator::new().extract_with_context(&empty, &carrier);
    parent.span().span_context().is_valid().then_some(parent)
}

/// Makes a span the child of what a `traceparent` header names. Must come before the span is entered. Answers
/// whether it did: not when the header is malformed, or when the span is not traced.
pub fn adopt_traceparent(span: &Span, header: &str) -> bool {
    parent_from_traceparent(header).is_some_and(|parent| span.set_parent(parent).is_ok())
}
