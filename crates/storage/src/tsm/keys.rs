//! The keys of a file's series, so that it can be understood without an index. Not read when the file is opened.
//!
//! ```text
//! block  | series | bytes before lz4 | bytes | crc32 of all but itself (4) | bytes: lz4 of key, key, ... |
//! key    | bytes shared with the key before in the block | length of the rest, rest |
//! ```
//! Integers are varints; keys are canonical, in the order of the file's series. A block is closed when it holds
//! [`BLOCK_BYTES`], or keys of [`KEYS_BYTES`] in all, so few bytes never become many keys.

use model::series::KEY_BYTES_MAX;
use model::{SeriesKey, varint};

use super::format::{checksum, take_array, take_len};
use crate::error::Damage;

/// A block is closed when it holds this many bytes.
const BLOCK_BYTES: usize = 64 << 10;
/// And when its keys have this many bytes, those counted too that each shares with the one before.
const KEYS_BYTES: usize = 1 << 20;

/// Writes keys.
#[derive(Debug, Default)]
pub(crate) struct KeysBuilder {
    out: Vec<u8>,
    block: Vec<u8>,
    series: u64,
    key_bytes: usize,
    last: Vec<u8>,
}

impl KeysBuilder {
    pub(crate) fn push(&mut self, key: &SeriesKey) {
        let key = key.as_bytes();
        let shared = key.iter().zip(&self.last).take_while(|(a, b)| a == b).count();
        varint::put(&mut self.block, shared as u64);
        varint::put_bytes(&mut self.block, &key[shared..]);
        self.last.clear();
        self.last.extend_from_slice(key);
        self.series += 1;
        self.key_bytes += key.len();
        if self.block.len() >= BLOCK_BYTES || self.key_bytes >= KEYS_BYTES {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.series == 0 {
            return;
        }
        let bytes = lz4_flex::block::compress(&self.block);
        let mut head = Vec::new();
        varint::put(&mut head, std::mem::take(&mut self.series));
        varint::put(&mut head, self.block.len() as u64);
        varint::put(&mut head, bytes.len() as u64);
        let sum = checksum_of(&head, &bytes);
        self.out.extend(head);
        self.out.extend(sum.to_le_bytes());
        self.out.extend(bytes);
        self.block.clear();
        self.key_bytes = 0;
        self.last.clear();
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.close();
        self.out
    }
}

/// Reads all keys of a file, in the order of its series. The error says at which byte.
pub(crate) fn read(bytes: &[u8], mut visit: impl FnMut(SeriesKey)) -> Result<(), (u64, Damage)> {
    let mut input = bytes;
    while !input.is_empty() {
        let at = (bytes.len() - input.len()) as u64;
        read_block(&mut input, &mut visit).map_err(|damage| (at, damage))?;
    }
    Ok(())
}

fn checksum_of(head: &[u8], bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(checksum(head), bytes)
}

fn read_block(input: &mut &[u8], visit: &mut impl FnMut(SeriesKey)) -> Result<(), Damage> {
    let before = *input;
    let (series, raw_len, len) = (take_len(input)?, take_len(input)?, take_len(input)?);
    let head = before.get(..before.len() - input.len()).ok_or(Damage::Truncated)?;
    let expected = u32::from_le_bytes(take_array(input)?);
    let (bytes, rest) = input.split_at_checked(len).ok_or(Damage::Truncated)?;
    *input = rest;
    if checksum_of(head, bytes) != expected {
        return Err(Damage::Checksum);
    }
    // What a block may hold beyond its limit is the one key that closed it.
    if raw_len > BLOCK_BYTES + KEY_BYTES_MAX + 16 {
        return Err(Damage::Malformed("keys"));
    }
    let block = lz4_flex::block::decompress(bytes, raw_len).map_err(|_why| Damage::Malformed("keys"))?;
    if block.len() != raw_len {
        return Err(Damage::Malformed("keys"));
    }
    let mut block = &block[..];
    let (mut key, mut key_bytes) = (Vec::new(), 0);
    for _ in 0..series {
        if key_bytes >= KEYS_BYTES {
            return Err(Damage::Malformed("keys"));
        }
        let shared = take_len(&mut block)?;
        if shared > key.len() {
            return Err(Damage::Malformed("series key"));
        }
        key.truncate(shared);
        key.extend(varint::take_bytes(&mut block).ok_or(Damage::Truncated)?);
        key_bytes += key.len();
        visit(SeriesKey::from_bytes(&key).map_err(|_why| Damage::Malformed("series key"))?);
    }
    if block.is_empty() { Ok(()) } else { Err(Damage::Malformed("keys")) }
}
