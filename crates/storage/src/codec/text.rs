//! Strings: a dictionary of the column, zstd, or plain.
//!
//! A dictionary is for few distinct strings: it stands once for all pages of the column, as their shared bytes, and
//! the pages hold indices, which are numbers like others (a frame of few bits; a step when all are the same).
//! Every other page is zstd where that saves enough, else plain.

use std::ops::Range;

use hashbrown::HashMap;
use model::{StringColumn, varint};

use super::{DICTIONARY, EMPTY, Effort, Encoded, EncodedPage, PLAIN, ZSTD, number};
use crate::error::Damage;

/// Most distinct strings of a dictionary.
const DISTINCT_MAX: usize = 4096;
/// Most bytes of a dictionary: it lies in the directory, which is read for every field.
const DICTIONARY_BYTES_MAX: usize = 4096;
/// A dictionary is taken when it and its pages need at most one byte in this many of the plain ones.
const DICTIONARY_PARTS: usize = 2;
/// Measured on log lines and JSON: level 1 is 9 % larger, level 9 takes four times as long for 5 %.
const ZSTD_LEVEL: i32 = 3;
/// zstd must save at least one part in this many.
const ZSTD_SAVING_PARTS: usize = 8;
/// A page that zstd makes smaller than this part of itself is stored plain: a reader grants no more room.
const ZSTD_RATIO_MAX: usize = 1024;
/// Every page may become this large at least.
const ZSTD_BYTES_FREE: usize = 2 << 20;
/// Most bytes of text of a page: one string of the largest size that any limit lets in stays below.
const TEXT_BYTES_MAX: usize = 1 << 30;

pub(super) fn encode(values: &StringColumn, pages: &[Range<usize>]) -> Encoded {
    if let Some(encoded) = with_dictionary(values, pages) {
        return encoded;
    }
    // Without a context pages are stored plain, which is always right.
    let mut zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
    let page = |range: &Range<usize>| {
        if range.is_empty() {
            return EncodedPage::empty();
        }
        let mut plain = Vec::new();
        range.clone().for_each(|i| varint::put_bytes(&mut plain, values.get(i).as_bytes()));
        zstd.as_mut()
            .and_then(|zstd| compress(zstd, &plain))
            .unwrap_or(EncodedPage { codec: PLAIN, payload: plain })
    };
    Encoded { shared: Vec::new(), pages: pages.iter().map(page).collect() }
}

fn compress(zstd: &mut zstd::bulk::Compressor<'_>, plain: &[u8]) -> Option<EncodedPage> {
    let mut payload = Vec::new();
    varint::put(&mut payload, plain.len() as u64);
    payload.extend(zstd.compress(plain).ok()?);
    let is_worth_it = payload.len() * ZSTD_SAVING_PARTS <= plain.len() * (ZSTD_SAVING_PARTS - 1);
    (is_worth_it && plain.len() <= room_for(&payload)).then_some(EncodedPage { codec: ZSTD, payload })
}

/// How much text these compressed bytes may become.
fn room_for(compressed: &[u8]) -> usize {
    compressed.len().saturating_mul(ZSTD_RATIO_MAX).clamp(ZSTD_BYTES_FREE, TEXT_BYTES_MAX)
}

fn with_dictionary(values: &StringColumn, pages: &[Range<usize>]) -> Option<Encoded> {
    let mut places: HashMap<&str, u64> = HashMap::new();
    let mut distinct = Vec::new();
    let mut indices = Vec::with_capacity(values.len());
    let mut plain_bytes = 0;
    for text in values.iter() {
        let next = places.len() as u64;
        let place = *places.entry(text).or_insert_with(|| {
            varint::put_bytes(&mut distinct, text.as_bytes());
            next
        });
        if places.len() > DISTINCT_MAX || distinct.len() > DICTIONARY_BYTES_MAX {
            return None;
        }
        plain_bytes += text.len() + varint::len(text.len() as u64);
        indices.push(place);
    }
    let mut shared = Vec::new();
    varint::put(&mut shared, places.len() as u64);
    shared.extend(distinct);
    let Encoded { pages, .. } = number::encode(&indices, pages, Effort::Fast);
    let wrap = |page: EncodedPage| {
        if page.codec == EMPTY {
            return page;
        }
        let mut payload = vec![page.codec];
        payload.extend(page.payload);
        EncodedPage { codec: DICTIONARY, payload }
    };
    let encoded = Encoded { shared, pages: pages.into_iter().map(wrap).collect() };
    (encoded.bytes() * DICTIONARY_PARTS <= plain_bytes).then_some(encoded)
}

/// Decodes pages of strings.
#[derive(Debug)]
pub(crate) struct Decoder {
    dictionary: StringColumn,
    indices: number::Decoder<u64>,
    places: Vec<u64>,
}

impl Decoder {
    /// A decoder for pages that share these bytes.
    pub(super) fn new(mut shared: &[u8]) -> Result<Self, Damage> {
        let mut dictionary = StringColumn::new();
        if !shared.is_empty() {
            let distinct = varint::take(&mut shared).ok_or(Damage::Truncated)?;
            let distinct = usize::try_from(distinct).ok().filter(|n| *n <= DISTINCT_MAX);
            take_plain(shared, distinct.ok_or(Damage::Malformed("dictionary"))?, &mut dictionary)?;
        }
        Ok(Self { dictionary, indices: number::Decoder::new(&[])?, places: Vec::new() })
    }

    /// Appends exactly `count` strings.
    pub(super) fn decode(
        &mut self,
        codec: u8,
        payload: &[u8],
        count: usize,
        out: &mut StringColumn,
    ) -> Result<(), Damage> {
        match codec {
            EMPTY if count == 0 && payload.is_empty() => Ok(()),
            PLAIN => take_plain(payload, count, out),
            DICTIONARY => self.decode_dictionary(payload, count, out),
            ZSTD => take_plain(&decompress(payload)?, count, out),
            _ => Err(Damage::Malformed("codec")),
        }
    }

    fn decode_dictionary(
        &mut self,
        payload: &[u8],
        count: usize,
        out: &mut StringColumn,
    ) -> Result<(), Damage> {
        let (&codec, payload) = payload.split_first().ok_or(Damage::Truncated)?;
        self.places.clear();
        self.indices.decode(codec, payload, count, &mut self.places)?;
        let before = out.data_bytes();
        for place in &self.places {
            let place = usize::try_from(*place).ok().filter(|p| *p < self.dictionary.len());
            out.push(self.dictionary.get(place.ok_or(Damage::Malformed("dictionary index"))?));
            if out.data_bytes() - before > TEXT_BYTES_MAX {
                return Err(Damage::Malformed("dictionary"));
            }
        }
        Ok(())
    }
}

/// The text of a compressed page. The length that it announces is granted only in proportion to its own.
fn decompress(mut payload: &[u8]) -> Result<Vec<u8>, Damage> {
    let len = varint::take(&mut payload).ok_or(Damage::Truncated)?;
    let len = usize::try_from(len).ok().filter(|len| *len <= room_for(payload));
    let len = len.ok_or(Damage::Malformed("zstd length"))?;
    let plain = zstd::bulk::decompress(payload, len).map_err(|_why| Damage::Malformed("zstd"))?;
    if plain.len() == len { Ok(plain) } else { Err(Damage::Malformed("zstd length")) }
}

fn take_plain(mut input: &[u8], count: usize, out: &mut StringColumn) -> Result<(), Damage> {
    out.reserve(count.min(input.len()), input.len());
    for _ in 0..count {
        let bytes = varint::take_bytes(&mut input).ok_or(Damage::Truncated)?;
        out.push(std::str::from_utf8(bytes).map_err(|_at| Damage::Malformed("UTF-8"))?);
    }
    if input.is_empty() { Ok(()) } else { Err(Damage::Malformed("strings")) }
}
