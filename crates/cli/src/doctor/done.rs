//! What an operator says that is done, and when it was.

use std::collections::BTreeMap;

use model::Timestamp;

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// Checks that were said to be done, and the day of it in seconds since 1970, where it was said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Done(BTreeMap<String, Option<i64>>);

impl Done {
    /// Reads `NAME` and `NAME=DATE`. The names are those of checks that nobody else can answer.
    pub(crate) fn read(texts: &[String], names: &[&str], now: i64) -> Result<Self, String> {
        let mut done = BTreeMap::new();
        for text in texts.iter().filter(|text| !text.trim().is_empty()) {
            let (name, date) = match text.trim().split_once('=') {
                Some((name, date)) => (name, Some(date)),
                None => (text.trim(), None),
            };
            if !names.contains(&name) {
                return Err(format!(
                    "--done {name}: that is not for you to say; these are: {}",
                    names.join(", ")
                ));
            }
            let day = date.map(day).transpose()?;
            // A zone may be ahead of ours by most of a day.
            if day.is_some_and(|day| day > now.saturating_add(DAY)) {
                return Err(format!("--done {text}: that day has yet to come"));
            }
            done.insert(name.to_owned(), day);
        }
        Ok(Self(done))
    }

    /// Whether it is done, and on which day.
    pub(crate) fn get(&self, name: &str) -> Option<Option<i64>> {
        self.0.get(name).copied()
    }
}

fn day(text: &str) -> Result<i64, String> {
    let is_date = text.len() == 10 && text.chars().all(|c| c.is_ascii_digit() || c == '-');
    let time = is_date.then(|| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"))).flatten();
    let time = time.ok_or_else(|| format!("{text:?} is no day such as 2026-01-31"))?;
    Ok(time.0.div_euclid(1_000_000_000))
}
