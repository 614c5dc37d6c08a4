//! Booleans: packed, as runs, or one byte when all of a page are the same.

use std::ops::Range;

use model::{Bitmap, varint};

use super::{BITS, EMPTY, Encoded, EncodedPage, RUNS, SAME_BIT};
use crate::error::Damage;

pub(super) fn encode(values: &Bitmap, pages: &[Range<usize>]) -> Encoded {
    let page = |range: &Range<usize>| {
        if range.is_empty() {
            return EncodedPage::empty();
        }
        let page = part(values, range);
        let first = u8::from(page.get(0));
        let packed_len = page.len().div_ceil(8);
        let changes = changes(&page);
        if changes.is_empty() {
            return EncodedPage { codec: SAME_BIT, payload: vec![first] };
        }
        let mut payload = Vec::with_capacity(packed_len);
        if changes.len() + 1 < packed_len {
            payload.push(first);
            let mut start = 0;
            for change in changes {
                varint::put(&mut payload, u64::from(change - start));
                start = change;
            }
            if payload.len() < packed_len {
                return EncodedPage { codec: RUNS, payload };
            }
            payload.clear();
        }
        put_words(&mut payload, &page);
        EncodedPage { codec: BITS, payload }
    };
    Encoded { shared: Vec::new(), pages: pages.iter().map(page).collect() }
}

fn part(bits: &Bitmap, range: &Range<usize>) -> Bitmap {
    let mut part = Bitmap::new();
    part.extend_from(bits, range.start, range.end);
    part
}

/// The places of bits that differ from the one before.
fn changes(bits: &Bitmap) -> Vec<u32> {
    let mut before = u64::from(bits.get(0));
    let change = |word: &u64| {
        let changes = word ^ (word << 1 | before);
        before = word >> 63;
        changes
    };
    let changes = bits.words().iter().map(change).collect();
    Bitmap::from_words(changes, bits.len()).expect("as many words as bits need").ones()
}

/// Appends exactly `count` booleans.
pub(super) fn decode(codec: u8, payload: &[u8], count: usize, out: &mut Bitmap) -> Result<(), Damage> {
    match (codec, payload) {
        (EMPTY, []) if count == 0 => Ok(()),
        (SAME_BIT, [bit @ (0 | 1)]) => {
            out.push_n(*bit == 1, count);
            Ok(())
        }
        (BITS, _) => {
            let bits = take(payload, count).ok_or(Damage::Malformed("bits"))?;
            out.extend_from(&bits, 0, count);
            Ok(())
        }
        (RUNS, [bit @ (0 | 1), runs @ ..]) => decode_runs(*bit == 1, runs, count, out),
        _ => Err(Damage::Malformed("codec")),
    }
}

fn decode_runs(mut bit: bool, mut runs: &[u8], count: usize, out: &mut Bitmap) -> Result<(), Damage> {
    let mut left = count;
    while !runs.is_empty() {
        let run = varint::take(&mut runs).ok_or(Damage::Truncated)?;
        let run = usize::try_from(run).ok().filter(|run| (1..left).contains(run));
        let run = run.ok_or(Damage::Malformed("runs"))?;
        out.push_n(bit, run);
        left -= run;
        bit = !bit;
    }
    out.push_n(bit, left);
    Ok(())
}

/// Appends the bits of a range in bytes, lowest first; the last byte is filled up with zeros.
pub(crate) fn put(out: &mut Vec<u8>, bits: &Bitmap, range: &Range<usize>) {
    put_words(out, &part(bits, range));
}

fn put_words(out: &mut Vec<u8>, bits: &Bitmap) {
    let end = out.len() + bits.len().div_ceil(8);
    bits.words().iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    out.truncate(end);
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
