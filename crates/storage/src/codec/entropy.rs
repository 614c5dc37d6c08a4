//! Entropy coding by pco, for dense files: a chunk is one pco chunk, its pages are pco's pages.
//!
//! The bytes that the pages share are, after the codec's id, pco's header and chunk metadata (its bins). For integers, mode and order are told:
//! the frames of the same values have found them already. For floats pco searches for them.

use std::fmt::Debug;
use std::ops::Range;

use pco::data_types::Number;
use pco::errors::PcoError;
use pco::wrapped::{ChunkDecompressor, FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec, ModeSpec, PagingSpec};

use super::frame::Order;
use super::{Encoded, EncodedPage, PCO};
use crate::error::Damage;

/// What pco is told about a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hints {
    /// What the frames of the same numbers have found.
    Known {
        order: Order,
        /// What the differences of all values are multiples of, or 1.
        divisor: u64,
    },
    /// Nothing: pco searches for a common factor, for bits that are never set and for the order of differences.
    Unknown,
}

impl Hints {
    fn specs(self) -> (ModeSpec, DeltaSpec) {
        match self {
            Self::Known { order, divisor } => (
                if divisor > 1 { ModeSpec::TryIntMult(divisor) } else { ModeSpec::Classic },
                match order {
                    Order::Values => DeltaSpec::NoOp,
                    Order::Differences => DeltaSpec::TryConsecutive(1),
                },
            ),
            Self::Unknown => (ModeSpec::Auto, DeltaSpec::Auto),
        }
    }
}

/// Encodes a column at a level of 0 to 12; `None` when pco refuses, which it does for no input that we know of.
pub(super) fn encode<T: Number>(
    values: &[T],
    pages: &[Range<usize>],
    level: usize,
    hints: Hints,
) -> Option<Encoded> {
    let (mode, delta) = hints.specs();
    let counts: Vec<usize> = pages.iter().map(Range::len).filter(|&n| n > 0).collect();
    let config = ChunkConfig::default()
        .with_compression_level(level)
        .with_mode_spec(mode)
        .with_delta_spec(delta)
        .with_paging_spec(PagingSpec::Exact(counts));
    write(values, pages, &config).ok()
}

fn write<T: Number>(values: &[T], pages: &[Range<usize>], config: &ChunkConfig) -> Result<Encoded, PcoError> {
    let file = FileCompressor::default();
    let mut chunk = file.chunk_compressor(values, config)?;
    let shared = chunk.write_meta(file.write_header(vec![PCO])?)?;
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

/// Decodes pages of one column.
pub(super) struct Decoder<T: Number>(Box<ChunkDecompressor<T>>);

impl<T: Number> Debug for Decoder<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

impl<T: Number> Decoder<T> {
    pub(super) fn new(shared: &[u8]) -> Result<Self, Damage> {
        let broken = |_why: PcoError| Damage::Malformed("pco metadata");
        let (file, rest) = FileDecompressor::new(shared).map_err(broken)?;
        let (chunk, rest) = file.chunk_decompressor::<T, _>(rest).map_err(broken)?;
        if rest.is_empty() { Ok(Self(Box::new(chunk))) } else { Err(Damage::Malformed("pco metadata")) }
    }

    /// Decodes exactly as many values as `out` has room for.
    pub(super) fn decode(&mut self, payload: &[u8], out: &mut [T]) -> Result<(), Damage> {
        let broken = |_why: PcoError| Damage::Malformed("pco page");
        let mut page = self.0.page_decompressor(payload, out.len()).map_err(broken)?;
        let progress = page.read(out).map_err(broken)?;
        if progress.finished && progress.n_processed == out.len() && page.into_src().is_empty() {
            Ok(())
        } else {
            Err(Damage::Malformed("pco page"))
        }
    }
}
