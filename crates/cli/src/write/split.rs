//! Finds where points end: at a newline that does not lie inside a quoted string of the field set.

/// Walks over a growing buffer of line protocol, once.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    position: usize,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing of the line but blanks was seen.
    #[default]
    Start,
    /// In a comment.
    Comment,
    /// In measurement and tags; the flag: after a backslash.
    Series { escaped: bool },
    /// In the fields or the timestamp.
    Fields { quoted: bool, escaped: bool },
}

impl Splitter {
    /// The end (one past the newline) of the next point; `None` until more is in the buffer. Blank lines and comments
    /// are no points: they belong to the point after them.
    pub(super) fn next_end(&mut self, buffer: &[u8]) -> Option<usize> {
        while let Some(&byte) = buffer.get(self.position) {
            self.position += 1;
            let ends_point = byte == b'\n'
                && matches!(self.state, State::Series { .. } | State::Fields { quoted: false, .. });
            self.state = self.state.after(byte);
            if ends_point {
                return Some(self.position);
            }
        }
        None
    }

    /// Whether the buffer ended inside a point: the last one, when no newline follows it.
    pub(super) const fn in_point(&self) -> bool {
        matches!(self.state, State::Series { .. } | State::Fields { .. })
    }

    /// The first `bytes` of the buffer are gone.
    pub(super) const fn forget(&mut self, bytes: usize) {
        self.position -= bytes;
    }
}

impl State {
    const fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Fields { quoted: true, escaped: true }, _) => {
                Self::Fields { quoted: true, escaped: false }
            }
            (Self::Fields { quoted: true, .. }, b'\\') => Self::Fields { quoted: true, escaped: true },
            (Self::Fields { quoted: true, .. }, b'"') => Self::Fields { quoted: false, escaped: false },
            (Self::Fields { quoted: true, .. }, _) => self,
            (_, b'\n') => Self::Start,
            (Self::Fields { .. }, b'"') => Self::Fields { quoted: true, escaped: false },
            (Self::Fields { .. } | Self::Comment, _) => self,
            (Self::Start, b' ' | b'\t' | b'\r') => Self::Start,
            (Self::Start, b'#') => Self::Comment,
            (Self::Start | Self::Series { escaped: false }, b'\\') => Self::Series { escaped: true },
            (Self::Series { escaped: false }, b' ') => Self::Fields { quoted: false, escaped: false },
            (Self::Start | Self::Series { .. }, _) => Self::Series { escaped: false },
        }
    }
}

#[cfg(test)]
mod tests;
