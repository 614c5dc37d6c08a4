//! Numbers and timestamps: InfluxDB's grammar, digits converted eight at a time.
//!
//! The common shapes (`58i`, `58`, `58.25`, a timestamp) are recognised directly; everything else goes through
//! [`checked`], which follows InfluxDB's scanner step by step and so gives its reasons.

use super::reason::Reason;
use crate::time::Timestamp;

/// A parsed number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Float(f64),
    Integer(i64),
    Unsigned(u64),
}

/// The byte at `pos`; past the end there is an endless line end.
#[inline(always)]
pub(super) fn at(bytes: &[u8], pos: usize) -> u8 {
    bytes.get(pos).copied().unwrap_or(b'\n')
}

/// Whether a line ends at `pos`: `\n`, the end of the body, or `\r` before either.
#[inline(always)]
pub(super) fn ends_line(bytes: &[u8], pos: usize) -> bool {
    match at(bytes, pos) {
        b'\n' => true,
        b'\r' => at(bytes, pos + 1) == b'\n',
        _ => false,
    }
}

/// Whether a field's value ends at `pos`.
#[inline(always)]
pub(super) fn ends_value(bytes: &[u8], pos: usize) -> bool {
    matches!(at(bytes, pos), b',' | b' ') || ends_line(bytes, pos)
}

/// Powers of ten that a double holds exactly, so that a quotient of exact numbers is rounded once.
const EXACT_POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

const POWERS: [u64; 16] = {
    let mut powers = [1_u64; 16];
    let mut i = 1;
    while i < 16 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// Most digits whose every value is exact in a double.
const FLOAT_DIGITS_EXACT: usize = 15;
/// Most digits whose every value is an `i64`.
const INTEGER_DIGITS_EXACT: usize = 18;
/// Most digits whose every value is a `u64`. Nanoseconds of our days have as many.
const UNSIGNED_DIGITS_EXACT: usize = 19;

/// The run of digits at `pos`: its value (wrapped beyond 19 digits) and its length.
#[inline(always)]
fn digits(bytes: &[u8], pos: usize) -> (u64, usize) {
    let rest = bytes.get(pos..).unwrap_or_default();
    let mut value = 0_u64;
    let mut len = 0;
    while let Some(chunk) = rest.get(len..).and_then(|r| r.first_chunk::<8>()) {
        let ascii = u64::from_le_bytes(*chunk) ^ 0x3030_3030_3030_3030;
        // The lowest byte above 9 sets its high bit; bytes after it may be disturbed by the carry.
        let others = (ascii.wrapping_add(0x7676_7676_7676_7676) | ascii) & 0x8080_8080_8080_8080;
        let count = others.trailing_zeros() / 8;
        if count == 8 {
            value = value.wrapping_mul(100_000_000).wrapping_add(eight(ascii));
            len += 8;
        } else {
            if count > 0 {
                let part = eight(ascii << (64 - 8 * count));
                value = value.wrapping_mul(POWERS[count as usize]).wrapping_add(part);
            }
            return (value, len + count as usize);
        }
    }
    while let Some(digit) = rest.get(len).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        len += 1;
    }
    (value, len)
}

/// The number of eight decimal digits, the first in the lowest byte.
#[inline(always)]
const fn eight(digits: u64) -> u64 {
    const LOW: u64 = 0x0000_00ff_0000_00ff;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let high = (pairs & LOW).wrapping_mul(0x000f_4240_0000_0064);
    let low = ((pairs >> 16) & LOW).wrapping_mul(0x0000_2710_0000_0001);
    high.wrapping_add(low) >> 32
}

/// The number at `start` and the position after it.
#[inline(always)]
#[expect(clippy::cast_possible_wrap, reason = "at most 18 digits")]
pub(super) fn number(bytes: &[u8], start: usize) -> Result<(Number, usize), Reason> {
    let negative = at(bytes, start) == b'-';
    let pos = start + usize::from(negative);
    let (whole, len) = digits(bytes, pos);
    let end = pos + len;
    match at(bytes, end) {
        b'i' if (1..=INTEGER_DIGITS_EXACT).contains(&len) && ends_value(bytes, end + 1) => {
            let value = whole as i64;
            return Ok((Number::Integer(if negative { -value } else { value }), end + 1));
        }
        b'.' if len <= FLOAT_DIGITS_EXACT => {
            let (fraction, more) = digits(bytes, end + 1);
            let end = end + 1 + more;
            if (1..=FLOAT_DIGITS_EXACT).contains(&(len + more)) && ends_value(bytes, end) {
                let value = (whole * POWERS[more] + fraction) as f64 / EXACT_POWERS[more];
                return Ok((Number::Float(if negative { -value } else { value }), end));
            }
        }
        _ if (1..=FLOAT_DIGITS_EXACT).contains(&len) && ends_value(bytes, end) => {
            let value = whole as f64;
            return Ok((Number::Float(if negative { -value } else { value }), end));
        }
        _ => {}
    }
    checked(bytes, start)
}

/// The number at `start` by the full grammar.
#[cold]
fn checked(bytes: &[u8], start: usize) -> Result<(Number, usize), Reason> {
    let mut end = start;
    while !ends_value(bytes, end) {
        end += 1;
    }
    let token = bytes.get(start..end).unwrap_or_default();
    Ok((token_number(token)?, end))
}

fn token_number(token: &[u8]) -> Result<Number, Reason> {
    let unsigned_part = token.strip_prefix(b"-").unwrap_or(token);
    let (mut suffix, mut point, mut exponent, mut digits) = (None, false, false, false);
    let mut previous = if unsigned_part.len() < token.len() { b'-' } else { 0 };
    for (i, &byte) in unsigned_part.iter().enumerate() {
        let first = i == 0 && unsigned_part.len() == token.len();
        match byte {
            b'0'..=b'9' => digits = true,
            b'.' if !point => point = true,
            b'i' | b'u' if !first && suffix.is_none() => suffix = Some(byte),
            b'e' | b'E' if !first => exponent = true,
            b'+' | b'-' if matches!(previous, b'e' | b'E') => {}
            _ => return Err(Reason::InvalidNumber),
        }
        previous = byte;
    }
    if !digits || (suffix.is_some() && (point || exponent || token.last() != suffix.as_ref())) {
        return Err(Reason::InvalidNumber);
    }
    // Only ASCII was let through above.
    let text = str::from_utf8(token).map_err(|_not_text| Reason::InvalidNumber)?;
    match suffix {
        Some(b'i') => {
            let text = &text[..text.len() - 1];
            text.parse().map(Number::Integer).map_err(|_range| Reason::IntegerRange(text.into()))
        }
        Some(_) => {
            let text = &text[..text.len() - 1];
            if text.starts_with('-') {
                return Err(Reason::InvalidNumber);
            }
            text.parse().map(Number::Unsigned).map_err(|_range| Reason::UnsignedRange(text.into()))
        }
        None => match fast_float2::parse::<f64, _>(text) {
            Ok(value) if value.is_finite() => Ok(Number::Float(value)),
            _ => Err(Reason::InvalidFloat),
        },
    }
}

/// The boolean at `start` and the position after it.
pub(super) fn boolean(bytes: &[u8], start: usize) -> Result<(bool, usize), Reason> {
    let mut end = start;
    while end - start <= 5 && !ends_value(bytes, end) {
        end += 1;
    }
    match bytes.get(start..end).unwrap_or_default() {
        b"t" | b"T" | b"true" | b"True" | b"TRUE" => Ok((true, end)),
        b"f" | b"F" | b"false" | b"False" | b"FALSE" => Ok((false, end)),
        _ => Err(Reason::InvalidBoolean),
    }
}

/// The timestamp at `start` in nanoseconds, and the position after its digits. There must be some text.
#[inline(always)]
pub(super) fn timestamp(bytes: &[u8], start: usize, nanos: i64) -> Result<(i64, usize), Reason> {
    let negative = at(bytes, start) == b'-';
    let pos = start + usize::from(negative);
    let (value, len) = digits(bytes, pos);
    let end = pos + len;
    if at(bytes, end) != b' ' && !ends_line(bytes, end) {
        return Err(Reason::BadTimestamp);
    }
    let units = match i64::try_from(value) {
        Ok(value) if (1..=UNSIGNED_DIGITS_EXACT).contains(&len) => {
            if negative {
                -value
            } else {
                value
            }
        }
        _ => timestamp_digits(bytes.get(start..end).unwrap_or_default())?,
    };
    match units.checked_mul(nanos) {
        Some(time) if (Timestamp::MIN.0..=Timestamp::MAX.0).contains(&time) => Ok((time, end)),
        _ => Err(Reason::TimeOutOfRange),
    }
}

#[cold]
fn timestamp_digits(token: &[u8]) -> Result<i64, Reason> {
    let text = str::from_utf8(token).map_err(|_not_text| Reason::BadTimestamp)?;
    if text == "-" {
        return Err(Reason::TimestampOnlySign);
    }
    text.parse().map_err(|_range| Reason::TimestampDigits(text.into()))
}
