//! The part of a write that both API families share: take the body in, unpack it, parse it, write it.
//!
//! They differ in what a bad line costs: 2.x refuses the whole body, 1.x writes the good lines and complains.

use axum::body::Body;
use catalog::Bucket;
use http::HeaderMap;
use model::lineprotocol::{self, LineError, LineErrorKind, Parsed};
use model::{Batch, Commits, Precision};

use crate::body::{self, BodyLimits, Encoding, Held};
use crate::error::{ApiError, Code};
use crate::gateway::App;
use crate::ports::WriteError;

/// A plain body above this is parsed on a thread that may block.
const PLAIN_INLINE_BYTES: usize = 64 * 1024;
/// As above, for a packed body: it may hold a thousand times more.
const PACKED_INLINE_BYTES: usize = 4 * 1024;
/// The longest text of refused lines that is sent back.
const MESSAGE_BYTES_MAX: usize = 32 * 1024;
/// How much of each refused line is sent back.
const LINE_BYTES_SHOWN: usize = 512;

/// A parsed body; holds its share of the budget until it is written.
pub(crate) struct Received {
    pub(crate) parsed: Parsed,
    /// Whether the body held no byte.
    pub(crate) empty: bool,
    held: Held,
}

/// Reads, unpacks and parses a body.
pub(crate) async fn receive(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    bucket: &Bucket,
    precision: Precision,
) -> Result<Received, ApiError> {
    let limits = &app.options.limits;
    let encoding = Encoding::of(headers)?;
    let mut held = app.reserve();
    let body_limits =
        BodyLimits { bytes_max: (limits.body_bytes_max, "max-body-size"), idle_max: limits.body_idle_max };
    let packed = body::read(headers, body, body_limits, &mut held).await?;
    app.metrics.write_bytes.add(packed.len());
    let began = app.ports.clock.monotonic();
    let options = lineprotocol::Options {
        bucket: bucket.id,
        shard_duration_ns: bucket.shard_duration_ns,
        precision,
        default_time: app.ports.clock.now(),
        line_bytes_max: limits.line_bytes_max,
        string_bytes_max: limits.string_bytes_max,
    };
    let inline = if encoding == Encoding::Identity { PLAIN_INLINE_BYTES } else { PACKED_INLINE_BYTES };
    let large = packed.len() > inline;
    let unpacked_max = (limits.decompressed_bytes_max, "max-decompressed-size");
    let work = move || {
        let mut span = trace::span("parse");
        span.set("packed", packed.len());
        let text = body::unpack(packed, encoding, unpacked_max, &mut held)?;
        span.set("bytes", text.len());
        // The points take about as much as their text.
        held.cover(text.len().saturating_mul(2))?;
        let parsed = lineprotocol::parse(&text, &options);
        span.set("points", parsed.batch.rows());
        if let Some(error) = parsed.errors.iter().find(|e| e.kind == LineErrorKind::RequestTooLarge) {
            return Err(ApiError::new(Code::TooLarge, format!("request too large: {}", error.reason)));
        }
        // From here on there are the points, and what the log is given of them.
        held.settle(parsed.batch.bytes().saturating_mul(2));
        Ok(Received { parsed, empty: text.is_empty(), held })
    };
    let received = app.compute(large, work).await?;
    app.metrics.parse_durations.observe(app.ports.clock.monotonic().saturating_sub(began));
    received
}

/// Writes a batch, and answers what a query must see to see it; the points of an empty one are all written already.
pub(crate) async fn store(app: &App, batch: Batch, held: Held) -> Result<Commits, WriteError> {
    let points = batch.rows();
    let result = if points == 0 { Ok(Commits::default()) } else { app.ports.write.write(batch).await };
    drop(held);
    result
}

impl Received {
    /// Takes the points out, with their share of the budget.
    pub(crate) fn into_batch(self) -> (Batch, Held) {
        (self.parsed.batch, self.held)
    }

    /// The complaint about lines that are wrong as such; `None` when there are none. `dropped` tells which refusals
    /// count as dropped points instead.
    pub(crate) fn complaint(&self, dropped: impl Fn(LineErrorKind) -> bool) -> Option<String> {
        let wrong = self.parsed.errors.iter().filter(|e| !dropped(e.kind));
        let beyond = self.parsed.refused.saturating_sub(self.parsed.errors.len());
        let message = complaint(wrong, beyond);
        (!message.is_empty()).then_some(message)
    }

    /// The first reason of points that were dropped, and their number.
    pub(crate) fn dropped(&self, dropped: impl Fn(LineErrorKind) -> bool) -> Option<WriteError> {
        let mut gone = self.parsed.errors.iter().filter(|e| dropped(e.kind));
        let message = gone.next()?.reason.clone();
        Some(WriteError::Partial { message, dropped: 1 + gone.count() })
    }
}

/// One `unable to parse '…': …` per line, cut where it grows long.
fn complaint<'a>(errors: impl Iterator<Item = &'a LineError>, beyond: usize) -> String {
    let mut message = String::new();
    let mut left_out = beyond;
    for error in errors {
        if message.len() >= MESSAGE_BYTES_MAX {
            left_out += 1;
            continue;
        }
        if !message.is_empty() {
            message.push('\n');
        }
        message.push_str("unable to parse '");
        message.push_str(shown(&error.text));
        if error.text.len() > LINE_BYTES_SHOWN {
            message.push_str("...");
        }
        message.push_str("': ");
        message.push_str(&error.reason);
    }
    if left_out > 0 {
        message.push_str(&format!("\n... and {left_out} more lines that could not be parsed"));
    }
    message
}

fn shown(line: &str) -> &str {
    let mut end = line.len().min(LINE_BYTES_SHOWN);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}

/// Joins what the parser dropped with what the write refused.
pub(crate) fn join(
    dropped: Option<WriteError>,
    result: Result<Commits, WriteError>,
) -> Result<Commits, WriteError> {
    match (dropped, result) {
        (None, result) => result,
        (Some(dropped), Ok(_commits)) => Err(dropped),
        (Some(WriteError::Partial { dropped: more, .. }), Err(WriteError::Partial { message, dropped })) => {
            Err(WriteError::Partial { message, dropped: dropped + more })
        }
        (Some(_dropped), Err(worse)) => Err(worse),
    }
}
