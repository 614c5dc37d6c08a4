//! A JSON writer that streams, and writes as Go's `encoding/json` does: HTML characters escaped, floats shortest
//! with an exponent below 1e-6 and from 1e21 on, `pretty` indented by four spaces.

use model::Timestamp;

use crate::csv::push_decimal;

/// Writes one document, piece by piece.
#[derive(Debug)]
pub(crate) struct Json {
    /// What was written and not taken yet.
    pub(crate) out: Vec<u8>,
    pretty: bool,
    /// One entry per open bracket: whether it has a member already.
    open: Vec<bool>,
    after_key: bool,
    text: String,
}

impl Json {
    pub(crate) const fn new(pretty: bool) -> Self {
        Self { out: Vec::new(), pretty, open: Vec::new(), after_key: false, text: String::new() }
    }

    pub(crate) fn begin(&mut self, bracket: u8) {
        self.element();
        self.out.push(bracket);
        self.open.push(false);
    }

    pub(crate) fn end(&mut self, bracket: u8) {
        if self.open.pop() == Some(true) {
            self.line();
        }
        self.out.push(bracket);
    }

    pub(crate) fn key(&mut self, key: &str) {
        self.element();
        push_string(&mut self.out, key);
        self.out.extend_from_slice(if self.pretty { b": " } else { b":" });
        self.after_key = true;
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.element();
        push_string(&mut self.out, text);
    }

    pub(crate) fn raw(&mut self, text: &str) {
        self.element();
        self.out.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn integer(&mut self, value: i64) {
        self.raw(itoa::Buffer::new().format(value));
    }

    pub(crate) fn unsigned(&mut self, value: u64) {
        self.raw(itoa::Buffer::new().format(value));
    }

    /// A float; NaN and the infinities, which JSON cannot say, are null.
    pub(crate) fn float(&mut self, value: f64) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        push_float(&mut text, value);
        self.raw(&text);
        self.text = text;
    }

    /// A time as RFC 3339 in UTC.
    pub(crate) fn time(&mut self, time: Timestamp) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        time.write_rfc3339(&mut text);
        self.string(&text);
        self.text = text;
    }

    /// What comes before a member: the comma and the line break.
    fn element(&mut self) {
        if std::mem::take(&mut self.after_key) {
            return;
        }
        if let Some(has_member) = self.open.last_mut() {
            if std::mem::replace(has_member, true) {
                self.out.push(b',');
            }
            self.line();
        }
    }

    fn line(&mut self) {
        if self.pretty {
            self.out.push(b'\n');
            self.out.extend(std::iter::repeat_n(b' ', 4 * self.open.len()));
        }
    }
}

fn push_float(out: &mut String, value: f64) {
    let size = value.abs();
    if !value.is_finite() {
        out.push_str("null");
    } else if size != 0.0 && size < 1e-6 || size >= 1e21 {
        let mut buffer = ryu::Buffer::new();
        let text = buffer.format_finite(value);
        match text.split_once('e').filter(|_| size >= 1.0) {
            Some((mantissa, exponent)) => out.extend([mantissa, "e+", exponent]),
            None => out.push_str(text),
        }
    } else {
        push_decimal(out, value);
    }
}

/// Whether a byte of UTF-8 stands as it is in a string. What begins as U+2028 and U+2029 do is looked at more closely.
const fn is_plain(byte: u8) -> bool {
    !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | ..=0x1f | 0xe2)
}

/// [`is_plain`] of every byte.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        plain[byte] = is_plain(byte.to_le_bytes()[0]);
        byte += 1;
    }
    plain
};

fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut left = text;
    loop {
        let plain = left.bytes().position(|byte| !PLAIN[usize::from(byte)]).unwrap_or(left.len());
        let (before, from) = left.split_at(plain);
        out.extend_from_slice(before.as_bytes());
        let mut chars = from.chars();
        let Some(c) = chars.next() else { break };
        push_char(out, c);
        left = chars.as_str();
    }
    out.push(b'"');
}

fn push_char(out: &mut Vec<u8>, c: char) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\u{2028}' => out.extend_from_slice(b"\\u2028"),
        '\u{2029}' => out.extend_from_slice(b"\\u2029"),
        '<' | '>' | '&' | '\0'..='\x1f' => {
            let byte = u8::try_from(c).unwrap_or_default();
            out.extend_from_slice(b"\\u00");
            out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests;
