//! LEB128 variable-length integers and zigzag, for every format of ours. Readers never trust a length.

#[cfg(test)]
mod tests;

/// Appends `value` in groups of seven bits, lowest first.
#[expect(clippy::cast_possible_truncation, reason = "the low seven bits are what is wanted")]
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Number of bytes that [`put`] appends.
pub const fn len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Reads one integer from the front of `input` and advances it; `None` when it is cut or over 64 bits.
pub fn take(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in 0..10_u32 {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 9 && bits > 1 {
            return None;
        }
        value |= bits << (shift * 7);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Reads a length and that many bytes, never more than there are.
pub fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take(input)?).ok()?;
    let (bytes, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(bytes)
}

/// Appends a length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Maps small magnitudes of either sign to small unsigned numbers.
#[expect(clippy::cast_sign_loss, reason = "zigzag reinterprets the bits")]
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
#[expect(clippy::cast_possible_wrap, reason = "zigzag reinterprets the bits")]
pub const fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}
