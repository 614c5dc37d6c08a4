//! Integers in blocks of 128, bit-packed.
//!
//! ```text
//! block: | kind and width | base (kind 0 only) | values, width bits each, lowest first, to a whole byte |
//! ```
//! Kind 0 holds the distance from the block's smallest value (the base), kind 1 (bit 7 set) the zigzag difference
//! from the value before, whichever is narrower. A width of 0 needs no bits, so constants and steps cost a byte
//! or two per block.

use super::DecodeError;
use crate::varint;

const BLOCK: usize = 128;
const DELTA: u8 = 0x80;
/// Bytes of a block at the greatest width, and room to read eight bytes at any of them.
const BUFFER: usize = BLOCK * 8 + 16;

/// Appends the values.
pub(super) fn encode(values: &[i64], out: &mut Vec<u8>) {
    let mut previous = 0;
    let mut block = [0_u64; BLOCK];
    for chunk in values.chunks(BLOCK) {
        let least = chunk.iter().copied().min().unwrap_or(0);
        let most = chunk.iter().copied().max().unwrap_or(0);
        let base_bits = bits(distance(most, least));
        let mut all = 0;
        for (slot, &value) in block.iter_mut().zip(chunk) {
            *slot = varint::zigzag(value.wrapping_sub(previous));
            all |= *slot;
            previous = value;
        }
        let delta_bits = bits(all);
        if delta_bits < base_bits {
            out.push(DELTA | delta_bits);
            pack(&block[..chunk.len()], delta_bits, out);
        } else {
            out.push(base_bits);
            varint::put(out, varint::zigzag(least));
            for (slot, &value) in block.iter_mut().zip(chunk) {
                *slot = distance(value, least);
            }
            pack(&block[..chunk.len()], base_bits, out);
        }
    }
}

/// Reads `len` values; the caller has bounded `len`.
pub(super) fn decode(input: &mut &[u8], len: usize) -> Result<Vec<i64>, DecodeError> {
    // Every block has at least one byte.
    if len.div_ceil(BLOCK) > input.len() {
        return Err(DecodeError("cut in integers"));
    }
    let mut values = Vec::with_capacity(len);
    let mut previous = 0_i64;
    let mut block = [0_u64; BLOCK];
    let mut buffer = [0_u8; BUFFER];
    while values.len() < len {
        let count = (len - values.len()).min(BLOCK);
        let (&head, rest) = input.split_first().ok_or(DecodeError("cut in integers"))?;
        *input = rest;
        let width = head & !DELTA;
        if width > 64 {
            return Err(DecodeError("a width over 64 bits"));
        }
        let block = &mut block[..count];
        if head & DELTA == 0 {
            let base = varint::unzigzag(varint::take(input).ok_or(DecodeError("cut in integers"))?);
            unpack(input, width, block, &mut buffer)?;
            values.extend(block.iter().map(|d| add(base, *d)));
        } else {
            unpack(input, width, block, &mut buffer)?;
            values.extend(block.iter().map(|d| {
                previous = previous.wrapping_add(varint::unzigzag(*d));
                previous
            }));
        }
        previous = values.last().copied().unwrap_or(0);
    }
    Ok(values)
}

#[expect(clippy::cast_sign_loss, reason = "the distance of two i64 fits a u64")]
const fn distance(value: i64, base: i64) -> u64 {
    value.wrapping_sub(base) as u64
}

#[expect(clippy::cast_possible_wrap, reason = "undoes `distance` modulo 2^64")]
const fn add(base: i64, distance: u64) -> i64 {
    base.wrapping_add(distance as i64)
}

#[expect(clippy::cast_possible_truncation, reason = "at most 64")]
const fn bits(value: u64) -> u8 {
    (64 - value.leading_zeros()) as u8
}

fn packed_bytes(count: usize, width: u8) -> usize {
    (count * usize::from(width)).div_ceil(8)
}

fn pack(values: &[u64], width: u8, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let end = out.len() + packed_bytes(values.len(), width);
    let (mut word, mut filled) = (0_u64, 0_u32);
    for &value in values {
        word |= value << filled;
        filled += u32::from(width);
        if filled >= 64 {
            out.extend_from_slice(&word.to_le_bytes());
            filled -= 64;
            // The bits of `value` that did not fit; none when it filled the word exactly.
            word = value.checked_shr(u32::from(width) - filled).unwrap_or(0);
        }
    }
    out.extend_from_slice(&word.to_le_bytes());
    out.truncate(end);
}

fn unpack(
    input: &mut &[u8],
    width: u8,
    values: &mut [u64],
    buffer: &mut [u8; BUFFER],
) -> Result<(), DecodeError> {
    if width == 0 {
        values.fill(0);
        return Ok(());
    }
    let packed = super::take_exact(input, packed_bytes(values.len(), width))?;
    buffer[..packed.len()].copy_from_slice(packed);
    let mask = u64::MAX >> (64 - width);
    let word = |byte: usize| {
        let bytes = buffer.get(byte..).and_then(|b| b.first_chunk::<8>());
        u64::from_le_bytes(*bytes.expect("the buffer has room after the last value"))
    };
    for (i, slot) in values.iter_mut().enumerate() {
        let bit = i * usize::from(width);
        let (byte, shift) = (bit / 8, bit % 8);
        let mut value = word(byte) >> shift;
        if shift + usize::from(width) > 64 {
            value |= word(byte + 8) << (64 - shift);
        }
        *slot = value & mask;
    }
    Ok(())
}
