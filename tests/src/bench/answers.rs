//! What an answer holds, so that the answers of two servers can be compared: its bytes, its rows, and the sum of its numbers.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::peers::Peer;
use crate::say;

/// InfluxDB says so of each series of more than 10,000 rows in an answer, and it is whole: an accepted difference.
const NEVER_MEANT: &str = ",\"partial\":true";

/// What an answer holds. A row's first column, its time, is not in the sum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Digest {
    pub(crate) rows: usize,
    sum: f64,
    bytes: usize,
    crc: u32,
}

impl Digest {
    fn same_bytes(self, other: Self) -> bool {
        (self.bytes, self.crc) == (other.bytes, other.crc)
    }

    fn same_numbers(self, other: Self) -> bool {
        self.rows == other.rows && (self.sum - other.sum).abs() <= self.sum.abs() * 1e-9
    }

    /// Of an answer in InfluxQL's JSON. Read in one pass: answers may have millions of rows.
    pub(crate) fn of_influxql(text: &str) -> Self {
        let mut crc = flate2::Crc::new();
        text.split(NEVER_MEANT).for_each(|part| crc.update(part.as_bytes()));
        let bytes = usize::try_from(crc.amount()).unwrap_or_default();
        let mut digest = Self { rows: 0, sum: 0.0, bytes, crc: crc.sum() };
        // Which containers are open; a row is an array in an array.
        let (mut open, mut in_row, mut column) = (Vec::new(), false, 0);
        let (mut at, bytes) = (0, text.as_bytes());
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            match byte {
                b'"' => at += string_length(&bytes[at..]),
                b'[' | b'{' => {
                    in_row = byte == b'[' && open.last() == Some(&b'[');
                    digest.rows += usize::from(in_row);
                    column = 0;
                    open.push(byte);
                }
                b']' | b'}' => {
                    in_row = false;
                    open.pop();
                }
                b',' => column += 1,
                b'-' | b'0'..=b'9' if in_row && column > 0 => {
                    let more = |b: &&u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                    let length = bytes[at..].iter().take_while(more).count();
                    digest.sum += number(&text[at - 1..at + length]);
                    at += length;
                }
                _ => {}
            }
        }
        digest
    }

    /// Of an answer that was not kept.
    pub(crate) fn of_stream(rows: usize, bytes: usize, crc: u32) -> Self {
        Self { rows, sum: 0.0, bytes, crc }
    }

    /// Rows are points of time: the answer has one matrix for each field and host.
    pub(crate) fn of_metricsql(text: &str, fields: usize) -> Result<Self, String> {
        let answer: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let series = answer["data"]["result"].as_array().map(Vec::as_slice).unwrap_or_default();
        let points = series.iter().filter_map(|s| s["values"].as_array()).map(Vec::len).sum::<usize>();
        Ok(Self { rows: points / fields, sum: 0.0, bytes: 0, crc: 0 })
    }
}

/// Bytes up to the end of a string whose opening quote was read, closing quote included.
fn string_length(bytes: &[u8]) -> usize {
    let mut escaped = false;
    let end = bytes.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(bytes.len(), |end| end + 1)
}

fn number(text: &str) -> f64 {
    // Most are small whole numbers, and of those there are very many.
    text.parse::<i32>().map_or_else(|_not_whole| text.parse().unwrap_or(f64::NAN), f64::from)
}

/// The answers that were seen first, by shape and window: later servers must give the same.
#[derive(Debug, Default)]
pub(crate) struct Answers(BTreeMap<(&'static str, usize), (Peer, Digest)>);

impl Answers {
    /// Compares with what another server answered, or keeps it if this is the first. The numbers must agree; of bytes
    /// that do not it only says so.
    pub(crate) fn compare(
        &mut self,
        key: (&'static str, usize),
        peer: Peer,
        digest: Digest,
        what: &str,
    ) -> Result<(), String> {
        let (first, expected) = *self.0.entry(key).or_insert((peer, digest));
        if !digest.same_numbers(expected) {
            return Err(format!("{peer} has {digest:?}, but {first} has {expected:?}: {what}"));
        }
        if !digest.same_bytes(expected) {
            say(&format!("{peer} and {first} have the same numbers in other bytes: {what}"));
        }
        Ok(())
    }
}
