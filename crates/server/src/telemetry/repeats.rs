//! Lines that come again and again: the first few are written, the others counted, and their number is told with the next
//! one, or when none has come for a while.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::{self, Debug, Write as _};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::Clock;
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

use super::Counters;

/// Time in which equal lines are counted.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// Equal lines that are written in that time.
pub(super) const LINES_MAX: u64 = 5;
/// Different lines that are remembered; where there are more, the others are written.
const REMEMBERED_MAX: usize = 512;
/// How much of a line is remembered, to tell of it.
const TEXT_BYTES_MAX: usize = 200;

thread_local! {
    /// Lines like the one that is written next, which were left out before it.
    static LEFT_OUT: Cell<u64> = const { Cell::new(0) };
}

/// Takes the number of lines that were left out before the one that is being written.
pub(super) fn left_out() -> u64 {
    LEFT_OUT.take()
}

/// Leaves out equal lines of level warn and error.
#[derive(Clone)]
pub(super) struct Repeats {
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    lines: Arc<Mutex<HashMap<u64, Line>>>,
}

struct Line {
    since: Duration,
    written: u64,
    left_out: u64,
    text: String,
}

impl Repeats {
    pub(super) fn new(clock: Arc<dyn Clock>, counters: Arc<Counters>) -> Self {
        Self { clock, counters, lines: Arc::default() }
    }

    /// Whether a line is to be written; counts it.
    fn takes(&self, event: &Event<'_>) -> bool {
        let level = *event.metadata().level();
        match level {
            Level::ERROR => self.counters.lines_error.fetch_add(1, Ordering::Relaxed),
            Level::WARN => self.counters.lines_warn.fetch_add(1, Ordering::Relaxed),
            _ => return true,
        };
        let mut key = Key(DefaultHasher::new());
        event.metadata().callsite().hash(&mut key.0);
        event.record(&mut key);
        let (key, now) = (key.0.finish(), self.clock.monotonic());
        let mut lines = self.lines.lock();
        if lines.len() >= REMEMBERED_MAX && !lines.contains_key(&key) {
            lines.retain(|_, line| line.left_out > 0 || now.saturating_sub(line.since) < WINDOW);
            if lines.len() >= REMEMBERED_MAX {
                return true;
            }
        }
        let line = lines.entry(key).or_insert_with(|| Line {
            since: now,
            written: 0,
            left_out: 0,
            text: text_of(event),
        });
        if now.saturating_sub(line.since) >= WINDOW {
            LEFT_OUT.set(std::mem::take(&mut line.left_out));
            (line.since, line.written) = (now, 0);
        }
        let takes = line.written < LINES_MAX;
        if takes {
            line.written += 1;
        } else {
            line.left_out += 1;
        }
        takes
    }

    /// Tells of lines that were left out and have come no more.
    pub(super) fn tell(&self) {
        let now = self.clock.monotonic();
        let mut told = Vec::new();
        self.lines.lock().retain(|_, line| {
            let is_over = now.saturating_sub(line.since) >= WINDOW;
            if is_over && line.left_out > 0 {
                told.push((std::mem::take(&mut line.text), line.left_out));
            }
            !is_over
        });
        for (line, left_out) in told {
            tracing::info!(line, left_out, "a line came again and again");
        }
    }
}

impl<S: Subscriber> Filter<S> for Repeats {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.takes(event)
    }
}

/// What tells one line from another.
struct Key(DefaultHasher);

impl fmt::Write for Key {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl Visit for Key {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        field.index().hash(&mut self.0);
        write!(self, "{value:?}").expect("a hash takes everything");
    }
}

/// The beginning of a line.
fn text_of(event: &Event<'_>) -> String {
    struct Text(String);
    impl Visit for Text {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            if field.name() == "message" {
                self.0 = format!("{value:?}");
            }
        }
    }
    let mut text = Text(String::new());
    event.record(&mut text);
    let end = (0..=TEXT_BYTES_MAX.min(text.0.len())).rev().find(|at| text.0.is_char_boundary(*at));
    text.0.truncate(end.unwrap_or(0));
    text.0
}
