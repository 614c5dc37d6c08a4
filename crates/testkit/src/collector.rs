//! A collector of traces: an OTLP receiver (gRPC) on loopback that keeps the spans it is sent.

use std::sync::{Arc, Mutex};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tonic::{Request, Response, Status};

use crate::cluster::free_addresses;
use crate::wait::wait_for;

/// A span as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The node that sent it: `service.instance.id` of the resource.
    pub node: String,
    /// Trace, in hexadecimal digits.
    pub trace: String,
    /// Its id, likewise.
    pub id: String,
    /// Its parent's; empty for none.
    pub parent: String,
    /// What was done.
    pub name: String,
    /// OTLP's number: 1 internal, 2 server, 3 client.
    pub kind: i32,
    /// Keys and values as texts.
    pub attributes: Vec<(String, String)>,
    /// Trace and span of each link.
    pub links: Vec<(String, String)>,
    /// Whether its status is an error.
    pub is_error: bool,
    /// `tracestate`.
    pub state: String,
}

impl Span {
    /// The value of an attribute.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// A collector that listens until it is dropped.
#[derive(Debug)]
pub struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Span>>>,
    _runtime: Runtime,
}

#[derive(Clone)]
struct Receiver(Arc<Mutex<Vec<Span>>>);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(is)) => is.to_string(),
        other => format!("{other:?}"),
    }
}

fn pairs(attributes: Vec<KeyValue>) -> Vec<(String, String)> {
    attributes.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for sent in request.into_inner().resource_spans {
            let about = pairs(sent.resource.unwrap_or_default().attributes);
            let node = about.into_iter().find(|(key, _)| key == "service.instance.id");
            let node = node.map(|(_, node)| node).unwrap_or_default();
            let spans = sent.scope_spans.into_iter().flat_map(|scope| scope.spans);
            let spans = spans.map(|span| Span {
                node: node.clone(),
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                name: span.name,
                kind: span.kind,
                attributes: pairs(span.attributes),
                links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
                is_error: span.status.is_some_and(|status| status.code == 2),
                state: span.trace_state,
            });
            self.0.lock().expect("no holder panics").extend(spans);
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Starts one at an address that nobody listens at.
    pub fn start() -> Self {
        let address = free_addresses(1).remove(0);
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let service = TraceServiceServer::new(Receiver(Arc::clone(&spans)));
        let listener = runtime.block_on(TcpListener::bind(&address)).expect("a free address");
        // It ends with the runtime.
        drop(runtime.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(service.clone());
                connections.spawn(async move {
                    // A node that is killed breaks its connection off.
                    let served = http2::Builder::new(TokioExecutor::new());
                    drop(served.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        }));
        Self { url: format!("http://{address}"), spans, _runtime: runtime }
    }

    /// Where spans are to be sent.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The spans that have come.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().expect("no holder panics").clone()
    }

    /// Waits until what has come is enough for an answer.
    pub fn wait<T>(&self, what: &str, mut find: impl FnMut(&[Span]) -> Option<T>) -> T {
        wait_for(what, || {
            let spans = self.spans();
            find(&spans).ok_or_else(|| {
                spans
                    .iter()
                    .map(|s| format!("{} {} {} {}", s.node, s.trace, s.name, s.id))
                    .collect::<Vec<_>>()
            })
        })
    }
}
