//! The bytes of a segment: footer, trailer, places of the parts, sets of ids.

use std::ops::Range;

use model::{BucketId, varint};
use roaring::RoaringBitmap;

use super::super::{SeriesId, packed};
use super::{BUCKET_SERIES, LIST_MAX, MARK, MARK_ROWS, START};
use crate::error::Damage;
use crate::tsm::format::{Kind, TRAILER_BYTES, checksum, take_array, take_len, take_u64};

/// First bytes of a segment.
pub(super) const HEADER: [u8; 8] = *b"TIDEIDX\x01";
/// A segment among the kinds of files.
pub(super) const KIND: Kind = Kind { name: "index", header: HEADER, magic: *b"TIDEIDXf", version: 1 };

/// The parts between header and footer, in their order; those of the tags follow the fixed ones by turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Rows,
    Marks,
    Starts,
    Fingerprints,
    Places,
    Ids,
    Order,
    Ranks,
    Shapes,
    Dictionary(usize),
    Postings(usize),
}

const FIXED_PARTS: usize = 9;

impl Part {
    fn number(self) -> usize {
        match self {
            Self::Rows => 0,
            Self::Marks => 1,
            Self::Starts => 2,
            Self::Fingerprints => 3,
            Self::Places => 4,
            Self::Ids => 5,
            Self::Order => 6,
            Self::Ranks => 7,
            Self::Shapes => 8,
            Self::Dictionary(tag) => FIXED_PARTS + 2 * tag,
            Self::Postings(tag) => FIXED_PARTS + 2 * tag + 1,
        }
    }
}

/// What the footer says of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FooterTag {
    pub(super) name: Box<[u8]>,
    pub(super) values: u32,
    pub(super) posting_width: u32,
}

/// What a segment says of itself as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) bucket: BucketId,
    pub(super) series: u32,
    /// The least id.
    pub(super) first: SeriesId,
    /// The largest id is `first + span - 1`.
    pub(super) span: u32,
    /// Ids ascend with the keys.
    pub(super) is_ascending: bool,
    pub(super) tags: Vec<FooterTag>,
    /// The tags of each shape.
    pub(super) shapes: Vec<Box<[u32]>>,
    /// Ends of the parts, and their checksums.
    pub(super) parts: Vec<(usize, u32)>,
    /// Where the footer begins.
    pub(super) offset: u64,
}

impl Footer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        varint::put(&mut out, self.bucket.get());
        for n in [self.series, self.first, self.span, u32::from(self.is_ascending)] {
            varint::put(&mut out, u64::from(n));
        }
        varint::put(&mut out, self.tags.len() as u64);
        for tag in &self.tags {
            varint::put_bytes(&mut out, &tag.name);
            varint::put(&mut out, u64::from(tag.values));
            varint::put(&mut out, u64::from(tag.posting_width));
        }
        varint::put(&mut out, self.shapes.len() as u64);
        for shape in &self.shapes {
            varint::put(&mut out, shape.len() as u64);
            shape.iter().for_each(|&tag| varint::put(&mut out, u64::from(tag)));
        }
        let mut start = HEADER.len();
        for &(end, checksum) in &self.parts {
            varint::put(&mut out, (end - start) as u64);
            out.extend(checksum.to_le_bytes());
            start = end;
        }
        out
    }

    pub(super) fn decode(mut input: &[u8], offset: u64) -> Result<Self, Damage> {
        let input = &mut input;
        let small = |input: &mut &[u8]| {
            take_u64(input).and_then(|n| u32::try_from(n).map_err(|_large| Damage::Malformed("number")))
        };
        let bucket = BucketId::new(take_u64(input)?).ok_or(Damage::Malformed("bucket"))?;
        let (series, first, span) = (small(input)?, small(input)?, small(input)?);
        let is_ascending = match small(input)? {
            0 => false,
            1 => true,
            _ => return Err(Damage::Malformed("order of ids")),
        };
        let mut tags: Vec<FooterTag> = Vec::new();
        for _ in 0..take_len(input)? {
            let name: Box<[u8]> = varint::take_bytes(input).ok_or(Damage::Truncated)?.into();
            let (values, posting_width) = (small(input)?, small(input)?);
            let ascends = tags.last().is_none_or(|last| last.name < name);
            if !ascends || posting_width > packed::WIDTH_MAX {
                return Err(Damage::Malformed("tag key"));
            }
            tags.push(FooterTag { name, values, posting_width });
        }
        let mut shapes = Vec::new();
        for _ in 0..take_len(input)? {
            let mut shape = Vec::new();
            for _ in 0..take_len(input)? {
                let tag = small(input)?;
                if tag as usize >= tags.len() {
                    return Err(Damage::Malformed("shape"));
                }
                shape.push(tag);
            }
            shapes.push(shape.into_boxed_slice());
        }
        let mut parts = Vec::new();
        let mut end = HEADER.len();
        for _ in 0..FIXED_PARTS + 2 * tags.len() {
            end = end.checked_add(take_len(input)?).ok_or(Damage::Malformed("length"))?;
            parts.push((end, u32::from_le_bytes(take_array(input)?)));
        }
        if !input.is_empty() || end as u64 != offset {
            return Err(Damage::Malformed("footer"));
        }
        let this = Self { bucket, series, first, span, is_ascending, tags, shapes, parts, offset };
        if this.lengths_fit() { Ok(this) } else { Err(Damage::Malformed("length of a part")) }
    }

    /// Whether the parts that are arrays have as many bytes as the numbers in them need.
    fn lengths_fit(&self) -> bool {
        let len = |part| self.part(part).len();
        let series = u64::from(self.series);
        let place = packed::width_of(series.saturating_sub(1));
        let id = packed::width_of(u64::from(self.span.saturating_sub(1)));
        let marks = if self.shapes.len() == 1 { 0 } else { self.series.div_ceil(MARK_ROWS) as usize * MARK };
        let order = |width| if self.is_ascending { Some(0) } else { packed::section_len(series, width) };
        self.span >= self.series
            && len(Part::Marks) == marks
            && len(Part::Starts) == (hash_buckets(self.series) as usize + 1) * START
            && len(Part::Fingerprints) == self.series as usize
            && Some(len(Part::Places)) == packed::section_len(series, place)
            && Some(len(Part::Order)) == order(id)
            && Some(len(Part::Ranks)) == order(place)
    }

    /// Where a part lies.
    pub(super) fn part(&self, part: Part) -> Range<usize> {
        let number = part.number();
        let start = number.checked_sub(1).and_then(|before| self.parts.get(before));
        let start = start.map_or(HEADER.len(), |&(end, _)| end);
        start..self.parts.get(number).map_or(start, |&(end, _)| end)
    }
}

/// Reads the footer and compares the checksums of all parts. The error says where.
pub(super) fn read_footer(bytes: &[u8]) -> Result<Footer, (u64, Damage)> {
    let header = *bytes.first_chunk().ok_or((0, Damage::Truncated))?;
    let trailer_at = bytes.len().saturating_sub(TRAILER_BYTES);
    let at_trailer = |damage| (trailer_at as u64, damage);
    let trailer = bytes.last_chunk::<TRAILER_BYTES>().filter(|_| trailer_at >= HEADER.len());
    let trailer = trailer.ok_or(Damage::Truncated).map_err(at_trailer)?;
    let trailer = KIND.trailer(header, trailer, trailer_at as u64)?;
    let footer = usize::try_from(trailer.footer_offset).ok().and_then(|at| bytes.get(at..trailer_at));
    let footer = footer.filter(|footer| footer.len() as u64 == u64::from(trailer.footer_len));
    let footer = footer.ok_or(Damage::Malformed("length")).map_err(at_trailer)?;
    let at_footer = |damage| (trailer.footer_offset, damage);
    if checksum(footer) != trailer.footer_checksum {
        return Err(at_footer(Damage::Checksum));
    }
    let footer = Footer::decode(footer, trailer.footer_offset).map_err(at_footer)?;
    let mut start = HEADER.len();
    for &(end, expected) in &footer.parts {
        let part = bytes.get(start..end).ok_or(Damage::Truncated);
        let part = part.map_err(|damage| (start as u64, damage))?;
        if checksum(part) != expected {
            return Err((start as u64, Damage::Checksum));
        }
        start = end;
    }
    Ok(footer)
}

/// Buckets of hashes for so many series.
pub(super) const fn hash_buckets(series: u32) -> u32 {
    series / BUCKET_SERIES + 1
}

/// The bucket and the fingerprint of a hash. Its top bits are those of the partition, the same for all series.
#[expect(clippy::cast_possible_truncation, reason = "parts of the hash are wanted")]
pub(super) fn hash_place(hash: u64, series: u32) -> (u32, u8) {
    let bucket = (u64::from(hash as u32) * u64::from(hash_buckets(series))) >> 32;
    (bucket as u32, (hash >> 32) as u8)
}

/// Appends a set of at least two ids, ascending.
pub(super) fn put_ids(out: &mut Vec<u8>, ids: &[SeriesId], first: SeriesId) {
    varint::put(out, ids.len() as u64);
    if ids.len() <= LIST_MAX {
        let mut last = first;
        for &id in ids {
            varint::put(out, u64::from(id - last));
            last = id;
        }
    } else {
        put_set(out, &RoaringBitmap::from_sorted_iter(ids.iter().copied()).expect("ids ascend"));
    }
}

/// Appends a set as a bitmap, with its length.
pub(super) fn put_set(out: &mut Vec<u8>, set: &RoaringBitmap) {
    let mut set = set.clone();
    set.optimize();
    varint::put(out, set.serialized_size() as u64);
    set.serialize_into(out).expect("memory takes all bytes");
}

/// Adds the series to which a posting refers: one itself, or a list.
pub(super) fn add_postings(reference: u64, lists: &[u8], first: SeriesId, set: &mut RoaringBitmap) {
    let value = reference >> 1;
    if reference & 1 == 0 {
        if let Some(id) = u32::try_from(value).ok().and_then(|offset| first.checked_add(offset)) {
            set.insert(id);
        }
        return;
    }
    let Some(mut list) = usize::try_from(value).ok().and_then(|at| lists.get(at..)) else { return };
    let Some(count) = varint::take(&mut list) else { return };
    if count <= LIST_MAX as u64 {
        let mut last = first;
        for _ in 0..count {
            let step = varint::take(&mut list).and_then(|step| u32::try_from(step).ok());
            let Some(id) = step.and_then(|step| last.checked_add(step)) else { return };
            set.insert(id);
            last = id;
        }
    } else if let Some(bitmap) = varint::take_bytes(&mut list)
        && let Ok(bitmap) = RoaringBitmap::deserialize_from(bitmap)
    {
        if set.is_empty() {
            *set = bitmap;
        } else {
            *set |= bitmap;
        }
    }
}
