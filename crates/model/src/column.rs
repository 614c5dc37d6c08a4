//! Columns of values in the layouts that vectorised engines use: plain vectors, bit-packed booleans and
//! validity, strings as offsets into one buffer (the layouts of Apache Arrow, so that a column can become an
//! Arrow array without a copy).

use crate::value::{FieldType, FieldValue};

#[cfg(test)]
mod tests;

/// Bits in 64-bit words, lowest first. Bits past the end are zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    len: usize,
}

impl Bitmap {
    /// No bits.
    pub const fn new() -> Self {
        Self { words: Vec::new(), len: 0 }
    }

    /// `len` bits, all `bit`.
    pub fn filled(bit: bool, len: usize) -> Self {
        let mut map = Self { words: vec![if bit { u64::MAX } else { 0 }; len.div_ceil(64)], len };
        map.clear_past_end();
        map
    }

    /// `len` bits, each asked for by its place.
    pub fn from_fn(len: usize, bit: impl Fn(usize) -> bool) -> Self {
        let word = |at: usize| {
            let from = at * 64;
            (from..len.min(from + 64)).fold(0, |word, i| word | u64::from(bit(i)) << (i - from))
        };
        Self { words: (0..len.div_ceil(64)).map(word).collect(), len }
    }

    /// Takes words of another owner; bits past `len` are cleared. `None` when there are too few words.
    pub fn from_words(mut words: Vec<u64>, len: usize) -> Option<Self> {
        let needed = len.div_ceil(64);
        if words.len() < needed {
            return None;
        }
        words.truncate(needed);
        let mut map = Self { words, len };
        map.clear_past_end();
        Some(map)
    }

    fn clear_past_end(&mut self) {
        if !self.len.is_multiple_of(64)
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1_u64 << (self.len % 64)) - 1;
        }
    }

    /// Number of bits.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory, with the room kept for more.
    fn bytes(&self) -> usize {
        self.words.capacity() * 8
    }

    /// The words.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The words, for another owner.
    pub fn into_words(self) -> Vec<u64> {
        self.words
    }

    /// Appends a bit.
    pub fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        if bit {
            let at = self.len / 64;
            self.words[at] |= 1 << (self.len % 64);
        }
        self.len += 1;
    }

    /// Appends `count` equal bits.
    pub fn push_n(&mut self, bit: bool, count: usize) {
        self.len += count;
        let old_words = self.words.len();
        self.words.resize(self.len.div_ceil(64), 0);
        if bit {
            let start = self.len - count;
            if !start.is_multiple_of(64) && old_words > 0 {
                self.words[old_words - 1] |= u64::MAX << (start % 64);
            }
            for word in &mut self.words[old_words..] {
                *word = u64::MAX;
            }
            self.clear_past_end();
        }
    }

    /// The bit at `index`. Panics past the end.
    pub fn get(&self, index: usize) -> bool {
        assert!(index < self.len, "bit {index} of {}", self.len);
        self.words[index / 64] >> (index % 64) & 1 == 1
    }

    /// Sets the bit at `index`. Panics past the end.
    pub fn set(&mut self, index: usize, bit: bool) {
        assert!(index < self.len, "bit {index} of {}", self.len);
        let mask = 1 << (index % 64);
        if bit {
            self.words[index / 64] |= mask;
        } else {
            self.words[index / 64] &= !mask;
        }
    }

    /// Number of ones.
    pub fn count_ones(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether every bit is one.
    pub fn all(&self) -> bool {
        self.count_ones() == self.len
    }

    /// Shortens to `len` bits; does nothing when there are no more than that.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
            self.words.truncate(len.div_ceil(64));
            self.clear_past_end();
        }
    }

    /// Appends bits `from..to` of another bitmap, a word at a time. Panics past its end.
    pub fn extend_from(&mut self, other: &Self, from: usize, to: usize) {
        assert!(from <= to && to <= other.len, "bits {from}..{to} of {}", other.len);
        self.words.reserve((self.len + to - from).div_ceil(64) - self.words.len());
        let mut at = from;
        while at < to {
            let count = (to - at).min(64);
            self.push_word(other.word_at(at), count);
            at += count;
        }
    }

    /// The 64 bits from bit `at` on; zeros past the end.
    fn word_at(&self, at: usize) -> u64 {
        let (word, shift) = (at / 64, at % 64);
        let low = self.words.get(word).copied().unwrap_or(0) >> shift;
        match self.words.get(word + 1) {
            Some(next) if shift > 0 => low | next << (64 - shift),
            _ => low,
        }
    }

    /// Appends the lowest `count` (1 to 64) bits of a word.
    fn push_word(&mut self, word: u64, count: usize) {
        let word = if count < 64 { word & ((1 << count) - 1) } else { word };
        let shift = self.len % 64;
        match self.words.last_mut() {
            Some(last) if shift > 0 => {
                *last |= word << shift;
                if shift + count > 64 {
                    self.words.push(word >> (64 - shift));
                }
            }
            _ => self.words.push(word),
        }
        self.len += count;
    }

    /// The positions of the ones, ascending. Panics when there are more than 2^32 bits.
    pub fn ones(&self) -> Vec<u32> {
        let mut ones = Vec::with_capacity(self.count_ones());
        for (i, &word) in self.words.iter().enumerate() {
            let base = u32::try_from(i * 64).expect("a column has fewer than 2^32 rows");
            let mut word = word;
            while word != 0 {
                ones.push(base + word.trailing_zeros());
                word &= word - 1;
            }
        }
        ones
    }

    /// Sets every bit that is set in `other`. Panics when the lengths differ.
    pub fn or(&mut self, other: &Self) {
        assert_eq!(self.len, other.len, "bitmaps of one length");
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b);
    }

    /// Clears every bit that is clear in `other`. Panics when the lengths differ.
    pub fn and(&mut self, other: &Self) {
        assert_eq!(self.len, other.len, "bitmaps of one length");
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= b);
    }

    /// The bits in order.
    pub fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        (0..self.len).map(|i| self.get(i))
    }
}

impl FromIterator<bool> for Bitmap {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        let mut map = Self::new();
        for bit in bits {
            map.push(bit);
        }
        map
    }
}

/// UTF-8 strings in one buffer: string `i` is `bytes[offsets[i]..offsets[i + 1]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringColumn {
    offsets: Vec<i32>,
    data: String,
}

impl Default for StringColumn {
    fn default() -> Self {
        Self { offsets: vec![0], data: String::new() }
    }
}

impl StringColumn {
    /// No strings.
    pub fn new() -> Self {
        Self::default()
    }

    /// The offsets, one more than strings, and the buffer that they point into, for another owner.
    pub fn into_parts(self) -> (Vec<i32>, String) {
        (self.offsets, self.data)
    }

    /// Number of strings.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no strings.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory, with the room kept for more.
    fn bytes(&self) -> usize {
        self.data.capacity() + self.offsets.capacity() * 4
    }

    /// Bytes of all strings together.
    pub fn data_bytes(&self) -> usize {
        self.data.len()
    }

    /// Makes room for so many more strings, which together have so many bytes.
    pub fn reserve(&mut self, strings: usize, bytes: usize) {
        self.offsets.reserve(strings);
        self.data.reserve(bytes);
    }

    /// Appends a string. Panics when the column would hold 2 GiB, which every limit on input stays far below.
    pub fn push(&mut self, text: &str) {
        self.data.push_str(text);
        self.offsets.push(i32::try_from(self.data.len()).expect("a string column stays below 2 GiB"));
    }

    /// Appends strings `from..to` of another column. Panics past its end, and where [`StringColumn::push`] does.
    pub fn extend_from(&mut self, other: &Self, from: usize, to: usize) {
        let ends = &other.offsets[from..=to];
        let (Some(&first), Some(&last)) = (ends.first(), ends.last()) else { return };
        let at = |offset: i32| usize::try_from(offset).expect("offsets are never negative");
        let start = i32::try_from(self.data.len()).expect("a string column stays below 2 GiB");
        self.data.push_str(&other.data[at(first)..at(last)]);
        assert!(i32::try_from(self.data.len()).is_ok(), "a string column stays below 2 GiB");
        self.offsets.extend(ends[1..].iter().map(|end| end - first + start));
    }

    /// Appends `count` empty strings.
    pub fn push_empty(&mut self, count: usize) {
        let end = *self.offsets.last().expect("there is always a first offset");
        self.offsets.resize(self.offsets.len() + count, end);
    }

    /// Shortens to `len` strings; does nothing when there are no more than that.
    pub fn truncate(&mut self, len: usize) {
        if let Some(&end) = self.offsets.get(len) {
            self.offsets.truncate(len + 1);
            self.data.truncate(usize::try_from(end).expect("offsets are never negative"));
        }
    }

    /// The string at `index`. Panics past the end.
    pub fn get(&self, index: usize) -> &str {
        let at = |i: usize| usize::try_from(self.offsets[i]).expect("offsets are never negative");
        &self.data[at(index)..at(index + 1)]
    }

    /// The strings in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }
}

impl<S: AsRef<str>> FromIterator<S> for StringColumn {
    fn from_iter<I: IntoIterator<Item = S>>(strings: I) -> Self {
        let mut column = Self::new();
        for text in strings {
            column.push(text.as_ref());
        }
        column
    }
}

/// The values of a column, without their validity.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Doubles.
    Float(Vec<f64>),
    /// Signed integers.
    Integer(Vec<i64>),
    /// Unsigned integers.
    Unsigned(Vec<u64>),
    /// Strings.
    String(StringColumn),
    /// Booleans.
    Boolean(Bitmap),
    /// Nanoseconds since the epoch. Never the type of a field.
    Time(Vec<i64>),
}

/// The type of a column: a field's type, or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// A field's type.
    Field(FieldType),
    /// A timestamp in nanoseconds.
    Time,
}

impl Values {
    /// An empty column of a type.
    pub fn empty(column_type: ColumnType) -> Self {
        match column_type {
            ColumnType::Field(FieldType::Float) => Self::Float(Vec::new()),
            ColumnType::Field(FieldType::Integer) => Self::Integer(Vec::new()),
            ColumnType::Field(FieldType::Unsigned) => Self::Unsigned(Vec::new()),
            ColumnType::Field(FieldType::String) => Self::String(StringColumn::new()),
            ColumnType::Field(FieldType::Boolean) => Self::Boolean(Bitmap::new()),
            ColumnType::Time => Self::Time(Vec::new()),
        }
    }

    /// An empty column of a type with room for `count` values.
    pub fn with_capacity(column_type: ColumnType, count: usize) -> Self {
        let mut empty = Self::empty(column_type);
        match &mut empty {
            Self::Float(v) => v.reserve(count),
            Self::Integer(v) | Self::Time(v) => v.reserve(count),
            Self::Unsigned(v) => v.reserve(count),
            Self::String(v) => v.offsets.reserve(count),
            Self::Boolean(v) => v.words.reserve(count.div_ceil(64)),
        }
        empty
    }

    /// The type.
    pub const fn column_type(&self) -> ColumnType {
        match self {
            Self::Float(_) => ColumnType::Field(FieldType::Float),
            Self::Integer(_) => ColumnType::Field(FieldType::Integer),
            Self::Unsigned(_) => ColumnType::Field(FieldType::Unsigned),
            Self::String(_) => ColumnType::Field(FieldType::String),
            Self::Boolean(_) => ColumnType::Field(FieldType::Boolean),
            Self::Time(_) => ColumnType::Time,
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::Float(v) => v.len(),
            Self::Integer(v) | Self::Time(v) => v.len(),
            Self::Unsigned(v) => v.len(),
            Self::String(v) => v.len(),
            Self::Boolean(v) => v.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the type's zero, which stands in the place of a null.
    pub fn push_default(&mut self) {
        match self {
            Self::Float(v) => v.push(0.0),
            Self::Integer(v) | Self::Time(v) => v.push(0),
            Self::Unsigned(v) => v.push(0),
            Self::String(v) => v.push(""),
            Self::Boolean(v) => v.push(false),
        }
    }

    /// Appends `count` times the type's zero.
    pub fn push_defaults(&mut self, count: usize) {
        match self {
            Self::Float(v) => v.resize(v.len() + count, 0.0),
            Self::Integer(v) | Self::Time(v) => v.resize(v.len() + count, 0),
            Self::Unsigned(v) => v.resize(v.len() + count, 0),
            Self::String(v) => v.push_empty(count),
            Self::Boolean(v) => v.push_n(false, count),
        }
    }

    /// Shortens to `len` values; does nothing when there are no more than that.
    pub fn truncate(&mut self, len: usize) {
        match self {
            Self::Float(v) => v.truncate(len),
            Self::Integer(v) | Self::Time(v) => v.truncate(len),
            Self::Unsigned(v) => v.truncate(len),
            Self::String(v) => v.truncate(len),
            Self::Boolean(v) => v.truncate(len),
        }
    }

    /// Bytes of memory that the values take, with the room kept for more.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Float(v) => v.capacity() * 8,
            Self::Integer(v) | Self::Time(v) => v.capacity() * 8,
            Self::Unsigned(v) => v.capacity() * 8,
            Self::String(v) => v.bytes(),
            Self::Boolean(v) => v.bytes(),
        }
    }

    /// Appends values `from..to` of another column of the same type. Panics when the types differ.
    pub fn extend_from(&mut self, other: &Self, from: usize, to: usize) {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.extend_from_slice(&b[from..to]),
            (Self::Integer(a), Self::Integer(b)) | (Self::Time(a), Self::Time(b)) => {
                a.extend_from_slice(&b[from..to]);
            }
            (Self::Unsigned(a), Self::Unsigned(b)) => a.extend_from_slice(&b[from..to]),
            (Self::String(a), Self::String(b)) => a.extend_from(b, from, to),
            (Self::Boolean(a), Self::Boolean(b)) => a.extend_from(b, from, to),
            (a, b) => unreachable!("{:?} extended by {:?}", a.column_type(), b.column_type()),
        }
    }

    /// The values at `indices`, in that order.
    #[must_use]
    pub fn gather(&self, indices: &[u32]) -> Self {
        let at = |v: &[i64]| indices.iter().map(|&i| v[i as usize]).collect::<Vec<_>>();
        match self {
            Self::Float(v) => Self::Float(indices.iter().map(|&i| v[i as usize]).collect()),
            Self::Integer(v) => Self::Integer(at(v)),
            Self::Time(v) => Self::Time(at(v)),
            Self::Unsigned(v) => Self::Unsigned(indices.iter().map(|&i| v[i as usize]).collect()),
            Self::String(v) => Self::String(indices.iter().map(|&i| v.get(i as usize)).collect()),
            Self::Boolean(v) => Self::Boolean(indices.iter().map(|&i| v.get(i as usize)).collect()),
        }
    }
}

/// Values with their validity. A null holds the type's zero in `values`.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The values, nulls included.
    pub values: Values,
    /// Which rows hold a value; `None` when all do.
    pub valid: Option<Bitmap>,
}

impl Column {
    /// A column without nulls.
    pub const fn new(values: Values) -> Self {
        Self { values, valid: None }
    }

    /// An empty column of a type.
    pub fn empty(column_type: ColumnType) -> Self {
        Self::new(Values::empty(column_type))
    }

    /// A column of `len` nulls.
    pub fn nulls(column_type: ColumnType, len: usize) -> Self {
        let mut column = Self::empty(column_type);
        column.push_nulls(len);
        column
    }

    /// The type.
    pub const fn column_type(&self) -> ColumnType {
        self.values.column_type()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether row `index` holds a value.
    pub fn is_valid(&self, index: usize) -> bool {
        self.valid.as_ref().is_none_or(|v| v.get(index))
    }

    /// Number of nulls.
    pub fn null_count(&self) -> usize {
        self.valid.as_ref().map_or(0, |v| v.len() - v.count_ones())
    }

    /// Appends a null.
    pub fn push_null(&mut self) {
        let len = self.values.len();
        self.valid.get_or_insert_with(|| Bitmap::filled(true, len)).push(false);
        self.values.push_default();
    }

    /// Appends `count` nulls.
    pub fn push_nulls(&mut self, count: usize) {
        if count > 0 {
            let len = self.values.len();
            self.valid.get_or_insert_with(|| Bitmap::filled(true, len)).push_n(false, count);
            self.values.push_defaults(count);
        }
    }

    /// Shortens to `len` rows; does nothing when there are no more than that.
    pub fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        if let Some(valid) = &mut self.valid {
            valid.truncate(len);
        }
    }

    /// Bytes of memory that the column takes, with the room kept for more.
    pub fn bytes(&self) -> usize {
        self.values.bytes() + self.valid.as_ref().map_or(0, Bitmap::bytes)
    }

    /// Appends a field value. Panics when its type is not the column's.
    pub fn push(&mut self, value: &FieldValue) {
        match (&mut self.values, value) {
            (Values::Float(v), FieldValue::Float(x)) => v.push(*x),
            (Values::Integer(v) | Values::Time(v), FieldValue::Integer(x)) => v.push(*x),
            (Values::Unsigned(v), FieldValue::Unsigned(x)) => v.push(*x),
            (Values::String(v), FieldValue::String(x)) => v.push(x),
            (Values::Boolean(v), FieldValue::Boolean(x)) => v.push(*x),
            (v, x) => unreachable!("{:?} pushed to {:?}", x.field_type(), v.column_type()),
        }
        if let Some(valid) = &mut self.valid {
            valid.push(true);
        }
    }

    /// The value at `index`; `None` for a null. A time comes as an integer.
    pub fn get(&self, index: usize) -> Option<FieldValue> {
        self.is_valid(index).then(|| match &self.values {
            Values::Float(v) => FieldValue::Float(v[index]),
            Values::Integer(v) | Values::Time(v) => FieldValue::Integer(v[index]),
            Values::Unsigned(v) => FieldValue::Unsigned(v[index]),
            Values::String(v) => FieldValue::String(v.get(index).to_owned()),
            Values::Boolean(v) => FieldValue::Boolean(v.get(index)),
        })
    }

    /// Appends rows `from..to` of another column of the same type. Panics when the types differ.
    pub fn extend_from(&mut self, other: &Self, from: usize, to: usize) {
        let len = self.len();
        match (&mut self.valid, &other.valid) {
            (None, None) => {}
            (mine, theirs) => {
                let mine = mine.get_or_insert_with(|| Bitmap::filled(true, len));
                match theirs {
                    Some(theirs) => mine.extend_from(theirs, from, to),
                    None => mine.push_n(true, to - from),
                }
            }
        }
        self.values.extend_from(&other.values, from, to);
    }

    /// The rows at `indices`, in that order.
    #[must_use]
    pub fn gather(&self, indices: &[u32]) -> Self {
        Self {
            values: self.values.gather(indices),
            valid: self.valid.as_ref().map(|v| indices.iter().map(|&i| v.get(i as usize)).collect()),
        }
    }
}
