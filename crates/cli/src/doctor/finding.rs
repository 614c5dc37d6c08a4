//! What a check finds: an outcome, about whom, and in words.

use serde::Serialize;

/// How a check ends, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// As it should be.
    Ok,
    /// What the check needs is not there.
    Unknown,
    /// Works, and will hurt.
    Warn,
    /// Must be mended.
    Fail,
}

impl Outcome {
    pub(crate) const ALL: [Self; 4] = [Self::Fail, Self::Warn, Self::Unknown, Self::Ok];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What a check needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The picture that any node has of all nodes and groups.
    Cluster,
    /// `/metrics` and probes of a process that is asked.
    Node,
    /// The machine or container that this command runs on.
    Machine,
    /// What `kubectl get … -o json` has printed.
    Kubernetes,
    /// Prometheus's HTTP API.
    Prometheus,
    /// What nobody but the operator knows.
    You,
}

impl Place {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Node => "node",
            Self::Machine => "machine",
            Self::Kubernetes => "Kubernetes",
            Self::Prometheus => "Prometheus",
            Self::You => "you",
        }
    }
}

/// An outcome and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) text: String,
    /// What to do in just this case, where it is not what the check says for all.
    pub(crate) mend: Option<&'static str>,
}

/// A verdict, or why there is none.
pub(crate) type Judged = Result<Verdict, String>;

impl Verdict {
    pub(crate) fn ok(text: impl Into<String>) -> Self {
        Self { outcome: Outcome::Ok, text: text.into(), mend: None }
    }

    pub(crate) fn warn(text: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warn, text: text.into(), mend: None }
    }

    pub(crate) fn fail(text: impl Into<String>) -> Self {
        Self { outcome: Outcome::Fail, text: text.into(), mend: None }
    }

    pub(crate) fn unknown(text: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unknown, text: text.into(), mend: None }
    }

    /// With what to do in just this case.
    pub(crate) fn mend(self, how: &'static str) -> Self {
        Self { mend: Some(how), ..self }
    }

    pub(crate) fn of(judged: Judged) -> Self {
        judged.unwrap_or_else(Self::unknown)
    }

    /// The worst of several, in the words of all that are as bad; `None` of none.
    pub(crate) fn worst(verdicts: Vec<Self>) -> Option<Self> {
        let outcome = verdicts.iter().map(|verdict| verdict.outcome).max()?;
        let texts = verdicts.into_iter().filter(|verdict| verdict.outcome == outcome);
        let texts: Vec<String> = texts.map(|verdict| verdict.text).collect();
        Some(Self { outcome, text: listed(&texts), mend: None })
    }

    /// About what it is.
    pub(crate) fn about(self, place: Place, about: impl Into<String>) -> Finding {
        let Self { outcome, text, mend } = self;
        let text = one_line(&text, TEXT_CHARS_MAX);
        Finding { outcome, place, about: about.into(), text, mend }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) outcome: Outcome,
    /// What kind of thing it is about.
    pub(crate) place: Place,
    /// Which of them, where there may be several.
    pub(crate) about: String,
    pub(crate) text: String,
    pub(crate) mend: Option<&'static str>,
}

/// Longest text of a finding: what servers say may be any length.
const TEXT_CHARS_MAX: usize = 2000;

/// A text on one line, or its beginning.
pub(crate) fn one_line(text: &str, chars_max: usize) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(chars_max) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Most things of a kind that a sentence names.
const NAMED_MAX: usize = 5;

/// Things with commas between them, the first of many.
pub(crate) fn listed<T: AsRef<str>>(all: &[T]) -> String {
    let named: Vec<&str> = all.iter().take(NAMED_MAX).map(AsRef::as_ref).collect();
    match all.len().saturating_sub(NAMED_MAX) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// `1 node`, `3 nodes`.
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Bytes for people.
pub(crate) fn bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value.abs() >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// A share in per cent, never rounded up to all or down to nothing where it is not.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}%", (share * 1000.0).floor() / 10.0)
}

#[cfg(test)]
mod tests;
