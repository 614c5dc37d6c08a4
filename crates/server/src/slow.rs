//! Queries that take long: one line of the log each, with their text without literals, so that it tells no secrets and
//! equal queries look equal.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::OrgId;

use crate::fragment::Scanned;
use crate::queries::QueryAdapter;
use crate::source::Source;

#[cfg(test)]
mod tests;

/// How much of a text is logged.
const TEXT_CHARS_MAX: usize = 1024;
/// How much of the reason of a failure.
const REASON_CHARS_MAX: usize = 200;

/// The language of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Flux,
    Influxql,
    Sql,
}

impl Language {
    const fn name(self) -> &'static str {
        match self {
            Self::Flux => "flux",
            Self::Influxql => "influxql",
            Self::Sql => "sql",
        }
    }
}

/// A query that runs.
pub(crate) struct Watched<'a> {
    adapter: &'a QueryAdapter,
    language: Language,
    org: OrgId,
    began: Duration,
    scanned: Arc<Scanned>,
}

impl<'a> Watched<'a> {
    pub(crate) fn begin(adapter: &'a QueryAdapter, language: Language, org: OrgId, source: &Source) -> Self {
        Self { adapter, language, org, began: adapter.clock.monotonic(), scanned: source.scanned() }
    }

    /// Counts what it read, and logs the query when it was slow.
    pub(crate) fn end(self, text: &str, failure: Option<String>) {
        let Self { adapter, language, org, began, scanned } = self;
        let took = adapter.clock.monotonic().saturating_sub(began);
        let counters = &adapter.counters;
        counters.rows_scanned.fetch_add(scanned.rows.load(Ordering::Relaxed), Ordering::Relaxed);
        counters.bytes_scanned.fetch_add(scanned.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
        if adapter.slow_after.is_zero() || took < adapter.slow_after {
            return;
        }
        adapter.counters.queries_slow.fetch_add(1, Ordering::Relaxed);
        let query = normalised(text, language);
        let hash = format!("{:016x}", fnv(query.as_bytes()));
        let trace = trace::current().map(|here| here.context().trace.to_string()).unwrap_or_default();
        let outcome = match &failure {
            None => "ok".to_owned(),
            // A reason may quote the query.
            Some(reason) => normalised(reason, Language::Flux).chars().take(REASON_CHARS_MAX).collect(),
        };
        tracing::warn!(
            target: "slow_query",
            language = language.name(),
            %org,
            seconds = took.as_secs_f64(),
            rows = scanned.rows.load(Ordering::Relaxed),
            bytes = scanned.bytes.load(Ordering::Relaxed),
            trace,
            outcome,
            hash,
            query,
            "slow query"
        );
    }
}

/// FNV-1a: the same on every node and in every version.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A query's text with `?` for literals, without comments, and with single spaces. Names stay: identifiers, in Flux also
/// the keys of members (`r["host"]`), in InfluxQL what is in double quotes.
pub(crate) fn normalised(text: &str, language: Language) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let (mut at, mut count) = (0, 0);
    // The last character that was no space.
    let mut before = ' ';
    while at < chars.len() && count < TEXT_CHARS_MAX {
        let c = chars[at];
        let next = chars.get(at + 1).copied().unwrap_or(' ');
        let mut put = |piece: &str| {
            count += piece.chars().count();
            out.push_str(piece);
        };
        let is_comment = match language {
            Language::Flux => c == '/' && next == '/',
            Language::Influxql | Language::Sql => c == '-' && next == '-',
        };
        if is_comment {
            at += chars[at..].iter().take_while(|c| **c != '\n').count();
        } else if c.is_whitespace() {
            at += 1;
            if at < chars.len() && !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
            continue;
        } else if c == '"' || c == '\'' && language != Language::Flux {
            let end = end_of_quoted(&chars, at);
            let is_name = match language {
                Language::Flux => before == '[' && chars.get(end) == Some(&']'),
                Language::Influxql | Language::Sql => c == '"',
            };
            match is_name {
                true => put(&chars[at..end].iter().collect::<String>()),
                false => put("?"),
            }
            at = end;
        } else if c == '/' && matches!(before, '~' | '(' | ',' | ':') {
            put("?");
            at = end_of_quoted(&chars, at);
        } else if c.is_ascii_digit() && !(before == '_' || before.is_alphanumeric()) {
            // Numbers, durations, times.
            put("?");
            let is_part =
                |c: &&char| c.is_alphanumeric() || matches!(c, '.' | ':') || **c == '-' && c.is_ascii();
            let time = chars[at..].iter().take_while(is_part).count();
            let is_time = chars[at..].iter().take(5).filter(|c| c.is_ascii_digit()).count() == 4
                && chars.get(at + 4) == Some(&'-');
            let number = chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '.').count();
            at += if is_time { time } else { number };
        } else {
            let name = chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count().max(1);
            let piece: String = chars[at..at + name].iter().take(TEXT_CHARS_MAX).collect();
            before = chars[at + name - 1];
            at += name;
            put(&piece);
            continue;
        }
        before = '?';
    }
    if at < chars.len() {
        out.push('…');
    }
    out
}

/// One past the end of what begins with a quote or a slash.
fn end_of_quoted(chars: &[char], start: usize) -> usize {
    let quote = chars[start];
    let mut at = start + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 1,
            c if c == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    chars.len()
}
