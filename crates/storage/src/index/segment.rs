//! A segment of an index: an immutable file with the series that a flush brought, or that several segments held.
//! `docs/reference/index-format.md` has the pictures.
//!
//! ```text
//! | header | rows | marks | starts | fingerprints | places | ids | order | ranks | shapes | tag 1 ... | footer | trailer |
//! ```
//! Series are in key order. A row is the code of each tag's value in as few bits as the tag needs. The file is read
//! once, its checksums compared, and then used in place: nothing is decoded before it is asked for, and a series
//! takes as much memory as it takes on the disk. No byte pattern makes a reader panic or allocate by its claims.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use disk::Vfs;
use model::{SeriesKey, Test};
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64;

use super::dictionary::Dictionary;
use super::key::{Assembly, parts};
use super::prefixes::prefixes;
use super::{Encoded, SeriesId, packed};
use crate::error::{Damage, OpenError};
use crate::manifest::IndexEntry;

mod check;
mod format;
#[cfg(test)]
mod tests;
mod write;

use format::{Footer, Part, read_footer};
pub(super) use write::encode;

/// Every so many rows their place is written down, where rows differ in length.
const MARK_ROWS: u32 = 32;
/// Bytes of a mark.
const MARK: usize = 8;
/// About so many series share a bucket of hashes.
const BUCKET_SERIES: u32 = 8;
/// Bytes of a bucket's start.
const START: usize = 4;
/// A set of at most so many ids is a list of differences, a larger one a bitmap.
const LIST_MAX: usize = 32;

/// A tag key of a segment.
#[derive(Debug)]
pub(super) struct Tag {
    pub(super) name: Box<[u8]>,
    pub(super) values: u32,
    /// Bits of a code.
    code_width: u32,
    /// Bits of a posting's reference.
    posting_width: u32,
    dictionary: Range<usize>,
    postings: Range<usize>,
}

#[derive(Debug)]
struct Shape {
    tags: Box<[u32]>,
    /// Bits of a row, those of the shape included.
    bits: u64,
    series: RoaringBitmap,
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) entry: IndexEntry,
    pub(crate) path: PathBuf,
    /// Whether the manifest has it, or is about to: one that was made anew is in memory only.
    pub(crate) is_stored: bool,
    bytes: Vec<u8>,
    footer: Footer,
    tags: Vec<Tag>,
    shapes: Vec<Shape>,
    shape_width: u32,
    series: RoaringBitmap,
}

impl Segment {
    /// Memory held, about: its bytes are used in place.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.len() + self.tags.len() * size_of::<Tag>() + self.series.serialized_size()
    }

    /// Reads a segment that the manifest names, and compares all its checksums.
    pub(crate) fn open(vfs: &dyn Vfs, path: &Path, entry: &IndexEntry) -> Result<Self, OpenError> {
        let wrong = |found| OpenError::WrongFile { path: path.to_owned(), expected: entry.bytes, found };
        let file = match vfs.open_read(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(wrong(None)),
            Err(source) => return Err(OpenError::io("open", path)(source)),
        };
        let len = file.len().map_err(OpenError::io("read the length of", path))?;
        let size =
            usize::try_from(len).ok().filter(|_| len == entry.bytes).ok_or_else(|| wrong(Some(len)))?;
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, 0).map_err(OpenError::io("read", path))?;
        let checksum = xxh3_64(&bytes);
        let this = Self::of_bytes(bytes, path, entry)?;
        // Another segment is whole, too.
        let differs = Damage::Differs("checksum: the manifest names another segment");
        if checksum == entry.checksum { Ok(this) } else { Err(OpenError::damaged(path, 0)(differs)) }
    }

    /// Takes a segment that was made in the place of a lost one.
    pub(crate) fn rebuilt(encoded: Encoded, path: &Path, number: u64) -> Result<Self, OpenError> {
        let entry = encoded.entry(number);
        Ok(Self { is_stored: false, ..Self::of_bytes(encoded.bytes, path, &entry)? })
    }

    /// Takes the bytes of a segment that was just written.
    pub(crate) fn of_bytes(bytes: Vec<u8>, path: &Path, entry: &IndexEntry) -> Result<Self, OpenError> {
        Self::parse(bytes, path, entry).map_err(|(at, damage)| OpenError::damaged(path, at)(damage))
    }

    /// Takes the bytes of a segment. The error says where they are wrong.
    pub(super) fn parse(bytes: Vec<u8>, path: &Path, entry: &IndexEntry) -> Result<Self, (u64, Damage)> {
        let footer = read_footer(&bytes)?;
        let at_footer = |damage| (footer.offset, damage);
        if footer.bucket != entry.bucket || u64::from(footer.series) != entry.series {
            return Err(at_footer(Damage::Malformed("segment: it is another")));
        }
        let set = |range: &Range<usize>, within: &[u8]| {
            let part = within.get(range.clone()).ok_or(Damage::Truncated)?;
            RoaringBitmap::deserialize_from(part).map_err(|_why| Damage::Malformed("set of series"))
        };
        let ids = footer.part(Part::Ids);
        let series = set(&ids, &bytes).map_err(at_footer)?;
        let known = footer.first.checked_add(footer.span.saturating_sub(1)).ok_or(Damage::Malformed("ids"));
        let known = known.map_err(at_footer)?;
        if series.len() != u64::from(footer.series)
            || series.min().is_some_and(|id| id < footer.first)
            || series.max().is_some_and(|id| id > known)
        {
            return Err(at_footer(Damage::Malformed("ids")));
        }
        let mut tags = Vec::with_capacity(footer.tags.len());
        for (i, tag) in footer.tags.iter().enumerate() {
            let (dictionary, postings) = (footer.part(Part::Dictionary(i)), footer.part(Part::Postings(i)));
            let least = packed::section_len(u64::from(tag.values), tag.posting_width);
            let sound = Dictionary::new(&bytes[dictionary.clone()], tag.values).is_some()
                && least.is_some_and(|least| least <= postings.len());
            if !sound {
                return Err(at_footer(Damage::Malformed("values of a tag")));
            }
            tags.push(Tag {
                name: tag.name.clone(),
                values: tag.values,
                code_width: packed::width_of(u64::from(tag.values.saturating_sub(1))),
                posting_width: tag.posting_width,
                dictionary,
                postings,
            });
        }
        let shape_width = packed::width_of(footer.shapes.len().saturating_sub(1) as u64);
        let mut sets = &bytes[footer.part(Part::Shapes)];
        let mut shapes = Vec::with_capacity(footer.shapes.len());
        for of_shape in &footer.shapes {
            let part = model::varint::take_bytes(&mut sets).ok_or(Damage::Truncated).map_err(at_footer)?;
            let series = set(&(0..part.len()), part).map_err(at_footer)?;
            let width = |&tag: &u32| tags.get(tag as usize).map(|tag: &Tag| u64::from(tag.code_width));
            let bits = of_shape.iter().map(width).sum::<Option<u64>>();
            let bits = bits.ok_or(Damage::Malformed("shape")).map_err(at_footer)?;
            shapes.push(Shape { tags: of_shape.clone(), bits: bits + u64::from(shape_width), series });
        }
        Ok(Self {
            entry: entry.clone(),
            path: path.to_owned(),
            is_stored: true,
            bytes,
            footer,
            tags,
            shapes,
            shape_width,
            series,
        })
    }

    fn part(&self, part: Part) -> &[u8] {
        &self.bytes[self.footer.part(part)]
    }

    /// The ids of its series, those that are gone included.
    pub(crate) fn series(&self) -> &RoaringBitmap {
        &self.series
    }

    /// The tag keys in order, the measurement's empty one first.
    pub(super) fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// The values of a tag.
    pub(super) fn dictionary(&self, tag: usize) -> Dictionary<'_> {
        let tag = &self.tags[tag];
        Dictionary::new(&self.bytes[tag.dictionary.clone()], tag.values).expect("checked when it was opened")
    }

    /// The bit at which a row begins.
    fn row_start(&self, place: u32) -> u64 {
        if let [only] = &self.shapes[..] {
            return u64::from(place) * only.bits;
        }
        let mark = (place / MARK_ROWS) as usize * MARK;
        let mark = self.part(Part::Marks).get(mark..).and_then(|rest| rest.first_chunk::<MARK>());
        let mut bit = mark.map_or(u64::MAX / 2, |mark| u64::from_le_bytes(*mark));
        let rows = self.part(Part::Rows);
        for _ in 0..place % MARK_ROWS {
            let shape = packed::read(rows, bit, self.shape_width);
            let shape = usize::try_from(shape).ok().and_then(|shape| self.shapes.get(shape));
            bit = bit.saturating_add(shape.map_or(0, |shape| shape.bits));
        }
        bit
    }

    /// The shape of the row at a bit, and the bit behind it.
    fn shape_at(&self, bit: u64) -> Option<(&Shape, u64)> {
        let shape = packed::read(self.part(Part::Rows), bit, self.shape_width);
        let shape = usize::try_from(shape).ok().and_then(|shape| self.shapes.get(shape))?;
        Some((shape, bit + u64::from(self.shape_width)))
    }

    /// The place in key order of a series of the segment.
    fn place_of(&self, id: SeriesId) -> Option<u32> {
        if !self.series.contains(id) {
            return None;
        }
        if self.is_contiguous() {
            return id.checked_sub(self.footer.first);
        }
        let rank = u32::try_from(self.series.rank(id) - 1).ok()?;
        if self.footer.is_ascending {
            return Some(rank);
        }
        Some(packed::get(self.part(Part::Ranks), rank, self.place_width()))
    }

    /// The id of the series at a place.
    pub(super) fn id_at(&self, place: u32) -> Option<SeriesId> {
        if self.is_contiguous() {
            return self.footer.first.checked_add(place);
        }
        if self.footer.is_ascending {
            return self.series.select(place);
        }
        let offset = packed::get(self.part(Part::Order), place, self.id_width());
        self.footer.first.checked_add(offset)
    }

    /// Ids ascend with the keys and none is missing.
    fn is_contiguous(&self) -> bool {
        self.footer.is_ascending && self.footer.span == self.footer.series
    }

    fn place_width(&self) -> u32 {
        packed::width_of(u64::from(self.footer.series.saturating_sub(1)))
    }

    fn id_width(&self) -> u32 {
        packed::width_of(u64::from(self.footer.span.saturating_sub(1)))
    }

    /// The id of a key with its hash, if `accept` says that it still counts.
    pub(crate) fn find(
        &self,
        key: &SeriesKey,
        hash: u64,
        accept: impl Fn(SeriesId) -> bool,
    ) -> Option<SeriesId> {
        let (bucket, fingerprint) = format::hash_place(hash, self.footer.series);
        let starts = self.part(Part::Starts).get(bucket as usize * START..)?;
        let start = u32::from_le_bytes(*starts.first_chunk()?);
        let end = u32::from_le_bytes(*starts.get(START..)?.first_chunk()?);
        let fingerprints = self.part(Part::Fingerprints).get(start as usize..end as usize)?;
        for (slot, _) in (start..).zip(fingerprints).filter(|(_, found)| **found == fingerprint) {
            let place = packed::get(self.part(Part::Places), slot, self.place_width());
            if self.is(place, key)
                && let Some(id) = self.id_at(place).filter(|&id| accept(id))
            {
                return Some(id);
            }
        }
        None
    }

    fn is(&self, place: u32, key: &SeriesKey) -> bool {
        let Some((shape, mut bit)) = self.shape_at(self.row_start(place)) else { return false };
        let rows = self.part(Part::Rows);
        let mut wanted = parts(key);
        for &tag in &shape.tags {
            let Some((name, value)) = wanted.next() else { return false };
            let found = &self.tags[tag as usize];
            let code = packed::read(rows, bit, found.code_width);
            bit += u64::from(found.code_width);
            let same = *found.name == *name
                && u32::try_from(code).is_ok_and(|code| self.dictionary(tag as usize).is(code, value));
            if !same {
                return false;
            }
        }
        wanted.next().is_none()
    }

    /// The key of the series at a place; `None` when the row does not make one.
    pub(super) fn key_at(&self, place: u32) -> Option<SeriesKey> {
        if place >= self.footer.series {
            return None;
        }
        let (shape, mut bit) = self.shape_at(self.row_start(place))?;
        let rows = self.part(Part::Rows);
        let mut assembly = Assembly::default();
        for &tag in &shape.tags {
            let found = &self.tags[tag as usize];
            let code = packed::read(rows, bit, found.code_width);
            bit += u64::from(found.code_width);
            let value = self.dictionary(tag as usize).get(u32::try_from(code).ok()?)?;
            assembly.push(&found.name, &value);
        }
        assembly.take()
    }

    /// The key of a series.
    pub(crate) fn key(&self, id: SeriesId) -> Option<SeriesKey> {
        self.key_at(self.place_of(id)?)
    }

    /// Places of series of the segment, in key order. Ids that it does not have are left out.
    pub(super) fn places(&self, ids: &RoaringBitmap) -> Vec<u32> {
        if self.is_contiguous() {
            return ids.iter().filter_map(|id| id.checked_sub(self.footer.first)).collect();
        }
        let mut places: Vec<u32> = if ids.len().saturating_mul(8) < self.series.len() {
            ids.iter().filter_map(|id| self.place_of(id)).collect()
        } else {
            // Side by side, without asking for the rank of each.
            let ranked = (0..).zip(&self.series).filter(|(_, id)| ids.contains(*id)).map(|(rank, _)| rank);
            let place = |rank| match self.footer.is_ascending {
                true => rank,
                false => packed::get(self.part(Part::Ranks), rank, self.place_width()),
            };
            ranked.map(place).collect()
        };
        places.sort_unstable();
        places
    }

    /// All rows in key order.
    pub(super) fn rows(&self) -> Rows<'_> {
        Rows { segment: self, place: 0, bit: 0, codes: Vec::new() }
    }

    fn tag(&self, name: &[u8]) -> Option<usize> {
        self.tags.binary_search_by(|tag| (*tag.name).cmp(name)).ok()
    }

    /// Adds the series with a value of a tag.
    fn add_postings(&self, tag: usize, code: u32, set: &mut RoaringBitmap) {
        let tag = &self.tags[tag];
        let Some(postings) = self.bytes.get(tag.postings.clone()) else { return };
        let Some(lists) = packed::section_len(u64::from(tag.values), tag.posting_width) else { return };
        let reference =
            packed::read(postings, u64::from(code) * u64::from(tag.posting_width), tag.posting_width);
        let Some(lists) = postings.get(lists..) else { return };
        format::add_postings(reference, lists, self.footer.first, set);
    }

    /// Adds the series whose value of a tag passes. Series without the tag are not asked.
    pub(super) fn matching(&self, name: &[u8], test: &Test, set: &mut RoaringBitmap) {
        let Some(tag) = self.tag(name) else { return };
        let dictionary = self.dictionary(tag);
        let mut exact = |value: &str| {
            if let Some(code) = dictionary.find(value.as_bytes()) {
                self.add_postings(tag, code, set);
            }
        };
        match test {
            Test::Eq(value) => exact(value),
            Test::In(values) => values.iter().for_each(|value| exact(value)),
            Test::NotMatches(regex) => {
                let (mut all, mut matching) = (RoaringBitmap::new(), RoaringBitmap::new());
                self.having(name, &mut all);
                self.matching(name, &Test::Matches(regex.clone()), &mut matching);
                *set |= all - matching;
            }
            Test::Matches(regex) => match prefixes(regex.as_str()) {
                Some(prefixes) => {
                    prefixes.iter().for_each(|prefix| self.matching_from(tag, prefix, test, set));
                }
                None => self.matching_from(tag, b"", test, set),
            },
            Test::NotEq(_) => self.matching_from(tag, b"", test, set),
        }
    }

    /// Adds the series whose value of a tag has a prefix and passes.
    fn matching_from(&self, tag: usize, prefix: &[u8], test: &Test, set: &mut RoaringBitmap) {
        let dictionary = self.dictionary(tag);
        let mut reader = dictionary.reader(dictionary.lower_bound(prefix));
        while reader.advance() && reader.text().starts_with(prefix) {
            if std::str::from_utf8(reader.text()).is_ok_and(|value| test.accepts(value)) {
                self.add_postings(tag, reader.code(), set);
            }
        }
    }

    /// Visits the values of a tag with their series.
    pub(super) fn each_value(&self, name: &[u8], visit: &mut dyn FnMut(&[u8], RoaringBitmap)) {
        let Some(tag) = self.tag(name) else { return };
        let mut reader = self.dictionary(tag).reader(0);
        while reader.advance() {
            let mut series = RoaringBitmap::new();
            self.add_postings(tag, reader.code(), &mut series);
            visit(reader.text(), series);
        }
    }

    /// Visits the sets of tags that series have, with those series.
    pub(super) fn each_shape(&self, visit: &mut dyn FnMut(&[&[u8]], &RoaringBitmap)) {
        for shape in &self.shapes {
            let tags = shape.tags.iter().filter_map(|tag| self.tags.get(usize::try_from(*tag).ok()?));
            visit(&tags.map(|tag| &*tag.name).collect::<Vec<_>>(), &shape.series);
        }
    }

    /// Adds the series that have a tag.
    pub(super) fn having(&self, name: &[u8], set: &mut RoaringBitmap) {
        let Some(tag) = self.tag(name).and_then(|tag| u32::try_from(tag).ok()) else { return };
        for shape in self.shapes.iter().filter(|shape| shape.tags.contains(&tag)) {
            *set |= &shape.series;
        }
    }
}

/// The rows of a segment, one after the other.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    segment: &'a Segment,
    place: u32,
    bit: u64,
    codes: Vec<u32>,
}

/// A row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) place: u32,
    pub(super) id: SeriesId,
    pub(super) tags: &'a [u32],
    pub(super) codes: &'a [u32],
}

impl Rows<'_> {
    pub(super) fn next(&mut self) -> Option<Row<'_>> {
        if self.place >= self.segment.footer.series {
            return None;
        }
        let place = self.place;
        let (shape, mut bit) = self.segment.shape_at(self.bit)?;
        let rows = self.segment.part(Part::Rows);
        self.codes.clear();
        for &tag in &shape.tags {
            let width = self.segment.tags[tag as usize].code_width;
            self.codes.push(u32::try_from(packed::read(rows, bit, width)).unwrap_or(u32::MAX));
            bit += u64::from(width);
        }
        self.bit = bit;
        self.place += 1;
        Some(Row { place, id: self.segment.id_at(place)?, tags: &shape.tags, codes: &self.codes })
    }
}
