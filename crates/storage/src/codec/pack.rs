//! Bit-packing: values of one width, one behind the other, lowest bit first, filled up with zeros to a byte.
//!
//! ```text
//!  width 3, values a b c ...    byte 0: bbaaa at the low end ... | byte 1 ...      ceil(count * width / 8) bytes
//! ```
//! Values go in groups of 64, which fill exactly `width` words. There is one unrolled kernel per width, so every
//! shift is a constant and no bit of the loop depends on the one before: about a cycle per value on plain x86-64.
//! The order is that of the values, so a short page pays for its own values only, and a running sum can follow.

/// Values that a kernel takes at once.
pub(super) const GROUP: usize = 64;
/// The values of a kernel.
pub(super) type Group = [u64; GROUP];

/// Runs `$step!(i)` for 64 constants.
macro_rules! for_64 {
    ($step:ident) => {
        for_64!($step:
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
            32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63)
    };
    ($step:ident: $($i:literal)*) => { $($step!($i);)* };
}

/// A kernel for each width.
macro_rules! kernels {
    ($kernel:ident) => {
        kernels!($kernel:
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
            33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64)
    };
    ($kernel:ident: $($width:literal)*) => { [$($kernel::<$width>),*] };
}

/// Packs the low bits of a group into as many words as a value has bits.
type PackKernel = fn(&Group, &mut Group);
/// Unpacks words, at least as many as a value has bits.
type UnpackKernel = fn(&[[u8; 8]], &mut Group);

const PACK: [PackKernel; 65] = kernels!(pack_group);
const UNPACK: [UnpackKernel; 65] = kernels!(unpack_group);

const fn mask(width: usize) -> u64 {
    if width == 0 { 0 } else { u64::MAX >> (64 - width) }
}

fn pack_group<const WIDTH: usize>(values: &Group, words: &mut Group) {
    if WIDTH == 0 {
        return;
    }
    words[..WIDTH].fill(0);
    macro_rules! step {
        ($i:literal) => {
            let (at, shift) = ($i * WIDTH / 64, $i * WIDTH % 64);
            let value = values[$i] & mask(WIDTH);
            words[at] |= value << shift;
            if shift + WIDTH > 64 {
                words[at + 1] |= value >> (64 - shift);
            }
        };
    }
    for_64!(step);
}

fn unpack_group<const WIDTH: usize>(words: &[[u8; 8]], values: &mut Group) {
    let Some(words) = words.first_chunk::<WIDTH>() else { return };
    if WIDTH == 0 {
        values.fill(0);
        return;
    }
    macro_rules! step {
        ($i:literal) => {
            let (at, shift) = ($i * WIDTH / 64, $i * WIDTH % 64);
            let mut value = u64::from_le_bytes(words[at]) >> shift;
            if shift + WIDTH > 64 {
                value |= u64::from_le_bytes(words[at + 1]) << (64 - shift);
            }
            values[$i] = value & mask(WIDTH);
        };
    }
    for_64!(step);
}

/// Bytes of `count` packed values.
pub(super) const fn packed_len(count: usize, width: usize) -> usize {
    (count * width).div_ceil(8)
}

/// Bits that hold every value up to `max`.
pub(super) const fn width_of(max: u64) -> usize {
    (64 - max.leading_zeros()) as usize
}

/// Appends the low `width` (at most 64) bits of the values.
pub(super) fn pack(out: &mut Vec<u8>, values: &[u64], width: usize) {
    let kernel = PACK[width];
    let end = out.len() + packed_len(values.len(), width);
    out.reserve(values.len().div_ceil(GROUP) * width * 8);
    let mut words = [0; GROUP];
    let (groups, tail) = values.as_chunks::<GROUP>();
    let mut put = |group: &Group| {
        kernel(group, &mut words);
        words[..width].iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    };
    groups.iter().for_each(&mut put);
    if !tail.is_empty() {
        let mut group = [0; GROUP];
        group[..tail.len()].copy_from_slice(tail);
        put(&group);
        out.truncate(end);
    }
}

/// Unpacks `count` values of `width` bits from exactly their bytes and hands them over by groups, the last one
/// shorter. `None`, and nothing handed over, when the bytes or the width are wrong.
pub(super) fn unpack(
    bytes: &[u8],
    count: usize,
    width: usize,
    mut each: impl FnMut(&mut [u64]),
) -> Option<()> {
    let kernel = UNPACK.get(width)?;
    if count.checked_mul(width)?.div_ceil(8) != bytes.len() {
        return None;
    }
    let mut group = [0; GROUP];
    let (full, left) = (count / GROUP, count % GROUP);
    let (body, tail) = bytes.split_at_checked(full * width * 8)?;
    let (words, _) = body.as_chunks::<8>();
    for i in 0..full {
        kernel(words.get(i * width..)?, &mut group);
        each(&mut group);
    }
    if left > 0 {
        let mut padded = [0; GROUP * 8];
        padded.get_mut(..tail.len())?.copy_from_slice(tail);
        kernel(padded.as_chunks::<8>().0, &mut group);
        each(group.get_mut(..left)?);
    }
    Some(())
}
