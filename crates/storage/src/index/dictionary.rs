//! Distinct texts in order, front-coded in blocks, read in place. A text's code is its place in the order.
//!
//! ```text
//!  | block offset (4), from the end of the offsets | ... | block | block | ...
//!  block | varint len, text | varint bytes shared with the text before, varint len, rest | ...   16 texts
//! ```
//! A block is found by binary search over its first text, a text in it by reading on. Nothing is decoded when a
//! segment is opened.

use model::varint;

/// Texts of a block.
const BLOCK: usize = 16;
/// Bytes of a block's offset.
const OFFSET: usize = 4;

/// Builds a dictionary from texts in ascending order.
#[derive(Debug, Default)]
pub(super) struct DictionaryBuilder {
    offsets: Vec<u8>,
    entries: Vec<u8>,
    last: Vec<u8>,
    count: u32,
}

impl DictionaryBuilder {
    pub(super) fn push(&mut self, text: &[u8]) {
        debug_assert!(self.count == 0 || self.last.as_slice() < text, "texts ascend");
        if (self.count as usize).is_multiple_of(BLOCK) {
            let at = u32::try_from(self.entries.len()).expect("the texts of a segment stay below 4 GiB");
            self.offsets.extend(at.to_le_bytes());
            varint::put_bytes(&mut self.entries, text);
        } else {
            let shared = shared_len(&self.last, text);
            varint::put(&mut self.entries, shared as u64);
            varint::put_bytes(&mut self.entries, &text[shared..]);
        }
        self.last.clear();
        self.last.extend_from_slice(text);
        self.count += 1;
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.offsets.append(&mut self.entries);
        self.offsets
    }
}

fn shared_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// A dictionary in the bytes of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dictionary<'a> {
    offsets: &'a [u8],
    entries: &'a [u8],
    count: u32,
}

impl<'a> Dictionary<'a> {
    /// `None` when the bytes are too few for the count.
    pub(super) fn new(bytes: &'a [u8], count: u32) -> Option<Self> {
        let offsets = (count as usize).div_ceil(BLOCK).checked_mul(OFFSET)?;
        let (offsets, entries) = bytes.split_at_checked(offsets)?;
        Some(Self { offsets, entries, count })
    }

    fn block(&self, block: usize) -> Option<&'a [u8]> {
        let offset = self.offsets.get(block.checked_mul(OFFSET)?..)?.first_chunk::<OFFSET>()?;
        self.entries.get(usize::try_from(u32::from_le_bytes(*offset)).ok()?..)
    }

    /// Whether the text with a code is this one.
    pub(super) fn is(&self, code: u32, text: &[u8]) -> bool {
        self.compare(code, text).unwrap_or(false)
    }

    fn compare(&self, code: u32, text: &[u8]) -> Option<bool> {
        if code >= self.count {
            return None;
        }
        let mut input = self.block(code as usize / BLOCK)?;
        let first = varint::take_bytes(&mut input)?;
        // Bytes that the text has in common with the entry, which is never put together.
        let mut same = shared_len(first, text);
        let mut len = first.len();
        for _ in 0..code as usize % BLOCK {
            let shared = usize::try_from(varint::take(&mut input)?).ok()?;
            let rest = varint::take_bytes(&mut input)?;
            if shared <= same {
                same = shared + shared_len(rest, text.get(shared..)?);
            }
            len = shared.checked_add(rest.len())?;
        }
        Some(same == len && len == text.len())
    }

    /// The text with a code.
    pub(super) fn get(&self, code: u32) -> Option<Vec<u8>> {
        let mut reader = self.reader(code);
        reader.advance().then_some(reader.text)
    }

    /// The code of a text.
    pub(super) fn find(&self, text: &[u8]) -> Option<u32> {
        let code = self.lower_bound(text);
        self.is(code, text).then_some(code)
    }

    /// The first code whose text is not less; the count when there is none.
    pub(super) fn lower_bound(&self, text: &[u8]) -> u32 {
        let (mut low, mut high) = (0, self.offsets.len() / OFFSET);
        while low < high {
            let middle = low.midpoint(high);
            let first = self.block(middle).and_then(|mut block| varint::take_bytes(&mut block));
            if first.is_some_and(|first| first < text) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        // All of block `low` is not less; some of the block before may be.
        let Some(before) = low.checked_sub(1) else { return 0 };
        let code = |block: usize| u32::try_from(block * BLOCK).unwrap_or(u32::MAX).min(self.count);
        let mut reader = self.reader(code(before));
        while reader.advance() && reader.code() < code(low) {
            if reader.text() >= text {
                return reader.code();
            }
        }
        code(low)
    }

    /// Reads the texts from a code on.
    pub(super) fn reader(&self, code: u32) -> Reader<'a> {
        let block = code as usize / BLOCK;
        let mut reader = Reader {
            dictionary: *self,
            next: u32::try_from(block * BLOCK).unwrap_or(u32::MAX),
            input: &[],
            text: Vec::new(),
        };
        while reader.next < code && reader.advance() {}
        reader
    }
}

/// Reads texts in order; stands before its first text at the beginning.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    dictionary: Dictionary<'a>,
    next: u32,
    input: &'a [u8],
    text: Vec<u8>,
}

impl Reader<'_> {
    /// Goes to the next text; false at the end.
    pub(super) fn advance(&mut self) -> bool {
        self.step().is_some()
    }

    fn step(&mut self) -> Option<()> {
        if self.next >= self.dictionary.count {
            return None;
        }
        let shared = if (self.next as usize).is_multiple_of(BLOCK) {
            self.input = self.dictionary.block(self.next as usize / BLOCK)?;
            0
        } else {
            usize::try_from(varint::take(&mut self.input)?).ok()?
        };
        let rest = varint::take_bytes(&mut self.input)?;
        self.text.truncate(shared);
        self.text.extend_from_slice(rest);
        self.next += 1;
        Some(())
    }

    /// The code of the text at which it stands.
    pub(super) fn code(&self) -> u32 {
        self.next.saturating_sub(1)
    }

    /// The text at which it stands.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }
}
