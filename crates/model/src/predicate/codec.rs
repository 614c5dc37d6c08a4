//! The bytes of a predicate, for the log and for the manifest.
//!
//! ```text
//! predicate  0 | 1                                 never, always
//!            2 | subject | test                    one comparison
//!            3 | count | predicate ...             all of them
//!            4 | count | predicate ...             any of them
//!            5 | predicate                         the opposite
//! subject    0 | 1                                 measurement, name of the field
//!            2 | text                              value of a tag
//! test       0 | 1 | 2 | 3, then text              equal, not equal, matches, does not match
//!            4 | count | text ...                  one of
//! text       length | bytes, UTF-8                 counts and lengths are varints
//! ```
//! Nothing that is read is trusted: what decodes is within the bounds below, and any other bytes are an error.

use regex::Regex;

use super::{Predicate, Subject, Test};
use crate::varint;

/// Most bytes of an encoded predicate.
pub const BYTES_MAX: usize = 64 << 10;
/// Most levels of a predicate: a comparison has one.
pub const DEPTH_MAX: usize = 32;

/// Why a predicate has no bytes, or bytes are no predicate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// More bytes than [`BYTES_MAX`].
    #[error("the predicate takes {0} bytes, and at most {BYTES_MAX} are allowed")]
    TooLong(usize),
    /// More levels than [`DEPTH_MAX`].
    #[error("the predicate has more than {DEPTH_MAX} levels")]
    TooDeep,
    /// The bytes end before the predicate does.
    #[error("the predicate is cut short")]
    Truncated,
    /// Bytes that no encoder writes; the word says where.
    #[error("the predicate has a malformed {0}")]
    Malformed(&'static str),
}

/// Encodes a predicate, if it is within the bounds.
pub fn encode(predicate: &Predicate) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    put(predicate, &mut out, DEPTH_MAX)?;
    if out.len() > BYTES_MAX { Err(CodecError::TooLong(out.len())) } else { Ok(out) }
}

fn put(predicate: &Predicate, out: &mut Vec<u8>, depth: usize) -> Result<(), CodecError> {
    let depth = depth.checked_sub(1).ok_or(CodecError::TooDeep)?;
    let mut all = |kind: u8, parts: &[Predicate]| {
        out.push(kind);
        varint::put(out, parts.len() as u64);
        parts.iter().try_for_each(|part| put(part, out, depth))
    };
    match predicate {
        Predicate::Constant(truth) => out.push(u8::from(*truth)),
        Predicate::And(parts) => all(3, parts)?,
        Predicate::Or(parts) => all(4, parts)?,
        Predicate::Not(inner) => {
            out.push(5);
            put(inner, out, depth)?;
        }
        Predicate::Compare(subject, test) => {
            out.push(2);
            match subject {
                Subject::Measurement => out.push(0),
                Subject::Field => out.push(1),
                Subject::Tag(key) => {
                    out.push(2);
                    varint::put_bytes(out, key.as_bytes());
                }
            }
            let (kind, text) = match test {
                Test::Eq(text) => (0, text.as_str()),
                Test::NotEq(text) => (1, text.as_str()),
                Test::Matches(regex) => (2, regex.as_str()),
                Test::NotMatches(regex) => (3, regex.as_str()),
                Test::In(texts) => {
                    out.push(4);
                    varint::put(out, texts.len() as u64);
                    texts.iter().for_each(|text| varint::put_bytes(out, text.as_bytes()));
                    return Ok(());
                }
            };
            out.push(kind);
            varint::put_bytes(out, text.as_bytes());
        }
    }
    Ok(())
}

/// Reads what [`encode`] wrote.
pub fn decode(mut input: &[u8]) -> Result<Predicate, CodecError> {
    if input.len() > BYTES_MAX {
        return Err(CodecError::TooLong(input.len()));
    }
    let predicate = take(&mut input, DEPTH_MAX)?;
    if input.is_empty() { Ok(predicate) } else { Err(CodecError::Malformed("end")) }
}

fn take(input: &mut &[u8], depth: usize) -> Result<Predicate, CodecError> {
    let depth = depth.checked_sub(1).ok_or(CodecError::TooDeep)?;
    let parts = |input: &mut &[u8]| -> Result<Vec<Predicate>, CodecError> {
        let count = take_count(input)?;
        (0..count).map(|_| take(input, depth)).collect()
    };
    Ok(match take_byte(input)? {
        0 => Predicate::Constant(false),
        1 => Predicate::Constant(true),
        2 => Predicate::Compare(take_subject(input)?, take_test(input)?),
        3 => Predicate::And(parts(input)?),
        4 => Predicate::Or(parts(input)?),
        5 => Predicate::Not(Box::new(take(input, depth)?)),
        _ => return Err(CodecError::Malformed("kind")),
    })
}

fn take_subject(input: &mut &[u8]) -> Result<Subject, CodecError> {
    match take_byte(input)? {
        0 => Ok(Subject::Measurement),
        1 => Ok(Subject::Field),
        2 => Ok(Subject::Tag(take_text(input)?)),
        _ => Err(CodecError::Malformed("subject")),
    }
}

fn take_test(input: &mut &[u8]) -> Result<Test, CodecError> {
    let regex = |input: &mut &[u8]| {
        Regex::new(&take_text(input)?).map_err(|_why| CodecError::Malformed("regular expression"))
    };
    Ok(match take_byte(input)? {
        0 => Test::Eq(take_text(input)?),
        1 => Test::NotEq(take_text(input)?),
        2 => Test::Matches(regex(input)?),
        3 => Test::NotMatches(regex(input)?),
        4 => {
            let count = take_count(input)?;
            Test::In((0..count).map(|_| take_text(input)).collect::<Result<_, _>>()?)
        }
        _ => return Err(CodecError::Malformed("test")),
    })
}

fn take_byte(input: &mut &[u8]) -> Result<u8, CodecError> {
    let (byte, rest) = input.split_first().ok_or(CodecError::Truncated)?;
    *input = rest;
    Ok(*byte)
}

/// A number of parts, each of which takes at least a byte.
fn take_count(input: &mut &[u8]) -> Result<usize, CodecError> {
    let count = varint::take(input).and_then(|n| usize::try_from(n).ok()).ok_or(CodecError::Truncated)?;
    if count <= input.len() { Ok(count) } else { Err(CodecError::Truncated) }
}

fn take_text(input: &mut &[u8]) -> Result<String, CodecError> {
    let bytes = varint::take_bytes(input).ok_or(CodecError::Truncated)?;
    let text = std::str::from_utf8(bytes).map_err(|_at| CodecError::Malformed("text"))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
