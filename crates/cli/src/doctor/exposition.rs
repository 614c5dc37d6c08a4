//! Reads Prometheus's text format (0.0.4), of which `/metrics` is made. What cannot be read is passed over: the text comes
//! from outside.

/// The samples of a `/metrics`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    pub(crate) fn read(text: &str) -> Self {
        Self { samples: text.lines().filter_map(Sample::read).collect() }
    }

    /// The value of the first sample with a name and these labels among its own.
    pub(crate) fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &Sample| labels.iter().all(|(name, value)| sample.label(name) == Some(value));
        Some(self.samples.iter().find(|sample| sample.name == name && has(sample))?.value)
    }

    /// The same, or why nothing can be said.
    pub(crate) fn need(&self, name: &str) -> Result<f64, String> {
        self.need_of(name, &[])
    }

    pub(crate) fn need_of(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64, String> {
        match self.find(name, labels).filter(|value| value.is_finite()) {
            Some(value) => Ok(value),
            None if self.find("tidemark_starting", &[]) == Some(1.0) => {
                Err(format!("the node is starting: no {name} yet"))
            }
            None => Err(format!("no {name} in /metrics")),
        }
    }

    /// A label of the first sample with a name.
    pub(crate) fn label(&self, metric: &str, label: &str) -> Option<&str> {
        self.samples.iter().find(|sample| sample.name == metric)?.label(label)
    }
}

impl Sample {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }

    fn read(line: &str) -> Option<Self> {
        let line = line.trim();
        if line.starts_with('#') {
            return None;
        }
        let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
        let (name, mut rest) = line.split_at_checked(end)?;
        let mut labels = Vec::new();
        if let Some(within) = rest.strip_prefix('{') {
            (labels, rest) = read_labels(within)?;
        }
        // A time may follow the value.
        let value = rest.split_whitespace().next()?.parse().ok()?;
        (!name.is_empty()).then(|| Self { name: name.to_owned(), labels, value })
    }
}

/// The labels up to the closing brace, and what follows it.
fn read_labels(mut text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once('=')?;
        let mut value = String::new();
        let mut chars = rest.trim_start().strip_prefix('"')?.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => value.push(match chars.next()? {
                    'n' => '\n',
                    other => other,
                }),
                other => value.push(other),
            }
        }
        labels.push((name.trim().to_owned(), value));
        text = chars.as_str();
    }
}

#[cfg(test)]
mod tests;
