//! The traces that clients asked to see, until others take their place.

use std::collections::VecDeque;

use hashbrown::HashMap;
use model::OrgId;
use parking_lot::Mutex;

use crate::context::TraceId;
use crate::span::Finished;
use crate::tracer::SPANS_MAX;

/// Traces that a node holds; the oldest goes when one more comes.
pub const HELD_TRACES_MAX: usize = 256;
/// Bytes of all of them, likewise.
const HELD_BYTES_MAX: usize = 8 << 20;

/// Parts of a trace.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collected {
    /// Whose request it was, where that is known.
    pub owner: Option<OrgId>,
    /// Its spans, as JSON objects.
    pub spans: Vec<String>,
}

/// The traces that a node holds.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Held>);

#[derive(Default)]
struct Held {
    traces: HashMap<TraceId, Kept>,
    /// Oldest first.
    order: VecDeque<TraceId>,
    bytes: usize,
}

#[derive(Default)]
struct Kept {
    owner: Option<OrgId>,
    spans: Vec<Finished>,
    bytes: usize,
}

impl Shelf {
    /// Makes room for a trace. One that is another organization's goes: nobody can put himself into it.
    pub(crate) fn open(&self, trace: TraceId, owner: Option<OrgId>) {
        let mut held = self.0.lock();
        if let Some(kept) = held.traces.get_mut(&trace) {
            match (kept.owner, owner) {
                (Some(one), Some(other)) if one != other => {
                    let bytes = std::mem::take(&mut kept.bytes);
                    *kept = Kept { owner, ..Kept::default() };
                    held.bytes -= bytes;
                }
                (None, Some(_)) => kept.owner = owner,
                _ => {}
            }
            return;
        }
        held.traces.insert(trace, Kept { owner, ..Kept::default() });
        held.order.push_back(trace);
        held.shrink();
    }

    /// Adds a span, when its trace is held.
    pub(crate) fn add(&self, trace: TraceId, span: &Finished) {
        let mut held = self.0.lock();
        let Some(kept) = held.traces.get_mut(&trace) else { return };
        if kept.spans.len() >= SPANS_MAX {
            return;
        }
        let bytes = span.bytes();
        kept.spans.push(span.clone());
        kept.bytes += bytes;
        held.bytes += bytes;
        held.shrink();
    }

    pub(crate) fn collected(&self, trace: TraceId, node: &str) -> Option<Collected> {
        let (owner, spans) = {
            let held = self.0.lock();
            let kept = held.traces.get(&trace)?;
            (kept.owner, kept.spans.clone())
        };
        Some(Collected { owner, spans: spans.iter().map(|span| span.shown(node)).collect() })
    }
}

impl Held {
    fn shrink(&mut self) {
        while self.order.len() > HELD_TRACES_MAX || self.bytes > HELD_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes -= self.traces.remove(&oldest).map_or(0, |kept| kept.bytes);
        }
    }
}
