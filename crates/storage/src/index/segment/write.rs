//! Writes a segment: from sorted series to bytes.

use model::BucketId;

use super::super::sorted::Sorted;
use super::super::{SeriesId, packed};
use super::format::{Footer, FooterTag, HEADER, KIND, hash_buckets, hash_place, put_ids, put_set};
use super::{MARK_ROWS, START};
use crate::tsm::format::{Trailer, checksum};

/// The bytes of a segment with at least one series.
pub(in crate::index) fn encode(sorted: &Sorted, bucket: BucketId) -> Vec<u8> {
    let series = number(sorted.len());
    let first = sorted.ids.iter().copied().min().expect("a segment has series");
    let last = sorted.ids.iter().copied().max().expect("a segment has series");
    let span = last - first + 1;
    let is_ascending = sorted.ids.is_sorted();
    // Places by id.
    let mut by_id: Vec<u32> = (0..series).collect();
    if !is_ascending {
        by_id.sort_unstable_by_key(|&place| sorted.ids[place as usize]);
    }
    let ids = || by_id.iter().map(|&place| sorted.ids[place as usize]);

    let mut out = Parts { bytes: HEADER.to_vec(), ends: Vec::new() };
    let (rows, marks) = rows_and_marks(sorted);
    out.add(&rows);
    out.add(&marks);
    let place_width = packed::width_of(u64::from(series - 1));
    let by_hash = by_hash(sorted);
    out.add(&by_hash.starts);
    out.add(&by_hash.fingerprints);
    out.add(&packed::pack(by_hash.places.into_iter(), place_width));
    let mut set: roaring::RoaringBitmap = ids().collect();
    set.optimize();
    let mut bytes = Vec::new();
    set.serialize_into(&mut bytes).expect("memory takes all bytes");
    out.add(&bytes);
    if is_ascending {
        out.add(&[]);
        out.add(&[]);
    } else {
        let id_width = packed::width_of(u64::from(span - 1));
        out.add(&packed::pack(sorted.ids.iter().map(|id| id - first), id_width));
        out.add(&packed::pack(by_id.iter().copied(), place_width));
    }
    let mut shapes = vec![roaring::RoaringBitmap::new(); sorted.shapes.len()];
    for &place in &by_id {
        shapes[sorted.row(place as usize).0 as usize].insert(sorted.ids[place as usize]);
    }
    bytes.clear();
    shapes.iter().for_each(|set| put_set(&mut bytes, set));
    out.add(&bytes);

    let mut tags = Vec::with_capacity(sorted.tags.len());
    for (tag, of_tag) in (0..).zip(&sorted.tags) {
        out.add(&of_tag.dictionary);
        let (posting_width, postings) = postings(sorted, tag, &by_id, first);
        out.add(&postings);
        tags.push(FooterTag { name: of_tag.name.clone(), values: of_tag.values, posting_width });
    }
    let Parts { mut bytes, ends } = out;
    let offset = bytes.len() as u64;
    let shapes = sorted.shapes.clone();
    let footer =
        Footer { bucket, series, first, span, is_ascending, tags, shapes, parts: ends, offset }.encode();
    let trailer = Trailer {
        footer_offset: offset,
        footer_len: number(footer.len()),
        footer_checksum: checksum(&footer),
    };
    bytes.extend(footer);
    bytes.extend(trailer.encode(&KIND));
    bytes.shrink_to_fit();
    bytes
}

struct Parts {
    bytes: Vec<u8>,
    ends: Vec<(usize, u32)>,
}

impl Parts {
    fn add(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
        self.ends.push((self.bytes.len(), checksum(part)));
    }
}

fn rows_and_marks(sorted: &Sorted) -> (Vec<u8>, Vec<u8>) {
    let widths: Vec<u32> =
        sorted.tags.iter().map(|tag| packed::width_of(u64::from(tag.values - 1))).collect();
    let shape_width = packed::width_of(sorted.shapes.len() as u64 - 1);
    let mut rows = packed::Packer::default();
    let mut marks = Vec::new();
    for place in 0..sorted.len() {
        if sorted.shapes.len() > 1 && place.is_multiple_of(MARK_ROWS as usize) {
            marks.extend(rows.bits().to_le_bytes());
        }
        let (shape, codes) = sorted.row(place);
        rows.put(u64::from(shape), shape_width);
        for (&tag, &code) in sorted.shapes[shape as usize].iter().zip(codes) {
            rows.put(u64::from(code), widths[tag as usize]);
        }
    }
    (rows.finish(), marks)
}

struct ByHash {
    starts: Vec<u8>,
    fingerprints: Vec<u8>,
    places: Vec<u32>,
}

/// Places by bucket of their hash.
fn by_hash(sorted: &Sorted) -> ByHash {
    let series = number(sorted.len());
    let mut starts = vec![0_u32; hash_buckets(series) as usize + 1];
    for &hash in &sorted.hashes {
        starts[hash_place(hash, series).0 as usize + 1] += 1;
    }
    for i in 1..starts.len() {
        starts[i] += starts[i - 1];
    }
    let mut next = starts.clone();
    let mut fingerprints = vec![0; sorted.len()];
    let mut places = vec![0; sorted.len()];
    for (place, &hash) in (0..).zip(&sorted.hashes) {
        let (bucket, fingerprint) = hash_place(hash, series);
        let slot = &mut next[bucket as usize];
        fingerprints[*slot as usize] = fingerprint;
        places[*slot as usize] = place;
        *slot += 1;
    }
    let mut bytes = Vec::with_capacity(starts.len() * START);
    starts.iter().for_each(|start| bytes.extend(start.to_le_bytes()));
    ByHash { starts: bytes, fingerprints, places }
}

/// Bits of a reference, and references and lists of the series with each value of a tag.
fn postings(sorted: &Sorted, tag: u32, by_id: &[u32], first: SeriesId) -> (u32, Vec<u8>) {
    // Where each shape has the tag.
    let at: Vec<Option<usize>> =
        sorted.shapes.iter().map(|shape| shape.iter().position(|&t| t == tag)).collect();
    let code = |place: u32| {
        let (shape, codes) = sorted.row(place as usize);
        at[shape as usize].map(|at| codes[at])
    };
    let mut ends = vec![0_usize; sorted.tags[tag as usize].values as usize + 1];
    by_id.iter().filter_map(|&place| code(place)).for_each(|code| ends[code as usize + 1] += 1);
    for i in 1..ends.len() {
        ends[i] += ends[i - 1];
    }
    let mut next = ends.clone();
    let mut ids = vec![0; ends.last().copied().unwrap_or(0)];
    for &place in by_id {
        if let Some(code) = code(place) {
            let slot = &mut next[code as usize];
            ids[*slot] = sorted.ids[place as usize];
            *slot += 1;
        }
    }
    let mut lists = Vec::new();
    let mut references = Vec::with_capacity(ends.len());
    for range in ends.windows(2) {
        let of_value = &ids[range[0]..range[1]];
        references.push(match of_value {
            [only] => u64::from(only - first) << 1,
            many => {
                let at = lists.len() as u64;
                put_ids(&mut lists, many, first);
                at << 1 | 1
            }
        });
    }
    let width = packed::width_of(references.iter().copied().max().unwrap_or(0));
    let mut packer = packed::Packer::default();
    references.iter().for_each(|&reference| packer.put(reference, width));
    let mut out = packer.finish();
    out.append(&mut lists);
    (width, out)
}

fn number(n: usize) -> u32 {
    u32::try_from(n).expect("an engine sees fewer than 2^32 series")
}
