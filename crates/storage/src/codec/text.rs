//! Strings: plain, by dictionary, or lz4; the smallest wins.

use std::ops::Range;

use hashbrown::HashMap;
use model::{StringColumn, varint};

use super::{DICTIONARY, EMPTY, Encoded, EncodedPage, LZ4, PLAIN};
use crate::error::Damage;

/// Most distinct strings of a dictionary.
const DISTINCT_MAX: usize = 4096;
/// lz4 cannot make more than this many bytes out of one.
const LZ4_RATIO_MAX: usize = 255;
/// A page of one string of the largest size that any limit lets in stays below.
const PLAIN_BYTES_MAX: usize = 1 << 30;

pub(super) fn encode(values: &StringColumn, pages: &[Range<usize>]) -> Encoded {
    Encoded { shared: Vec::new(), pages: pages.iter().map(|range| page(values, range)).collect() }
}

fn page(values: &StringColumn, range: &Range<usize>) -> EncodedPage {
    if range.is_empty() {
        return EncodedPage::empty();
    }
    let mut plain = Vec::new();
    range.clone().for_each(|i| varint::put_bytes(&mut plain, values.get(i).as_bytes()));
    let mut best = EncodedPage { codec: PLAIN, payload: plain };
    let mut packed = Vec::new();
    varint::put(&mut packed, best.payload.len() as u64);
    packed.extend(lz4_flex::block::compress(&best.payload));
    let candidates =
        dictionary(values, range).into_iter().chain([EncodedPage { codec: LZ4, payload: packed }]);
    for candidate in candidates {
        if candidate.payload.len() < best.payload.len() {
            best = candidate;
        }
    }
    best
}

fn dictionary(values: &StringColumn, range: &Range<usize>) -> Option<EncodedPage> {
    let mut places: HashMap<&str, u64> = HashMap::new();
    let mut distinct = Vec::new();
    let mut indices = Vec::with_capacity(range.len());
    for i in range.clone() {
        let text = values.get(i);
        let next = places.len() as u64;
        let place = *places.entry(text).or_insert_with(|| {
            varint::put_bytes(&mut distinct, text.as_bytes());
            next
        });
        if places.len() > DISTINCT_MAX {
            return None;
        }
        indices.push(place);
    }
    let width = index_width(places.len());
    let mut payload = Vec::new();
    varint::put(&mut payload, places.len() as u64);
    payload.extend(distinct);
    let (mut word, mut filled) = (0_u64, 0);
    for index in indices {
        word |= index << filled;
        filled += width;
        while filled >= 8 {
            payload.push((word & 0xff) as u8);
            word >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        payload.push((word & 0xff) as u8);
    }
    Some(EncodedPage { codec: DICTIONARY, payload })
}

/// Bits of an index into `count` strings.
fn index_width(count: usize) -> u32 {
    usize::BITS - count.saturating_sub(1).leading_zeros()
}

pub(super) fn decode(codec: u8, payload: &[u8], count: usize) -> Result<StringColumn, Damage> {
    match codec {
        EMPTY if count == 0 && payload.is_empty() => Ok(StringColumn::new()),
        PLAIN => decode_plain(payload, count),
        DICTIONARY => decode_dictionary(payload, count),
        LZ4 => {
            let mut rest = payload;
            let len = varint::take(&mut rest).ok_or(Damage::Truncated)?;
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            if len > rest.len().saturating_mul(LZ4_RATIO_MAX).min(PLAIN_BYTES_MAX) {
                return Err(Damage::Malformed("lz4 length"));
            }
            let plain = lz4_flex::block::decompress(rest, len).map_err(|_why| Damage::Malformed("lz4"))?;
            if plain.len() == len {
                decode_plain(&plain, count)
            } else {
                Err(Damage::Malformed("lz4 length"))
            }
        }
        _ => Err(Damage::Malformed("codec")),
    }
}

fn take_text<'a>(input: &mut &'a [u8]) -> Result<&'a str, Damage> {
    let bytes = varint::take_bytes(input).ok_or(Damage::Truncated)?;
    std::str::from_utf8(bytes).map_err(|_at| Damage::Malformed("UTF-8"))
}

fn decode_plain(mut input: &[u8], count: usize) -> Result<StringColumn, Damage> {
    let mut values = StringColumn::new();
    for _ in 0..count {
        values.push(take_text(&mut input)?);
    }
    if input.is_empty() { Ok(values) } else { Err(Damage::Malformed("strings")) }
}

fn decode_dictionary(mut input: &[u8], count: usize) -> Result<StringColumn, Damage> {
    let distinct = varint::take(&mut input).ok_or(Damage::Truncated)?;
    let distinct = usize::try_from(distinct).ok().filter(|n| (1..=DISTINCT_MAX).contains(n));
    let distinct = distinct.ok_or(Damage::Malformed("dictionary"))?;
    let mut words = Vec::new();
    for _ in 0..distinct {
        words.push(take_text(&mut input)?);
    }
    let width = index_width(distinct);
    if input.len() as u64 != (u64::from(width) * count as u64).div_ceil(8) {
        return Err(Damage::Malformed("dictionary indices"));
    }
    let mut bytes = input.iter();
    let (mut word, mut filled) = (0_u64, 0);
    let mut values = StringColumn::new();
    for _ in 0..count {
        while filled < width {
            word |= u64::from(*bytes.next().ok_or(Damage::Truncated)?) << filled;
            filled += 8;
        }
        let index = word & ((1 << width) - 1);
        word >>= width;
        filled -= width;
        let text = usize::try_from(index).ok().and_then(|i| words.get(i));
        values.push(text.ok_or(Damage::Malformed("dictionary index"))?);
        if values.data_bytes() > PLAIN_BYTES_MAX {
            return Err(Damage::Malformed("dictionary"));
        }
    }
    Ok(values)
}
