//! Checksummed frames: one way to put records in a row into a file or a message and to read them back untrusting.
//!
//! ```text
//! 0        4        8          8 + length
//! +--------+--------+----------+
//! | length | crc32c | payload  |      little endian; crc32c (Castagnoli) of (length, payload)
//! +--------+--------+----------+
//! ```
//!
//! The reader never trusts a length: it is compared with a limit and with what is there before anything is taken, and
//! the checksum covers it. What does not read is told by kind, so that the caller can tell an end that was torn
//! ([`FrameError::Truncated`]) from damage.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

/// Bytes before the payload of a frame.
pub const FRAME_HEADER_BYTES: usize = 8;

/// Why the bytes are not a frame. `offset` is where the frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes end within the frame, or its length is not to be trusted.
    #[error("the frame at byte {offset} is longer than what is there")]
    Truncated {
        /// Where it begins.
        offset: usize,
    },
    /// The length is above the limit.
    #[error("the frame at byte {offset} says {len} bytes, above the limit of {limit}")]
    TooLong {
        /// Where it begins.
        offset: usize,
        /// What it says.
        len: u64,
        /// The limit.
        limit: u32,
    },
    /// The checksum is wrong.
    #[error("the frame at byte {offset} has a bad checksum")]
    Checksum {
        /// Where it begins.
        offset: usize,
    },
}

fn checksum(len: u32, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&len.to_le_bytes()), payload)
}

/// Appends a frame with this payload.
///
/// # Errors
/// [`FrameError::TooLong`] when the payload is longer than `limit`; nothing is appended.
pub fn write_frame(out: &mut Vec<u8>, payload: &[u8], limit: u32) -> Result<(), FrameError> {
    match u32::try_from(payload.len()) {
        Ok(len) if len <= limit => {
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&checksum(len, payload).to_le_bytes());
            out.extend_from_slice(payload);
            Ok(())
        }
        _ => Err(FrameError::TooLong { offset: out.len(), len: payload.len() as u64, limit }),
    }
}

/// Reads frames that lie in a row.
#[derive(Debug, Clone)]
pub struct FrameReader<'a> {
    rest: &'a [u8],
    offset: usize,
    limit: u32,
}

impl<'a> FrameReader<'a> {
    /// A reader that takes payloads of at most `limit` bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8], limit: u32) -> Self {
        Self { rest: bytes, offset: 0, limit }
    }

    /// Where the next frame begins: everything before was sound.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The next payload; `None` at the end.
    ///
    /// # Errors
    /// When the bytes are not a frame. The reader stays where it is.
    pub fn next_frame(&mut self) -> Result<Option<&'a [u8]>, FrameError> {
        let (offset, limit) = (self.offset, self.limit);
        if self.rest.is_empty() {
            return Ok(None);
        }
        let truncated = FrameError::Truncated { offset };
        let (len, behind) = self.rest.split_first_chunk().ok_or(truncated)?;
        let (stored, behind) = behind.split_first_chunk().ok_or(truncated)?;
        let len = u32::from_le_bytes(*len);
        if len > limit {
            return Err(FrameError::TooLong { offset, len: u64::from(len), limit });
        }
        let bytes = usize::try_from(len).map_err(|_too_long| truncated)?;
        let (payload, behind) = behind.split_at_checked(bytes).ok_or(truncated)?;
        if checksum(len, payload) != u32::from_le_bytes(*stored) {
            return Err(FrameError::Checksum { offset });
        }
        self.rest = behind;
        self.offset += FRAME_HEADER_BYTES + bytes;
        Ok(Some(payload))
    }
}

impl<'a> Iterator for FrameReader<'a> {
    type Item = Result<&'a [u8], FrameError>;

    /// The next payload. After an error the iteration has ended.
    fn next(&mut self) -> Option<Self::Item> {
        let frame = self.next_frame().transpose();
        if matches!(frame, Some(Err(_))) {
            self.rest = &[];
        }
        frame
    }
}

#[cfg(test)]
mod tests;
