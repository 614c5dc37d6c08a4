//! The pass over a body: lines, comments, blanks, the parts of a point, and what becomes of bad lines.

use super::keys::Keys;
use super::number::{at, ends_line, timestamp};
use super::reason::Reason;
use super::table::Tables;
use super::{ERROR_TEXT_BYTES_MAX, ERRORS_MAX, LineError, Options, Parsed};
use crate::batch::Batch;

/// The longest body: offsets into string columns are 31 bits, and the batch must fit a log entry.
const BODY_BYTES_MAX: usize = 256 << 20;

/// Reads one body.
pub(super) struct Parser<'a, 'o> {
    options: &'o Options,
    default_time: i64,
    keys: Keys<'a>,
    tables: Tables<'a>,
    errors: Vec<LineError>,
    refused: usize,
}

impl<'a, 'o> Parser<'a, 'o> {
    pub(super) fn new(options: &'o Options, body_bytes: usize) -> Self {
        let mut parser = Self {
            options,
            default_time: truncate(options.default_time.0, options.precision.nanos()),
            keys: Keys::new(options.bucket),
            tables: Tables::new(),
            errors: Vec::new(),
            refused: 0,
        };
        if body_bytes > BODY_BYTES_MAX {
            parser.refuse(1, String::new(), &Reason::BodyTooLong(body_bytes));
        }
        parser
    }

    /// Reads a body that is UTF-8.
    pub(super) fn text(&mut self, text: &'a str) {
        self.lines(text, 1);
    }

    /// Reads a body that is not UTF-8 as a whole: only the lines that are not are refused.
    pub(super) fn mixed(&mut self, body: &'a [u8]) {
        let mut pos = 0;
        let mut number = 1;
        while pos < body.len() && body.len() <= BODY_BYTES_MAX {
            let start = skip_blanks(body, pos);
            let end = line_end(body, start);
            let line = body.get(pos..end).unwrap_or_default();
            match simdutf8::compat::from_utf8(line) {
                Ok(text) => self.lines(text, number),
                Err(_) if at(body, start) == b'#' => {}
                Err(invalid) => {
                    let shown = line.get(start - pos..).unwrap_or_default();
                    let shown = shown.get(..ERROR_TEXT_BYTES_MAX).unwrap_or(shown);
                    let reason = Reason::NotUtf8((pos + invalid.valid_up_to()).saturating_sub(start));
                    self.refuse(number, String::from_utf8_lossy(shown).into_owned(), &reason);
                }
            }
            let after = (end + 1).min(body.len());
            number += newlines(body.get(pos..after).unwrap_or_default());
            pos = end + 1;
        }
    }

    /// Reads lines of which the first has the number `first`.
    fn lines(&mut self, text: &'a str, first: usize) {
        let bytes = text.as_bytes();
        if bytes.len() > BODY_BYTES_MAX {
            return;
        }
        let mut pos = 0;
        // Lines are numbered only when one is refused: line `number` begins at or before `numbered_to`.
        let (mut number, mut numbered_to) = (first, 0);
        while pos < bytes.len() {
            let start = skip_blanks(bytes, pos);
            if ends_line(bytes, start) || at(bytes, start) == b'#' {
                let rest = bytes.get(start..).unwrap_or_default();
                pos = memchr::memchr(b'\n', rest).map_or(bytes.len(), |n| start + n + 1);
                continue;
            }
            pos = match self.line(text, start) {
                Ok(after) => after,
                Err(reason) => {
                    let end = line_end(bytes, start);
                    number += newlines(bytes.get(numbered_to..start).unwrap_or_default());
                    numbered_to = start;
                    let mut line = text.get(start..end).unwrap_or_default();
                    line = line.strip_suffix('\r').unwrap_or(line);
                    let max = self.options.line_bytes_max;
                    let too_long = (line.len() > max).then_some(Reason::LineTooLong(line.len(), max));
                    self.refuse(number, cut(line).to_owned(), too_long.as_ref().unwrap_or(&reason));
                    end + 1
                }
            };
        }
    }

    /// Reads the point that begins at `start`; the position after its line.
    #[inline(always)]
    fn line(&mut self, text: &'a str, start: usize) -> Result<usize, Reason> {
        let (place, end) = self.keys.find(text, start, &mut self.tables)?;
        let begin = skip_blanks(text.as_bytes(), end);
        let (nanos, default_time) = (self.options.precision.nanos(), self.default_time);
        let (table, cells) = self.tables.table(place)?;
        let read = table.fields(text, begin, self.options.string_bytes_max, cells).and_then(|pos| {
            table.check_row(place, *cells)?;
            let (time, after) = time(text.as_bytes(), pos, nanos, default_time)?;
            let length = after - 1 - start;
            if length > self.options.line_bytes_max {
                return Err(Reason::LineTooLong(length, self.options.line_bytes_max));
            }
            Ok((time, after))
        });
        match read {
            Ok((time, after)) => {
                table.commit(place.series, time, cells);
                Ok(after)
            }
            Err(reason) => {
                table.roll_back();
                Err(reason)
            }
        }
    }

    #[cold]
    fn refuse(&mut self, line: usize, text: String, reason: &Reason) {
        self.refused += 1;
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(LineError { line, text, reason: reason.to_string(), kind: reason.kind() });
        }
    }

    /// The batch of the good lines.
    pub(super) fn finish(self) -> Parsed {
        let batch = Batch {
            bucket: self.options.bucket,
            shard_duration_ns: self.options.shard_duration_ns,
            tables: self.tables.finish(),
        };
        Parsed { batch, errors: self.errors, refused: self.refused }
    }
}

/// The time of the point whose fields end at `pos`, and the position after the line.
#[inline(always)]
fn time(bytes: &[u8], pos: usize, nanos: i64, default_time: i64) -> Result<(i64, usize), Reason> {
    let start = skip_blanks(bytes, pos);
    let (time, mut end) =
        if ends_line(bytes, start) { (default_time, start) } else { timestamp(bytes, start, nanos)? };
    while at(bytes, end) == b' ' {
        end += 1;
    }
    match at(bytes, end) {
        b'\n' => Ok((time, end + 1)),
        b'\r' if ends_line(bytes, end) => Ok((time, end + 2)),
        _ => Err(Reason::PointInvalid),
    }
}

/// Skips what InfluxDB takes for blanks between the parts of a line.
#[inline(always)]
fn skip_blanks(bytes: &[u8], mut pos: usize) -> usize {
    while matches!(at(bytes, pos), b' ' | b'\t' | 0) {
        pos += 1;
    }
    pos
}

/// The end of the line whose point begins at `start`: the first newline outside of a quoted string, or the end
/// of the body. Quotes count only in field values. For bad lines; good ones end where their last part ends.
fn line_end(bytes: &[u8], start: usize) -> usize {
    let mut pos = start;
    let (mut in_fields, mut in_value, mut quoted) = (false, false, false);
    let comment = at(bytes, start) == b'#';
    while pos < bytes.len() {
        match at(bytes, pos) {
            b'\n' if !quoted => return pos,
            _ if comment => {}
            b'\\' if at(bytes, pos + 1) != b'\n' || quoted => pos += 1,
            b'"' if quoted => (quoted, in_value) = (false, false),
            _ if quoted => {}
            b' ' => (in_fields, in_value) = (true, false),
            b'=' if in_fields => in_value = true,
            b',' => in_value = false,
            b'"' if in_value => quoted = true,
            _ => {}
        }
        pos += 1;
    }
    bytes.len()
}

/// `time` rounded down to a multiple of `nanos` (at the very beginning of time: up).
fn truncate(time: i64, nanos: i64) -> i64 {
    let floor = time.checked_sub(time.rem_euclid(nanos)).filter(|t| *t >= crate::Timestamp::MIN.0);
    floor.unwrap_or_else(|| time - time % nanos)
}

fn newlines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

/// At most [`ERROR_TEXT_BYTES_MAX`] of a line.
fn cut(line: &str) -> &str {
    &line[..line.floor_char_boundary(ERROR_TEXT_BYTES_MAX)]
}
