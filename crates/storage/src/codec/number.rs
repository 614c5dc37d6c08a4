//! Numbers and times: which of step, frame, bins, pco, decimal and raw a column gets.
//!
//! ```text
//!  floats --decimals?--> integers \
//!         \--else: bits in order --> words --> frame per page (step when it is one)
//!  integers, times ------------------/            | raw where a page saves too little
//!                                                 v
//!                                          dense files only: bins where they save a little, then pco for a tenth
//! ```
//! The bytes that pages share begin with the codec that they are of: bins or pco.

use std::fmt::Debug;
use std::ops::Range;

use model::varint;
use pco::data_types::Number;

use super::bins::{self, Bins};
use super::decimal::{self, Scaled};
use super::entropy::{self, Hints};
use super::frame::{self, Framed, Plan, Step};
use super::{BINS, DECIMAL, EMPTY, Effort, Encoded, EncodedPage, FRAME, PATCHED_DECIMAL, PCO, RAW, STEP};
use crate::error::Damage;

/// A page is raw unless it saves at least one part in this many.
const SAVING_PARTS: usize = 20;
/// Bins take up to half as long again to decode: they must save at least one part in this many of frames' bytes.
const BINS_SAVING_PARTS: usize = 200;
/// pco takes two or three times as long to decode: it must save at least one part in this many of the others' bytes.
const PCO_SAVING_PARTS: usize = 10;
/// So many floats tell whether pco is worth it for the others of a column.
const SAMPLE: usize = 1024;
/// Pages of frames of so few bytes each leave nothing to save.
const SMALL_PAGE_BYTES: usize = 24;

/// A number with a fixed width of 8 bytes.
pub(crate) trait Word: Number + Copy + Debug {
    /// Whether it has a mantissa and an exponent.
    const IS_FLOAT: bool = false;
    /// Its bits.
    fn to_bits(self) -> u64;
    fn from_bits(bits: u64) -> Self;
    /// Bits whose order, taken as a signed or an unsigned number, is that of the numbers: neighbours are close.
    fn to_word(self) -> u64;
    fn from_word(word: u64) -> Self;
}

impl Word for i64 {
    fn to_bits(self) -> u64 {
        self.cast_unsigned()
    }
    fn from_bits(bits: u64) -> Self {
        bits.cast_signed()
    }
    fn to_word(self) -> u64 {
        self.cast_unsigned()
    }
    fn from_word(word: u64) -> Self {
        word.cast_signed()
    }
}

impl Word for u64 {
    fn to_bits(self) -> u64 {
        self
    }
    fn from_bits(bits: u64) -> Self {
        bits
    }
    fn to_word(self) -> u64 {
        self
    }
    fn from_word(word: u64) -> Self {
        word
    }
}

impl Word for f64 {
    const IS_FLOAT: bool = true;
    fn to_bits(self) -> u64 {
        self.to_bits()
    }
    fn from_bits(bits: u64) -> Self {
        Self::from_bits(bits)
    }
    /// The magnitude of a double grows with its bits: those of negative ones are turned round.
    fn to_word(self) -> u64 {
        let bits = self.to_bits();
        bits ^ ((bits.cast_signed() >> 63).cast_unsigned() >> 1)
    }
    fn from_word(word: u64) -> Self {
        Self::from_bits(word ^ ((word.cast_signed() >> 63).cast_unsigned() >> 1))
    }
}

/// Encodes integers or times.
pub(super) fn encode<T: Word>(values: &[T], pages: &[Range<usize>], effort: Effort) -> Encoded {
    let words: Vec<u64> = values.iter().map(|v| v.to_word()).collect();
    encode_words(values, &words, pages, effort)
}

/// Encodes floats.
pub(super) fn encode_floats(values: &[f64], pages: &[Range<usize>], effort: Effort) -> Encoded {
    let Some(scaled) = Scaled::new(values) else { return encode(values, pages, effort) };
    let integers: Vec<i64> = scaled.words.iter().map(|w| w.cast_signed()).collect();
    let Encoded { shared, pages: of_integers } = encode_words(&integers, &scaled.words, pages, effort);
    Encoded { shared, pages: scaled.wrap(values, pages, of_integers) }
}

fn encode_words<T: Word>(values: &[T], words: &[u64], pages: &[Range<usize>], effort: Effort) -> Encoded {
    let plan = Plan::of(words);
    let mut divisor = 0;
    let mut scratch = frame::Scratch::default();
    let frames: Vec<EncodedPage> = pages
        .iter()
        .map(|range| {
            let mut payload = Vec::new();
            match frame::encode(&words[range.clone()], &plan, &mut scratch, &mut payload) {
                _ if range.is_empty() => EncodedPage::empty(),
                Framed::Step(step) => {
                    divisor = frame::gcd(divisor, step.step.cast_signed().unsigned_abs());
                    step_page(step)
                }
                Framed::Frame { divisor: of_page } => {
                    divisor = frame::gcd(divisor, of_page);
                    EncodedPage { codec: FRAME, payload }
                }
            }
        })
        .collect();
    let raw_where_better = |(page, range): (EncodedPage, &Range<usize>)| {
        if page.codec == EMPTY || saves_enough(page.payload.len(), range.len()) {
            page
        } else {
            raw_page(&values[range.clone()])
        }
    };
    let frames = frames.into_iter().zip(pages).map(raw_where_better).collect();
    let frames = Encoded { shared: Vec::new(), pages: frames };
    let Effort::Dense(level) = effort else { return frames };
    if frames.bytes() <= SMALL_PAGE_BYTES * pages.len() {
        return frames;
    }
    let quick = in_bins(words, pages, frames, (&plan, divisor));
    if let Some(hints) = hints_for(values, words, pages, &quick, level, (&plan, divisor))
        && let Some(dense) = entropy::encode(values, pages, level, hints)
        && saves_a_tenth(dense.bytes(), quick.bytes())
    {
        return checked(dense, values, pages);
    }
    checked(quick, values, pages)
}

/// A column that reads back as it was; raw where it does not. The files that it was merged from are gone afterwards, so
/// a codec's error must not outlive the merge.
pub(super) fn checked<T: Word>(encoded: Encoded, values: &[T], pages: &[Range<usize>]) -> Encoded {
    let mut read = Vec::new();
    let reads_back = Decoder::<T>::new(&encoded.shared).is_ok_and(|mut decoder| {
        encoded.pages.iter().zip(pages).all(|(page, range)| {
            let wanted = &values[range.clone()];
            read.clear();
            decoder.decode(page.codec, &page.payload, wanted.len(), &mut read).is_ok()
                && read.len() == wanted.len()
                && read.iter().zip(wanted).all(|(read, wanted)| read.to_bits() == wanted.to_bits())
        })
    });
    if reads_back {
        return encoded;
    }
    tracing::error!(values = values.len(), "a column does not read back as it was: it is kept raw");
    let raw = |range: &Range<usize>| match &values[range.clone()] {
        [] => EncodedPage::empty(),
        values => raw_page(values),
    };
    Encoded { shared: Vec::new(), pages: pages.iter().map(raw).collect() }
}

/// Puts those pages into bins that bins make smaller, when that is enough for the column.
fn in_bins(words: &[u64], pages: &[Range<usize>], frames: Encoded, (plan, divisor): (&Plan, u64)) -> Encoded {
    let is_enough = |bytes: usize| bytes * BINS_SAVING_PARTS < frames.bytes() * (BINS_SAVING_PARTS - 1);
    let Some(bins) = Bins::of(words, pages, plan, divisor).filter(|bins| is_enough(bins.bytes())) else {
        return frames;
    };
    let both = bins.encode(words, pages).into_iter().zip(&frames.pages);
    let smaller = |(page, frame): (EncodedPage, &EncodedPage)| {
        if page.payload.len() < frame.payload.len() { page } else { frame.clone() }
    };
    let binned = Encoded { shared: bins.shared(), pages: both.map(smaller).collect() };
    if is_enough(binned.bytes()) { binned } else { frames }
}

/// What pco is told about a column, when it promises to save a tenth.
fn hints_for<T: Word>(
    values: &[T],
    words: &[u64],
    pages: &[Range<usize>],
    quick: &Encoded,
    level: usize,
    (plan, divisor): (&Plan, u64),
) -> Option<Hints> {
    if !T::IS_FLOAT {
        return plan.leaves_room(words).then_some(Hints::Known { order: plan.order, divisor });
    }
    // What floats are multiples of, how many of their bits are set and how smooth their curve is no count of widths
    // tells. So pages from the middle on are encoded, and the choice for the column is compared by them.
    let mut sampled = 0;
    let (of_quick, sample): (Vec<_>, Vec<_>) = quick
        .pages
        .iter()
        .zip(pages)
        .skip(pages.len() / 2)
        .take_while(|(_, range)| {
            let is_wanted = sampled < SAMPLE;
            sampled += range.len();
            is_wanted
        })
        .map(|(page, range)| (page.payload.len(), range.clone()))
        .unzip();
    let (first, last) = (sample.first()?.start, sample.last()?.end);
    let sample: Vec<_> = sample.iter().map(|range| range.start - first..range.end - first).collect();
    let dense = entropy::encode(&values[first..last], &sample, level, Hints::Unknown)?;
    // All pages of the column share what the sample has for itself.
    let shared = dense.shared.len() * (last - first) / values.len();
    let promised = dense.bytes() - dense.shared.len() + shared;
    saves_a_tenth(promised, of_quick.iter().sum()).then_some(Hints::Unknown)
}

fn saves_a_tenth(bytes: usize, of: usize) -> bool {
    bytes * PCO_SAVING_PARTS < of * (PCO_SAVING_PARTS - 1)
}

fn saves_enough(bytes: usize, values: usize) -> bool {
    bytes * SAVING_PARTS < values * 8 * (SAVING_PARTS - 1)
}

fn step_page(step: Step) -> EncodedPage {
    let mut payload = Vec::with_capacity(12);
    varint::put(&mut payload, varint::zigzag(step.first.cast_signed()));
    varint::put(&mut payload, varint::zigzag(step.step.cast_signed()));
    EncodedPage { codec: STEP, payload }
}

fn raw_page<T: Word>(values: &[T]) -> EncodedPage {
    EncodedPage { codec: RAW, payload: values.iter().flat_map(|v| v.to_bits().to_le_bytes()).collect() }
}

/// Decodes pages of integers or times, or of floats that are no decimals.
#[derive(Debug)]
pub(crate) struct Decoder<T: Word> {
    pco: Option<entropy::Decoder<T>>,
    bins: Option<bins::Decoder>,
    memory: frame::Memory,
}

impl<T: Word> Decoder<T> {
    /// A decoder for pages that share these bytes.
    pub(super) fn new(shared: &[u8]) -> Result<Self, Damage> {
        let (pco, bins) = match shared.split_first() {
            None => (None, None),
            Some((&PCO, shared)) => (Some(entropy::Decoder::new(shared)?), None),
            Some((&BINS, shared)) => (None, Some(bins::Decoder::new(shared)?)),
            Some(_) => return Err(Damage::Malformed("shared bytes")),
        };
        Ok(Self { pco, bins, memory: frame::Memory::default() })
    }

    /// Appends exactly `count` values.
    pub(super) fn decode(
        &mut self,
        codec: u8,
        payload: &[u8],
        count: usize,
        out: &mut Vec<T>,
    ) -> Result<(), Damage> {
        match codec {
            PCO => {
                let pco = self.pco.as_mut().ok_or(Damage::Malformed("pco page without metadata"))?;
                let start = out.len();
                out.resize(start + count, T::from_bits(0));
                pco.decode(payload, &mut out[start..])
            }
            RAW => decode_raw(payload, count).map(|values| out.extend(values.map(T::from_bits))),
            _ => self.decode_words(codec, payload, count, |words| {
                out.extend(words.iter().map(|word| T::from_word(*word)));
            }),
        }
    }

    /// Decodes the codecs of words.
    fn decode_words(
        &mut self,
        codec: u8,
        payload: &[u8],
        count: usize,
        emit: impl FnMut(&[u64]),
    ) -> Result<(), Damage> {
        match codec {
            EMPTY if count == 0 && payload.is_empty() => Ok(()),
            STEP => decode_step(payload, count, emit),
            FRAME => frame::decode(payload, count, &mut self.memory, emit),
            BINS => {
                let bins =
                    self.bins.as_mut().ok_or(Damage::Malformed("page of bins without their shares"))?;
                bins.decode(payload, count, emit)
            }
            _ => Err(Damage::Malformed("codec")),
        }
    }
}

/// Decodes pages of floats. A column is decimals or not, as a whole: what its pages share belongs to one kind.
#[derive(Debug)]
pub(crate) struct FloatDecoder<'a> {
    shared: &'a [u8],
    plain: Option<Decoder<f64>>,
    decimal: Option<Decoder<i64>>,
    integers: Vec<i64>,
}

impl<'a> FloatDecoder<'a> {
    /// A decoder for pages that share these bytes.
    pub(super) fn new(shared: &'a [u8]) -> Self {
        Self { shared, plain: None, decimal: None, integers: Vec::new() }
    }

    /// Appends exactly `count` values.
    pub(super) fn decode(
        &mut self,
        codec: u8,
        payload: &[u8],
        count: usize,
        out: &mut Vec<f64>,
    ) -> Result<(), Damage> {
        if codec == EMPTY && count == 0 && payload.is_empty() {
            // It says nothing of what the shared bytes are: between decimals they are those of integers.
            return Ok(());
        }
        if !matches!(codec, DECIMAL | PATCHED_DECIMAL) {
            return get_or_try(&mut self.plain, self.shared)?.decode(codec, payload, count, out);
        }
        let head = decimal::Head::take(payload, count, codec == PATCHED_DECIMAL)?;
        let decoder = get_or_try(&mut self.decimal, self.shared)?;
        let start = out.len();
        match head.codec {
            STEP | FRAME | BINS => {
                decoder.decode_words(head.codec, head.payload, count, |words| head.extend(out, words))?;
            }
            codec => {
                self.integers.clear();
                decoder.decode(codec, head.payload, count, &mut self.integers)?;
                head.extend_signed(out, &self.integers);
            }
        }
        head.patch(&mut out[start..]);
        Ok(())
    }
}

fn get_or_try<'d, T: Word>(
    decoder: &'d mut Option<Decoder<T>>,
    shared: &[u8],
) -> Result<&'d mut Decoder<T>, Damage> {
    match decoder {
        Some(decoder) => Ok(decoder),
        none => Ok(none.insert(Decoder::new(shared)?)),
    }
}

fn decode_step(mut payload: &[u8], count: usize, mut emit: impl FnMut(&[u64])) -> Result<(), Damage> {
    let first = varint::take(&mut payload).ok_or(Damage::Truncated)?;
    let step = varint::take(&mut payload).ok_or(Damage::Truncated)?;
    if !payload.is_empty() || count == 0 {
        return Err(Damage::Malformed("step page"));
    }
    let step = varint::unzigzag(step).cast_unsigned();
    let mut word = varint::unzigzag(first).cast_unsigned();
    let mut group = [0; super::pack::GROUP];
    let mut left = count;
    while left > 0 {
        for slot in &mut group {
            *slot = word;
            word = word.wrapping_add(step);
        }
        let part = &group[..left.min(group.len())];
        emit(part);
        left -= part.len();
    }
    Ok(())
}

fn decode_raw(payload: &[u8], count: usize) -> Result<impl Iterator<Item = u64>, Damage> {
    let (words, rest) = payload.as_chunks::<8>();
    if words.len() != count || !rest.is_empty() {
        return Err(Damage::Malformed("raw page"));
    }
    Ok(words.iter().map(|w| u64::from_le_bytes(*w)))
}
