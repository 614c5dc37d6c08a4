//! Numbers: constant steps, pco, or raw bits.

use std::fmt::Debug;
use std::ops::Range;

use model::varint;
use pco::data_types::Number;
use pco::wrapped::{ChunkDecompressor, FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec, ModeSpec, PagingSpec};

use super::{EMPTY, Effort, Encoded, EncodedPage, PCO, RAW, STEP};
use crate::error::Damage;

/// pco must save at least one part in this many of the raw size.
const SAVING_PARTS: usize = 32;

/// A number with a fixed width of 8 bytes.
pub(crate) trait Word: Number + Copy + Debug {
    /// Whether the numbers may be multiples of a power of ten, which is worth finding out.
    const MAY_BE_DECIMAL: bool;
    fn to_bits(self) -> u64;
    fn from_bits(bits: u64) -> Self;
}

impl Word for i64 {
    const MAY_BE_DECIMAL: bool = false;
    fn to_bits(self) -> u64 {
        self.cast_unsigned()
    }
    fn from_bits(bits: u64) -> Self {
        bits.cast_signed()
    }
}

impl Word for u64 {
    const MAY_BE_DECIMAL: bool = false;
    fn to_bits(self) -> u64 {
        self
    }
    fn from_bits(bits: u64) -> Self {
        bits
    }
}

impl Word for f64 {
    const MAY_BE_DECIMAL: bool = true;
    fn to_bits(self) -> u64 {
        self.to_bits()
    }
    fn from_bits(bits: u64) -> Self {
        Self::from_bits(bits)
    }
}

/// Times share a clock's resolution, which pco's automatic mode finds as a common factor.
pub(super) fn encode_times(times: &[i64], pages: &[Range<usize>], effort: Effort) -> Encoded {
    let (Effort::Fast(level) | Effort::Dense(level)) = effort;
    let config = ChunkConfig::default()
        .with_compression_level(level)
        .with_mode_spec(ModeSpec::Auto)
        .with_delta_spec(DeltaSpec::TryConsecutive(1));
    encode_with(times, pages, config)
}

pub(super) fn encode<T: Word>(values: &[T], pages: &[Range<usize>], effort: Effort) -> Encoded {
    let config = match effort {
        Effort::Fast(level) => ChunkConfig::default()
            .with_compression_level(level)
            .with_mode_spec(if T::MAY_BE_DECIMAL { ModeSpec::Auto } else { ModeSpec::Classic })
            .with_delta_spec(DeltaSpec::TryConsecutive(1)),
        Effort::Dense(level) => ChunkConfig::default().with_compression_level(level),
    };
    encode_with(values, pages, config)
}

fn encode_with<T: Word>(values: &[T], pages: &[Range<usize>], config: ChunkConfig) -> Encoded {
    if let Some(pages) = step_pages(values, pages) {
        return Encoded { shared: Vec::new(), pages };
    }
    match pco_pages(values, pages, config) {
        Ok(encoded) if saves_enough(&encoded, values.len()) => encoded,
        // pco refuses no finite input; were it to, raw is always right.
        _ => Encoded {
            shared: Vec::new(),
            pages: pages.iter().map(|range| raw_page(&values[range.clone()])).collect(),
        },
    }
}

fn saves_enough(encoded: &Encoded, values: usize) -> bool {
    let raw = values * 8;
    let size = encoded.shared.len() + encoded.pages.iter().map(|p| p.payload.len()).sum::<usize>();
    size + raw / SAVING_PARTS < raw
}

fn raw_page<T: Word>(values: &[T]) -> EncodedPage {
    if values.is_empty() {
        return EncodedPage::empty();
    }
    EncodedPage { codec: RAW, payload: values.iter().flat_map(|v| v.to_bits().to_le_bytes()).collect() }
}

/// All pages by first value and step, if each page has one.
fn step_pages<T: Word>(values: &[T], pages: &[Range<usize>]) -> Option<Vec<EncodedPage>> {
    let page = |range: &Range<usize>| {
        let page = &values[range.clone()];
        let Some(first) = page.first().map(|v| v.to_bits()) else { return Some(EncodedPage::empty()) };
        let step = page.get(1).map_or(0, |second| second.to_bits().wrapping_sub(first));
        let mut expected = first;
        for value in page {
            if value.to_bits() != expected {
                return None;
            }
            expected = expected.wrapping_add(step);
        }
        let mut payload = Vec::with_capacity(12);
        varint::put(&mut payload, varint::zigzag(first.cast_signed()));
        varint::put(&mut payload, varint::zigzag(step.cast_signed()));
        Some(EncodedPage { codec: STEP, payload })
    };
    pages.iter().map(page).collect()
}

fn pco_pages<T: Word>(
    values: &[T],
    pages: &[Range<usize>],
    config: ChunkConfig,
) -> Result<Encoded, pco::errors::PcoError> {
    let counts: Vec<usize> = pages.iter().map(Range::len).filter(|&n| n > 0).collect();
    let file = FileCompressor::default();
    let mut chunk = file.chunk_compressor(values, &config.with_paging_spec(PagingSpec::Exact(counts)))?;
    let shared = chunk.write_meta(file.write_header(Vec::new())?)?;
    let mut out = Vec::with_capacity(pages.len());
    let mut next = 0;
    for range in pages {
        if range.is_empty() {
            out.push(EncodedPage::empty());
        } else {
            out.push(EncodedPage { codec: PCO, payload: chunk.write_page(next, Vec::new())? });
            next += 1;
        }
    }
    Ok(Encoded { shared, pages: out })
}

/// Decodes pages of numbers.
pub(crate) struct Decoder<T: Word> {
    pco: Option<ChunkDecompressor<T>>,
}

impl<T: Word> Debug for Decoder<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("pco", &self.pco.is_some()).finish()
    }
}

impl<T: Word> Decoder<T> {
    pub(super) fn new(shared: &[u8]) -> Result<Self, Damage> {
        if shared.is_empty() {
            return Ok(Self { pco: None });
        }
        let broken = |_why: pco::errors::PcoError| Damage::Malformed("pco metadata");
        let (file, rest) = FileDecompressor::new(shared).map_err(broken)?;
        let (chunk, rest) = file.chunk_decompressor::<T, _>(rest).map_err(broken)?;
        if rest.is_empty() { Ok(Self { pco: Some(chunk) }) } else { Err(Damage::Malformed("pco metadata")) }
    }

    pub(super) fn decode(&mut self, codec: u8, payload: &[u8], count: usize) -> Result<Vec<T>, Damage> {
        match codec {
            EMPTY if count == 0 && payload.is_empty() => Ok(Vec::new()),
            STEP => decode_step(payload, count),
            RAW => decode_raw(payload, count),
            PCO => self.decode_pco(payload, count),
            _ => Err(Damage::Malformed("codec")),
        }
    }

    fn decode_pco(&mut self, payload: &[u8], count: usize) -> Result<Vec<T>, Damage> {
        let broken = |_why: pco::errors::PcoError| Damage::Malformed("pco page");
        let chunk = self.pco.as_mut().ok_or(Damage::Malformed("pco page without metadata"))?;
        let mut page = chunk.page_decompressor(payload, count).map_err(broken)?;
        let mut values = vec![T::from_bits(0); count];
        let progress = page.read(&mut values).map_err(broken)?;
        if progress.finished && progress.n_processed == count && page.into_src().is_empty() {
            Ok(values)
        } else {
            Err(Damage::Malformed("pco page"))
        }
    }
}

fn decode_step<T: Word>(mut payload: &[u8], count: usize) -> Result<Vec<T>, Damage> {
    let first = varint::take(&mut payload).ok_or(Damage::Truncated)?;
    let step = varint::take(&mut payload).ok_or(Damage::Truncated)?;
    if !payload.is_empty() || count == 0 {
        return Err(Damage::Malformed("step page"));
    }
    let step = varint::unzigzag(step).cast_unsigned();
    let mut bits = varint::unzigzag(first).cast_unsigned();
    Ok((0..count)
        .map(|_| {
            let value = T::from_bits(bits);
            bits = bits.wrapping_add(step);
            value
        })
        .collect())
}

fn decode_raw<T: Word>(payload: &[u8], count: usize) -> Result<Vec<T>, Damage> {
    let (words, rest) = payload.as_chunks::<8>();
    if words.len() != count || !rest.is_empty() {
        return Err(Damage::Malformed("raw page"));
    }
    Ok(words.iter().map(|w| T::from_bits(u64::from_le_bytes(*w))).collect())
}
