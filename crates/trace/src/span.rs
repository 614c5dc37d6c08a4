//! Spans while they are open, and what is left of them; which span is current on a thread.

use std::borrow::Cow;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use model::{OrgId, Timestamp};
use pin_project_lite::pin_project;
use serde_json::{Map, json};

use crate::context::{Caller, Context, SpanId, TraceId};
use crate::tracer::Trace;

/// The longest text of an attribute, and of a failure.
const TEXT_BYTES_MAX: usize = 1024;
/// Attributes of one span.
const ATTRIBUTES_MAX: usize = 32;
/// Links of one span.
pub(crate) const LINKS_MAX: usize = 64;

/// What an attribute says.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(mut text: String) -> Self {
        cut(&mut text);
        Self::Text(Cow::Owned(text))
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Bool(is)
    }
}

macro_rules! whole {
    ($($number:ty),*) => {
        $(impl From<$number> for Value {
            fn from(number: $number) -> Self {
                Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
            }
        })*
    };
}

whole!(i64, u64, u32, u16, usize);

fn cut(text: &mut String) {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
}

/// On which side of a call a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On neither.
    Internal,
    /// It answers.
    Server,
    /// It asks.
    Client,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// Its trace.
    pub trace: TraceId,
    /// Its id.
    pub id: SpanId,
    /// The span that it is part of.
    pub parent: Option<SpanId>,
    /// Whether that is another process's.
    pub is_parent_remote: bool,
    /// Whether the trace was sampled when it began.
    pub is_sampled: bool,
    /// What others say in `tracestate`.
    pub state: Option<Arc<str>>,
    /// What was done.
    pub name: Cow<'static, str>,
    /// See [`Kind`].
    pub kind: Kind,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// More of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Spans of other traces that it has to do with.
    pub links: Vec<Context>,
    /// Why it failed.
    pub failure: Option<Cow<'static, str>>,
}

impl Finished {
    /// Bytes to count for it in memory.
    pub(crate) fn bytes(&self) -> usize {
        let texts = self.attributes.iter().map(|(_, value)| match value {
            Value::Text(text) => text.len(),
            Value::Int(_) | Value::Bool(_) => 0,
        });
        size_of::<Self>()
            + self.name.len()
            + texts.sum::<usize>()
            + self.attributes.len() * size_of::<(&str, Value)>()
            + self.links.len() * size_of::<Context>()
            + self.failure.as_ref().map_or(0, |text| text.len())
    }

    /// The object that is shown for it, as of this node.
    pub(crate) fn shown(&self, node: &str) -> String {
        let attributes = self.attributes.iter().map(|(key, value)| {
            let value = match value {
                Value::Text(text) => json!(text),
                Value::Int(number) => json!(number),
                Value::Bool(is) => json!(is),
            };
            ((*key).to_owned(), value)
        });
        let links = self
            .links
            .iter()
            .map(|link| json!({ "traceId": link.trace.to_string(), "spanId": link.span.to_string() }));
        let mut span = json!({
            "traceId": self.trace.to_string(),
            "spanId": self.id.to_string(),
            "parentSpanId": self.parent.map(|id| id.to_string()),
            "name": self.name,
            "kind": self.kind.name(),
            "node": node,
            "start": self.start.to_rfc3339(),
            "durationNs": self.end.0.saturating_sub(self.start.0),
            "attributes": attributes.collect::<Map<_, _>>(),
        });
        if !self.links.is_empty() {
            span["links"] = links.collect();
        }
        if let Some(failure) = &self.failure {
            span["error"] = json!(failure);
        }
        span.to_string()
    }
}

/// A span that is open, or nothing at all when nobody wants it. It ends when it is dropped.
#[derive(Debug, Default)]
#[must_use = "a span lasts as long as it is held"]
pub struct Span(Option<Box<Open>>);

#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) here: Here,
    pub(crate) parent: Option<SpanId>,
    pub(crate) is_parent_remote: bool,
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: Kind,
    /// Monotonic.
    pub(crate) start: Duration,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    pub(crate) links: Vec<Context>,
    pub(crate) failure: Option<Cow<'static, str>>,
}

/// A place in a trace under which spans can be put, on any thread and for as long as it is held.
#[derive(Debug, Clone)]
pub struct Here {
    pub(crate) trace: Arc<Trace>,
    pub(crate) span: SpanId,
}

thread_local! {
    static HERE: RefCell<Option<Here>> = const { RefCell::new(None) };
}

/// The place of the span that is current on this thread.
#[must_use]
pub fn current() -> Option<Here> {
    HERE.with_borrow(Clone::clone)
}

/// Begins a part of what is current on this thread; nothing where nothing is.
pub fn span(name: &'static str) -> Span {
    HERE.with_borrow(|here| here.as_ref().map_or(Span(None), |here| here.span(name)))
}

/// The current request is this organization's, so its tokens may see the trace that was asked for.
pub fn own(org: OrgId) {
    HERE.with_borrow(|here| {
        if let Some(here) = here {
            here.trace.own(org);
        }
    });
}

impl Here {
    /// Begins a part of it.
    pub fn span(&self, name: &'static str) -> Span {
        if !self.trace.records() {
            return Span(None);
        }
        Span::open(Arc::clone(&self.trace), Some(self.span), false, Cow::Borrowed(name), Kind::Internal)
    }

    /// Adds a part of it that has been, between two moments of the monotonic clock.
    pub fn add(
        &self,
        name: &'static str,
        (start, end): (Duration, Duration),
        attributes: Vec<(&'static str, Value)>,
    ) {
        let Some(mut open) = self.span(name).0.take() else { return };
        open.start = start;
        open.attributes = attributes;
        open.end(end);
    }

    /// As others know it.
    #[must_use]
    pub fn context(&self) -> Context {
        self.trace.context(self.span)
    }

    /// As a peer is told it; nothing when nobody there wants to know.
    #[must_use]
    pub fn caller(&self) -> Option<Caller> {
        let context = self.context();
        let is_worth = context.is_wanted() && self.trace.records();
        is_worth.then(|| Caller { context, state: self.trace.state() })
    }

    /// Makes it current until the guard goes.
    pub fn enter(self) -> Entered {
        Entered(HERE.replace(Some(self)), std::marker::PhantomData)
    }
}

/// Puts back what was current before.
#[derive(Debug)]
#[must_use = "it is current as long as this is held"]
pub struct Entered(Option<Here>, std::marker::PhantomData<*const ()>);

impl Drop for Entered {
    fn drop(&mut self) {
        HERE.set(self.0.take());
    }
}

impl Span {
    pub(crate) fn open(
        trace: Arc<Trace>,
        parent: Option<SpanId>,
        is_parent_remote: bool,
        name: Cow<'static, str>,
        kind: Kind,
    ) -> Self {
        let (span, start) = (crate::tracer::new_span_id(), trace.now());
        Self(Some(Box::new(Open {
            here: Here { trace, span },
            parent,
            is_parent_remote,
            name,
            kind,
            start,
            attributes: Vec::new(),
            links: Vec::new(),
            failure: None,
        })))
    }

    /// Whether anybody wants it, so that it is worth to find out more.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Its place.
    #[must_use]
    pub fn here(&self) -> Option<Here> {
        self.0.as_ref().map(|open| open.here.clone())
    }

    /// As others know it, when they are to.
    #[must_use]
    pub fn context(&self) -> Option<Context> {
        self.0.as_ref().map(|open| open.here.context())
    }

    /// See [`Here::caller`].
    #[must_use]
    pub fn caller(&self) -> Option<Caller> {
        self.0.as_ref().and_then(|open| open.here.caller())
    }

    /// Makes it the one that asks.
    pub fn asks(mut self) -> Self {
        if let Some(open) = &mut self.0 {
            open.kind = Kind::Client;
        }
        self
    }

    /// Names it anew.
    pub fn rename(&mut self, name: impl FnOnce() -> String) {
        if let Some(open) = &mut self.0 {
            open.name = Cow::Owned(name());
        }
    }

    /// Says more of it.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.0
            && open.attributes.len() < ATTRIBUTES_MAX
        {
            open.attributes.push((key, value.into()));
        }
    }

    /// Says more of it that is not free to find out.
    pub fn set_with(&mut self, key: &'static str, value: impl FnOnce() -> String) {
        if self.is_wanted() {
            self.set(key, value());
        }
    }

    /// It has to do with a span of another trace.
    pub fn link(&mut self, context: Context) {
        if let Some(open) = &mut self.0
            && open.links.len() < LINKS_MAX
        {
            open.links.push(context);
        }
    }

    /// It did not do what it should.
    pub fn fail(&mut self, reason: impl Into<Cow<'static, str>>) {
        if let Some(open) = &mut self.0 {
            let mut reason = reason.into();
            if reason.len() > TEXT_BYTES_MAX {
                cut(reason.to_mut());
            }
            open.failure = Some(reason);
        }
    }

    /// As [`Span::fail`] when a result is an error.
    pub fn note<T, E: std::fmt::Display>(&mut self, result: &Result<T, E>) {
        if let (Some(_), Err(error)) = (&self.0, result) {
            self.fail(error.to_string());
        }
    }

    /// Whether the request is to be told of, whatever was decided when it began.
    pub fn fail_request(&mut self) {
        if let Some(open) = &self.0 {
            open.here.trace.fail();
        }
    }

    /// Does work in it.
    pub fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = self.here().map(Here::enter);
        work()
    }
}

impl Open {
    fn end(self, end: Duration) {
        let Open { here, parent, is_parent_remote, name, kind, start, attributes, links, failure } = self;
        let Here { trace, span } = here;
        let finished = Finished {
            trace: trace.id(),
            id: span,
            parent,
            is_parent_remote,
            is_sampled: trace.is_sampled(),
            state: trace.shared_state(),
            name,
            kind,
            start: trace.time(start),
            end: trace.time(end.max(start)),
            attributes,
            links,
            failure,
        };
        trace.add(finished, end.saturating_sub(start));
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            let end = open.here.trace.now();
            open.end(end);
        }
    }
}

/// Futures that do their work in a span.
pub trait Traced: Future + Sized {
    /// Makes a span current whenever this is polled.
    fn in_span(self, span: &Span) -> InSpan<Self> {
        InSpan { here: span.here(), future: self }
    }

    /// Makes a place current whenever this is polled.
    fn in_place(self, here: Option<Here>) -> InSpan<Self> {
        InSpan { here, future: self }
    }
}

impl<F: Future> Traced for F {}

pin_project! {
    /// See [`Traced::in_span`].
    #[derive(Debug)]
    #[must_use = "futures do nothing until they are polled"]
    pub struct InSpan<F> {
        here: Option<Here>,
        #[pin]
        future: F,
    }
}

/// Has exchanged what is current for another place, and exchanges it back.
struct Exchanged<'a>(&'a mut Option<Here>);

impl<'a> Exchanged<'a> {
    fn with(here: &'a mut Option<Here>) -> Self {
        HERE.with_borrow_mut(|current| std::mem::swap(current, here));
        Self(here)
    }
}

impl Drop for Exchanged<'_> {
    fn drop(&mut self) {
        HERE.with_borrow_mut(|current| std::mem::swap(current, self.0));
    }
}

impl<F: Future> Future for InSpan<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.here.is_none() {
            return this.future.poll(cx);
        }
        let _exchanged = Exchanged::with(this.here);
        this.future.poll(cx)
    }
}
