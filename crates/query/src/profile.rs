//! What the parts of a query took, node by node: what EXPLAIN ANALYZE shows.
//!
//! Whoever runs queries records their parts anyway, for traces; a [`Profiler`] lets one query be recorded and answers what
//! became of it. The tree is drawn as InfluxDB 1.x draws it.

use std::collections::HashMap;
use std::time::Duration;

/// A part of a query, as one node has done it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Its id, one of its own among the parts.
    pub id: String,
    /// The part that it is a part of; none where that is not known.
    pub parent: Option<String>,
    /// What was done.
    pub name: String,
    /// The node that has done it.
    pub node: String,
    /// When it began, as text that sorts by time.
    pub began: String,
    /// How long it took.
    pub took: Duration,
    /// What was counted, or is said of it.
    pub about: Vec<(String, String)>,
    /// Why it failed, if so.
    pub error: Option<String>,
}

/// Records queries.
pub trait Profiler: Sync {
    /// Does the work, and answers its parts, of all nodes that have answered.
    fn profile(&self, work: &mut dyn FnMut()) -> Vec<Part>;
}

/// A node of a drawn tree.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    text: String,
    below: Vec<Self>,
}

impl Tree {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), below: Vec::new() }
    }

    pub(crate) fn with(mut self, below: impl IntoIterator<Item = Self>) -> Self {
        self.below.extend(below);
        self
    }

    /// The parts that no other part has, each with those below it, in the order in which they began.
    pub(crate) fn of_parts(parts: &[Part]) -> Vec<Self> {
        let known: HashMap<&str, usize> =
            parts.iter().enumerate().map(|(at, part)| (&*part.id, at)).collect();
        let mut below: Vec<Vec<usize>> = vec![Vec::new(); parts.len()];
        let mut roots = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            match part.parent.as_deref().and_then(|parent| known.get(parent)) {
                // Whatever a peer says of itself: what is drawn ends.
                Some(parent) if *parent != at => below[*parent].push(at),
                _ => roots.push(at),
            }
        }
        let by_begin = |list: &mut Vec<usize>| list.sort_by_key(|at| &parts[*at].began);
        below.iter_mut().for_each(by_begin);
        by_begin(&mut roots);
        roots.into_iter().map(|at| Self::of_part(at, parts, &below)).collect()
    }

    fn of_part(at: usize, parts: &[Part], below: &[Vec<usize>]) -> Self {
        let Part { name, node, took, about, error, .. } = &parts[at];
        let mut labels = Vec::new();
        if !node.is_empty() {
            labels.push(Self::new(format!("node: {node}")));
        }
        let numbers = about.iter().filter(|(_, value)| value.parse::<i64>().is_ok());
        let texts = about.iter().filter(|(_, value)| value.parse::<i64>().is_err());
        labels.extend(texts.map(|(key, value)| Self::new(format!("{key}: {value}"))));
        labels.extend(error.iter().map(|error| Self::new(format!("error: {error}"))));
        let mut tree = Self::new(name);
        if !labels.is_empty() {
            tree.below.push(Self::new("labels").with(labels));
        }
        tree.below.extend(numbers.map(|(key, value)| Self::new(format!("{key}: {value}"))));
        tree.below.push(Self::new(format!("time: {}", duration(*took))));
        tree.below.extend(below[at].iter().map(|at| Self::of_part(*at, parts, below)));
        tree
    }

    /// The tree's lines; the root is a dot.
    pub(crate) fn lines(roots: Vec<Self>) -> Vec<String> {
        let mut lines = vec![".".to_owned()];
        let root = Self { text: String::new(), below: roots };
        root.draw("", &mut lines);
        lines
    }

    fn draw(&self, before: &str, lines: &mut Vec<String>) {
        let last = self.below.len().saturating_sub(1);
        for (at, child) in self.below.iter().enumerate() {
            let (here, further) = if at == last { ("└── ", "    ") } else { ("├── ", "│   ") };
            lines.push(format!("{before}{here}{}", child.text));
            child.draw(&format!("{before}{further}"), lines);
        }
    }
}

/// A duration as Go prints it, which InfluxDB is written in.
pub(crate) fn duration(took: Duration) -> String {
    influxql::duration::format_go(i64::try_from(took.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
