//! Who decides which requests are traced, and this node's part of one trace.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use model::{Clock, OrgId, Timestamp};
use parking_lot::Mutex;

use crate::context::{Caller, Context, SpanId, TraceId};
use crate::held::{Collected, Shelf};
use crate::span::{Finished, Kind, Span};

/// Spans of one node's part of one trace; those that end later are left out.
pub(crate) const SPANS_MAX: usize = 512;
/// Requests that were not sampled and are told of all the same, because they failed or were slow, in a second.
pub const TAIL_PER_SECOND_MAX: u64 = 100;

/// Where spans go that are to be exported. Must not block.
pub trait Sink: Send + Sync + 'static {
    /// Takes the spans of one part of a trace.
    fn take(&self, spans: Vec<Finished>);
}

/// How traces are made.
pub struct Options {
    /// The share of requests that are sampled, of those whose caller says nothing; from 0 to 1.
    pub ratio: f64,
    /// Requests that take as long are told of whether they are sampled or not; zero for none.
    pub slow: Duration,
    /// Where spans go; without it nothing is recorded but what clients ask to see.
    pub sink: Option<Arc<dyn Sink>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Makes traces. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Shared>>);

struct Shared {
    options: Options,
    shelf: Shelf,
    /// The node, in what is shown of it.
    node: OnceLock<String>,
    /// Second of the monotonic clock, and traces told of in it although they were not sampled.
    tail: AtomicU64,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("ratio", &self.ratio)
            .field("slow", &self.slow)
            .field("exports", &self.sink.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").field("is_on", &self.0.is_some()).finish_non_exhaustive()
    }
}

thread_local! {
    static IDS: RefCell<Option<fastrand::Rng>> = const { RefCell::new(None) };
}

/// Not a secret, only not the same as others.
fn random() -> u64 {
    IDS.with_borrow_mut(|ids| {
        let seeded = || fastrand::Rng::with_seed(getrandom::u64().unwrap_or(0x9e37_79b9_7f4a_7c15));
        ids.get_or_insert_with(seeded).u64(..)
    })
}

pub(crate) fn new_span_id() -> SpanId {
    loop {
        if let Some(id) = SpanId::new(random()) {
            return id;
        }
    }
}

fn new_trace_id() -> TraceId {
    loop {
        if let Some(id) = TraceId::new(u128::from(random()) << 64 | u128::from(random())) {
            return id;
        }
    }
}

/// Whether a request is of the share that is sampled.
#[expect(clippy::cast_precision_loss, reason = "the lowest bits of a share do not matter")]
fn is_drawn(ratio: f64) -> bool {
    ratio >= 1.0 || ratio > 0.0 && (random() >> 11) as f64 / (1_u64 << 53) as f64 <= ratio
}

impl Tracer {
    /// Traces nothing.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// A tracer.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let (shelf, node, tail) = (Shelf::default(), OnceLock::new(), AtomicU64::new(0));
        Self(Some(Arc::new(Shared { options, shelf, node, tail })))
    }

    /// Names the node, once it is known.
    pub fn name_node(&self, node: &str) {
        if let Some(shared) = &self.0 {
            shared.node.get_or_init(|| node.to_owned());
        }
    }

    /// Begins a request of a client: its span, when anybody wants it. It follows the caller's decision; without a caller the
    /// configured share is sampled; and what the client asks to see is kept. With a collector the others are recorded
    /// here too, so that it can be told of them when they fail or are slow.
    pub fn request(&self, caller: Option<Caller>, is_kept: bool) -> Span {
        let Some(shared) = &self.0 else { return Span::default() };
        let exports = shared.options.sink.is_some();
        let is_sampled = match &caller {
            Some(caller) => caller.context.is_sampled,
            None => exports && is_drawn(shared.options.ratio),
        };
        if !is_sampled && !is_kept && !exports {
            return Span::default();
        }
        self.begin(shared, caller, is_sampled, is_kept, "request", Kind::Server)
    }

    /// Begins what this node does for a span of another one, or of an earlier time: nothing where nobody wants it.
    pub fn part(&self, of: &Caller, name: &'static str, kind: Kind) -> Span {
        let Some(shared) = self.0.as_ref().filter(|_| of.context.is_wanted()) else {
            return Span::default();
        };
        let Context { is_sampled, is_kept, trace, .. } = of.context;
        if is_kept {
            shared.shelf.open(trace, None);
        }
        self.begin(shared, Some(of.clone()), is_sampled, is_kept, name, kind)
    }

    /// As [`Tracer::part`], with the context alone.
    pub fn part_of(&self, context: Context, name: &'static str) -> Span {
        if self.0.is_none() || !context.is_wanted() {
            return Span::default();
        }
        self.part(&Caller { context, state: None }, name, Kind::Internal)
    }

    /// Begins a trace of its own that has to do with spans of others, for work that is done for several at once.
    pub fn linked(&self, contexts: impl Iterator<Item = Context>, name: &'static str) -> Span {
        let Some(shared) = &self.0 else { return Span::default() };
        let mut contexts = contexts.filter(Context::is_wanted).peekable();
        if contexts.peek().is_none() {
            return Span::default();
        }
        let (mut links, mut is_sampled, mut is_kept) = (Vec::new(), false, false);
        for context in contexts {
            is_sampled |= context.is_sampled;
            is_kept |= context.is_kept;
            if links.len() < crate::span::LINKS_MAX {
                links.push(context);
            }
        }
        let shown_in = links.iter().filter(|link| link.is_kept).map(|link| link.trace).collect();
        let trace = shared.trace(None, is_sampled, is_kept, shown_in);
        for trace in &trace.shown_in {
            shared.shelf.open(*trace, None);
        }
        let mut span = Span::open(trace, None, false, Cow::Borrowed(name), Kind::Internal);
        for link in links {
            span.link(link);
        }
        span
    }

    fn begin(
        &self,
        shared: &Arc<Shared>,
        caller: Option<Caller>,
        is_sampled: bool,
        is_kept: bool,
        name: &'static str,
        kind: Kind,
    ) -> Span {
        let parent = caller.as_ref().map(|caller| caller.context.span);
        let trace = shared.trace(caller, is_sampled, is_kept, Vec::new());
        Span::open(trace, parent, parent.is_some(), Cow::Borrowed(name), kind)
    }

    /// This node's parts of a trace that a client asked to see.
    #[must_use]
    pub fn collected(&self, trace: TraceId) -> Option<Collected> {
        let shared = self.0.as_ref()?;
        shared.shelf.collected(trace, shared.node.get().map_or("", String::as_str))
    }
}

impl Shared {
    fn trace(
        self: &Arc<Self>,
        caller: Option<Caller>,
        is_sampled: bool,
        is_kept: bool,
        shown_in: Vec<TraceId>,
    ) -> Arc<Trace> {
        let clock = &self.options.clock;
        let (context, state) = caller.map_or((None, None), |caller| (Some(caller.context), caller.state));
        Arc::new(Trace {
            tracer: Arc::clone(self),
            id: context.map_or_else(new_trace_id, |context| context.trace),
            is_sampled,
            is_kept,
            state: state.map(Arc::from),
            shown_in,
            wall: clock.now(),
            monotonic: clock.monotonic(),
            spans: Mutex::default(),
            is_notable: AtomicBool::new(false),
        })
    }

    /// Whether one more request may be told of in this second although it was not sampled.
    fn takes_tail(&self) -> bool {
        const COUNT: u64 = 1 << 16;
        let second = self.options.clock.monotonic().as_secs();
        let count = |tail: u64| {
            let (at, count) = (tail / COUNT, tail % COUNT);
            let count = if at == second { count } else { 0 };
            (count < TAIL_PER_SECOND_MAX).then(|| second * COUNT + count + 1)
        };
        self.tail.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_ok()
    }
}

/// This node's part of a trace: from one span that comes from elsewhere, or from nowhere, to the last below it.
pub(crate) struct Trace {
    tracer: Arc<Shared>,
    id: TraceId,
    is_sampled: bool,
    is_kept: bool,
    state: Option<Arc<str>>,
    /// Other traces in which it is shown to clients.
    shown_in: Vec<TraceId>,
    /// One moment on both clocks.
    wall: Timestamp,
    monotonic: Duration,
    spans: Mutex<Vec<Finished>>,
    /// It has failed, or was slow.
    is_notable: AtomicBool,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Trace {
    pub(crate) const fn id(&self) -> TraceId {
        self.id
    }

    pub(crate) const fn is_sampled(&self) -> bool {
        self.is_sampled
    }

    pub(crate) fn state(&self) -> Option<Box<str>> {
        self.state.as_deref().map(Box::from)
    }

    pub(crate) fn shared_state(&self) -> Option<Arc<str>> {
        self.state.clone()
    }

    pub(crate) const fn context(&self, span: SpanId) -> Context {
        Context { trace: self.id, span, is_sampled: self.is_sampled, is_kept: self.is_kept }
    }

    pub(crate) fn now(&self) -> Duration {
        self.tracer.options.clock.monotonic()
    }

    /// The wall clock's time of a moment.
    pub(crate) fn time(&self, moment: Duration) -> Timestamp {
        let ns = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        Timestamp(self.wall.0.saturating_add(ns(moment)).saturating_sub(ns(self.monotonic)))
    }

    /// Whether more than ids is wanted: without a collector a sampled request is only named in logs.
    pub(crate) fn records(&self) -> bool {
        self.is_kept || self.tracer.options.sink.is_some()
    }

    pub(crate) fn own(&self, org: OrgId) {
        if self.is_kept {
            self.tracer.shelf.open(self.id, Some(org));
        }
    }

    pub(crate) fn fail(&self) {
        self.is_notable.store(true, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, span: Finished, took: Duration) {
        if self.is_kept {
            for trace in std::iter::once(&self.id).chain(&self.shown_in) {
                self.tracer.shelf.add(*trace, &span);
            }
        }
        let slow = self.tracer.options.slow;
        if !slow.is_zero() && took >= slow {
            self.fail();
        }
        if self.tracer.options.sink.is_some() {
            let mut spans = self.spans.lock();
            if spans.len() < SPANS_MAX {
                spans.push(span);
            }
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let spans = std::mem::take(self.spans.get_mut());
        let Some(sink) = &self.tracer.options.sink else { return };
        let is_told = self.is_sampled || *self.is_notable.get_mut() && self.tracer.takes_tail();
        if is_told && !spans.is_empty() {
            sink.take(spans);
        }
    }
}
