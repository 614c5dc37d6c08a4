//! What one request did, on which nodes, and for how long: spans, and the contexts that join those of several nodes.
//!
//! ```text
//! Tracer::request ─► Span (root) ── in_span ──► span("parse") … span("route") … children of what is current
//!                                    │ Context, beside a message
//!                                    ▼
//!                    Tracer::part ─► Span on another node, or after the request
//! ended spans ─► their part of the trace ─┬─► Sink, when it is sampled, has failed or was slow
//!                                         └─► held, when the client asked for it
//! ```
//! Invariants: a span that nobody wants is a `None` and costs a look at a thread-local; nothing here blocks or fails a
//! request; everything that is kept is bounded. It knows no exporter and no transport.

mod context;
mod held;
mod span;
#[cfg(test)]
mod tests;
mod tracer;

pub use context::{Caller, Context, SpanId, TraceId};
pub use held::{Collected, HELD_TRACES_MAX};
pub use span::{Entered, Finished, Here, InSpan, Kind, Span, Traced, Value, current, own, span};
pub use tracer::{Options, Sink, TAIL_PER_SECOND_MAX, Tracer};
