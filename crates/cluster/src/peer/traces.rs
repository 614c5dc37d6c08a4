//! Spans across nodes: the span that asks goes along with a call, as W3C has it, and what the other node does is part of it.

use tonic::Request;
use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
use trace::{Caller, Kind, Span, Tracer};

/// The service, as conventions want it named.
const SERVICE: &str = "tidemark.peer.v1.Peer";

/// The span of a call to another node, part of what is current.
pub(crate) fn asks(name: &'static str, method: &'static str, node: u128) -> Span {
    let mut span = trace::span(name).asks();
    if span.is_wanted() {
        named(&mut span, method);
        span.set("peer.node", format!("{node:032x}"));
    }
    span
}

/// Sends a span along with a call, where somebody there wants to know.
pub(crate) fn attach<T>(request: &mut Request<T>, span: &Span) {
    let Some(caller) = span.caller() else { return };
    let mut put = |key: &'static str, text: &str| {
        if let Ok(value) = MetadataValue::<Ascii>::try_from(text) {
            request.metadata_mut().insert(MetadataKey::<Ascii>::from_static(key), value);
        }
    };
    put("traceparent", &caller.context.traceparent());
    if let Some(state) = caller.tracestate() {
        put("tracestate", &state);
    }
}

/// The span of what this node does for a call, where somebody wants to see it.
pub(crate) fn answers<T>(
    tracer: &Tracer,
    request: &Request<T>,
    name: &'static str,
    method: &'static str,
) -> Span {
    let header = |key: &str| request.metadata().get(key)?.to_str().ok();
    let Some(caller) = Caller::of_peer(header) else { return Span::default() };
    let mut span = tracer.part(&caller, name, Kind::Server);
    named(&mut span, method);
    span
}

fn named(span: &mut Span, method: &'static str) {
    span.set("rpc.system", "grpc");
    span.set("rpc.service", SERVICE);
    span.set("rpc.method", method);
}
