//! Small numbers in as few bits as the largest needs, one behind the other, lowest bit first.
//!
//! A packed section ends with [`PAD`] zero bytes, so that any number is read by one load of eight bytes. Reading
//! beyond the end answers 0: sections are under a checksum and their lengths are compared when they are opened, so
//! that is a matter of not panicking, not of meaning.

/// Zero bytes behind the last number.
pub(super) const PAD: usize = 8;
/// Most bits of one number: they must lie in eight bytes wherever they begin.
pub(super) const WIDTH_MAX: u32 = 56;

/// Bits that numbers up to `max` need.
pub(super) const fn width_of(max: u64) -> u32 {
    u64::BITS - max.leading_zeros()
}

/// Bytes of a section of `count` numbers.
pub(super) fn section_len(count: u64, width: u32) -> Option<usize> {
    let bits = count.checked_mul(u64::from(width))?;
    usize::try_from(bits.div_ceil(8)).ok()?.checked_add(PAD)
}

/// The number that begins at a bit.
pub(super) fn read(bytes: &[u8], bit: u64, width: u32) -> u64 {
    let Some(word) = usize::try_from(bit / 8).ok().and_then(|at| bytes.get(at..)?.first_chunk::<8>()) else {
        return 0;
    };
    let mask = (1_u64 << width.min(WIDTH_MAX)) - 1;
    (u64::from_le_bytes(*word) >> (bit % 8)) & mask
}

/// A number of an array, as an index or id. Numbers of arrays were 32 bits when they were written.
pub(super) fn get(bytes: &[u8], index: u32, width: u32) -> u32 {
    let value = read(bytes, u64::from(index) * u64::from(width), width);
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Writes numbers one behind the other.
#[derive(Debug, Default)]
pub(super) struct Packer {
    out: Vec<u8>,
    waiting: u64,
    filled: u32,
}

impl Packer {
    #[expect(clippy::cast_possible_truncation, reason = "the low eight bits are what is wanted")]
    pub(super) fn put(&mut self, value: u64, width: u32) {
        debug_assert!(width <= WIDTH_MAX && width_of(value) <= width);
        self.waiting |= value << self.filled;
        self.filled += width;
        while self.filled >= 8 {
            self.out.push(self.waiting as u8);
            self.waiting >>= 8;
            self.filled -= 8;
        }
    }

    /// Bits written so far.
    pub(super) fn bits(&self) -> u64 {
        self.out.len() as u64 * 8 + u64::from(self.filled)
    }

    #[expect(clippy::cast_possible_truncation, reason = "fewer than eight bits wait")]
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.filled > 0 {
            self.out.push(self.waiting as u8);
        }
        self.out.extend([0; PAD]);
        self.out
    }
}

/// An array of numbers of one width.
pub(super) fn pack(values: impl Iterator<Item = u32>, width: u32) -> Vec<u8> {
    let mut packer = Packer::default();
    values.for_each(|value| packer.put(u64::from(value), width));
    packer.finish()
}
