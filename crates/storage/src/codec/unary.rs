//! Small numbers in unary: as many zeros as the number says, then a one; lowest bit first, filled up with zeros.
//!
//! ```text
//!  2 0 1 3   ->   0 0 1  1  0 1  0 0 0 1   (lowest bit first)
//! ```
//! A reader lists the places of the ones, eight at a time without a question in between; numbers are the distances.

/// Ones are listed in eights, so a word writes up to this many places, some of which the next overwrites.
const SLACK: usize = 64;
/// Unary of a page never takes more bytes, so that places fit 32 bits.
const BYTES_MAX: usize = 1 << 28;

/// Appends numbers. Their sum is what they cost, so they are small.
pub(super) fn put(out: &mut Vec<u8>, numbers: impl Iterator<Item = u64>) {
    let (mut word, mut filled) = (0_u64, 0_u64);
    for number in numbers {
        filled += number;
        while filled >= 64 {
            out.extend_from_slice(&word.to_le_bytes());
            (word, filled) = (0, filled - 64);
        }
        word |= 1 << filled;
        filled += 1;
    }
    let used = usize::try_from(filled.div_ceil(8)).unwrap_or(8);
    out.extend(word.to_le_bytes().iter().take(used));
}

/// The places of ones, and before them that of one at -1.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<u32>);

impl Places {
    /// Lists the ones of bytes; `None` when there are not exactly `count`.
    pub(super) fn read(&mut self, bytes: &[u8], count: usize) -> Option<()> {
        if bytes.len() > BYTES_MAX || count > bytes.len() * 8 {
            return None;
        }
        if self.0.len() < 1 + count + SLACK {
            self.0.resize(1 + count + SLACK, 0);
        }
        *self.0.first_mut()? = u32::MAX;
        let (words, tail) = bytes.as_chunks::<8>();
        let mut padded = [0; 8];
        padded.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
        let (mut base, mut found) = (0_u32, 0);
        for word in words.iter().chain([&padded]) {
            let mut ones = u64::from_le_bytes(*word);
            let more = ones.count_ones() as usize;
            if found + more > count {
                return None;
            }
            let (eights, _) = self.0.get_mut(1 + found..)?.as_chunks_mut::<8>();
            for eight in eights.iter_mut().take(more.div_ceil(8)) {
                for place in eight {
                    *place = base.wrapping_add(ones.trailing_zeros());
                    ones &= ones.wrapping_sub(1);
                }
            }
            found += more;
            base = base.wrapping_add(64);
        }
        (found == count).then_some(())
    }

    /// Adds numbers from the `at`-th on, shifted, to the slots.
    pub(super) fn add(&self, at: usize, slots: &mut [u64], shift: u32) {
        let (Some(before), Some(after)) = (self.0.get(at..), self.0.get(at + 1..)) else { return };
        for ((slot, before), after) in slots.iter_mut().zip(before).zip(after) {
            let number = u64::from(after.wrapping_sub(*before).wrapping_sub(1));
            *slot = slot.wrapping_add(number.wrapping_shl(shift));
        }
    }
}
