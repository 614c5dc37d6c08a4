//! Which span of which trace something belongs to, and the texts in which callers say so: W3C `traceparent` with
//! `tracestate`, and Jaeger's `uber-trace-id`.

use std::fmt;
use std::str::FromStr;

/// Our entry of `tracestate`: the client wants to see the trace, so every node keeps its part.
const KEPT: &str = "tidemark=kept";
/// The longest `tracestate` that is passed on.
const STATE_BYTES_MAX: usize = 512;

/// Names a trace. Never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(u128);

/// Names a span within its trace. Never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(u64);

impl TraceId {
    /// The id of a number but 0.
    #[must_use]
    pub const fn new(id: u128) -> Option<Self> {
        if id == 0 { None } else { Some(Self(id)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl SpanId {
    /// The id of a number but 0.
    #[must_use]
    pub const fn new(id: u64) -> Option<Self> {
        if id == 0 { None } else { Some(Self(id)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text is no id of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTraceId;

impl FromStr for TraceId {
    type Err = NoTraceId;

    /// 1 to 32 hexadecimal digits, not all 0.
    fn from_str(text: &str) -> Result<Self, NoTraceId> {
        hex(text, 32).and_then(Self::new).ok_or(NoTraceId)
    }
}

/// A number of at most `digits_max` hexadecimal digits.
fn hex(text: &str, digits_max: usize) -> Option<u128> {
    let is_hex = (1..=digits_max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// A span, as other nodes and later work know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Context {
    /// Its trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whether the trace goes to the collector.
    pub is_sampled: bool,
    /// Whether the client asked to see it.
    pub is_kept: bool,
}

impl Context {
    /// Reads a `traceparent`; `None` when it is none.
    #[must_use]
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut next = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            let is_lower = part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if is_lower { hex(part, digits) } else { None }
        };
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        // A later version may have more.
        if version == 0xff || version == 0 && parts.next().is_some() {
            return None;
        }
        Some(Self {
            trace: TraceId::new(trace)?,
            span: SpanId::new(u64::try_from(span).ok()?)?,
            is_sampled: flags & 1 == 1,
            is_kept: false,
        })
    }

    /// Reads Jaeger's `trace:span:parent:flags`, which InfluxDB's clients send; `None` when it is none.
    #[must_use]
    pub fn from_uber(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (trace, span, _parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        Some(Self {
            trace: hex(trace, 32).and_then(TraceId::new)?,
            span: hex(span, 16).and_then(|id| u64::try_from(id).ok()).and_then(SpanId::new)?,
            is_sampled: hex(flags, 2)? & 1 == 1,
            is_kept: false,
        })
    }

    /// The `traceparent` of it.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.is_sampled))
    }

    /// Whether anybody wants to see what belongs to it.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.is_sampled || self.is_kept
    }
}

/// Who began the trace that a message belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The span of the caller.
    pub context: Context,
    /// What others say in `tracestate`.
    pub state: Option<Box<str>>,
}

impl Caller {
    /// The caller that a client's headers name, of which `header` answers the value. Only nodes of one another may ask
    /// for traces to be kept by `tracestate`; a client asks in its own way.
    #[must_use]
    pub fn of_client<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let mut caller = Self::read(&header)?;
        caller.context.is_kept = false;
        Some(caller)
    }

    /// The node that the metadata of a call name, of which `header` answers the value.
    #[must_use]
    pub fn of_peer<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        Self::read(&header)
    }

    fn read<'a>(header: &impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let by_w3c = header("traceparent").and_then(Context::from_traceparent);
        let Some(mut context) = by_w3c else {
            let context = header("uber-trace-id").and_then(Context::from_uber)?;
            return Some(Self { context, state: None });
        };
        let state = header("tracestate").filter(|state| state.len() <= STATE_BYTES_MAX).unwrap_or_default();
        let (ours, others): (Vec<&str>, Vec<&str>) = state
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .partition(|entry| entry.starts_with("tidemark="));
        context.is_kept = ours.contains(&KEPT);
        let state = (!others.is_empty()).then(|| others.join(",").into_boxed_str());
        Some(Self { context, state })
    }

    /// The `tracestate` of it; `None` for none.
    #[must_use]
    pub fn tracestate(&self) -> Option<String> {
        match (self.context.is_kept, &self.state) {
            (false, None) => None,
            (false, Some(state)) => Some(state.to_string()),
            (true, None) => Some(KEPT.to_owned()),
            (true, Some(state)) => Some(format!("{KEPT},{state}")),
        }
    }
}
