//! Booleans: packed, or one byte when all of a page are the same.

use std::ops::Range;

use model::Bitmap;

use super::{BITS, EMPTY, Encoded, EncodedPage, SAME_BIT};
use crate::error::Damage;

pub(super) fn encode(values: &Bitmap, pages: &[Range<usize>]) -> Encoded {
    let page = |range: &Range<usize>| {
        if range.is_empty() {
            return EncodedPage::empty();
        }
        let first = values.get(range.start);
        if range.clone().all(|i| values.get(i) == first) {
            return EncodedPage { codec: SAME_BIT, payload: vec![u8::from(first)] };
        }
        let mut payload = Vec::new();
        put(&mut payload, range.clone().map(|i| values.get(i)));
        EncodedPage { codec: BITS, payload }
    };
    Encoded { shared: Vec::new(), pages: pages.iter().map(page).collect() }
}

pub(super) fn decode(codec: u8, payload: &[u8], count: usize) -> Result<Bitmap, Damage> {
    match (codec, payload) {
        (EMPTY, []) if count == 0 => Ok(Bitmap::new()),
        (SAME_BIT, [bit @ (0 | 1)]) => Ok(Bitmap::filled(*bit == 1, count)),
        (BITS, _) => take(payload, count).ok_or(Damage::Malformed("bits")),
        _ => Err(Damage::Malformed("codec")),
    }
}

/// Appends bits in bytes, lowest first; the last byte is filled up with zeros.
pub(crate) fn put(out: &mut Vec<u8>, bits: impl Iterator<Item = bool>) {
    let (mut byte, mut filled) = (0_u8, 0);
    for bit in bits {
        byte |= u8::from(bit) << filled;
        filled += 1;
        if filled == 8 {
            out.push(byte);
            (byte, filled) = (0, 0);
        }
    }
    if filled > 0 {
        out.push(byte);
    }
}

/// Reads exactly `count` bits; `None` when the bytes are not exactly those that [`put`] wrote.
pub(crate) fn take(bytes: &[u8], count: usize) -> Option<Bitmap> {
    if bytes.len() != count.div_ceil(8) {
        return None;
    }
    let words = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(word)
    });
    let padding = if count.is_multiple_of(8) { 0 } else { bytes.last().copied().unwrap_or(0) >> (count % 8) };
    if padding != 0 {
        return None;
    }
    Bitmap::from_words(words.collect(), count)
}
