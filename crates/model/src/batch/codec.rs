//! The columnar encoding of a batch, as it stands in log entries.
//!
//! ```text
//! | version = 1 | 0 = plain         | body                          |
//! | version = 1 | 1 = lz4           | body bytes | lz4 block        |
//!
//! body:   | bucket | shard duration | tables | table ...
//! table:  | measurement | fields | type, name ... | series | key, rows ... | times | column ...
//! key:    | bytes shared with the previous key | the other bytes |
//! times:  per series, see `times`
//! column: | 0 = no nulls, 1 = bitmap | bitmap | values that are not null, see `values` |
//! ```
//!
//! Numbers are varints, signed ones zigzag; words are little-endian. Series hashes are not stored: they follow
//! from the keys. The reader takes nothing on trust: every length is held against the bytes that are left, rows
//! and columns against [`CELLS_MAX`] before they are allocated, and what it returns satisfies every invariant of
//! [`Batch`] and [`Table`].

use hashbrown::HashSet;

use super::{Batch, CELLS_MAX, FieldDef, SeriesRows, Table};
use crate::column::{Bitmap, Column};
use crate::ids::BucketId;
use crate::series::SeriesKey;
use crate::value::FieldType;
use crate::varint;

mod ints;
mod times;
mod values;

#[cfg(test)]
mod tests;

const VERSION: u8 = 1;
const PLAIN: u8 = 0;
const LZ4: u8 = 1;
/// Bodies up to this size are not worth compressing.
const COMPRESS_BYTES_MIN: usize = 1024;
/// The largest body that is compressed, and the most that a reader allocates for one.
pub const BODY_BYTES_MAX: usize = 64 << 20;

/// The most bytes of all series keys of a batch: keys share prefixes, so few bytes can stand for many.
const KEY_BYTES_TOTAL_MAX: usize = 512 << 20;

/// The most elements that are reserved on a claim that their bytes have not proven yet.
const RESERVE_MAX: usize = 1024;

/// Why bytes are not a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("batch encoding: {0}")]
pub struct DecodeError(pub &'static str);

/// Appends the encoding of a batch. The batch must satisfy its invariants and hold at most [`CELLS_MAX`] cells,
/// or it cannot be read back.
pub fn encode(batch: &Batch, out: &mut Vec<u8>) {
    let mut body = Vec::with_capacity(batch.bytes() / 4 + 256);
    encode_body(batch, &mut body);
    if body.len() > COMPRESS_BYTES_MIN && body.len() <= BODY_BYTES_MAX {
        let packed = lz4_flex::block::compress(&body);
        if packed.len() < body.len() {
            out.extend_from_slice(&[VERSION, LZ4]);
            varint::put(out, body.len() as u64);
            out.extend_from_slice(&packed);
            return;
        }
    }
    out.extend_from_slice(&[VERSION, PLAIN]);
    out.extend_from_slice(&body);
}

fn encode_body(batch: &Batch, out: &mut Vec<u8>) {
    varint::put(out, batch.bucket.get());
    varint::put(out, varint::zigzag(batch.shard_duration_ns));
    varint::put(out, batch.tables.len() as u64);
    for table in &batch.tables {
        debug_assert_eq!(table.check(batch.bucket), Ok(()));
        encode_table(table, out);
    }
}

fn encode_table(table: &Table, out: &mut Vec<u8>) {
    varint::put_bytes(out, table.measurement.as_bytes());
    varint::put(out, table.fields.len() as u64);
    for field in &table.fields {
        out.push(field.field_type.code());
        varint::put_bytes(out, field.name.as_bytes());
    }
    varint::put(out, table.series.len() as u64);
    let mut previous: &[u8] = &[];
    for series in &table.series {
        let key = series.key.as_bytes();
        let shared = previous.iter().zip(key).take_while(|(a, b)| a == b).count();
        varint::put(out, shared as u64);
        varint::put_bytes(out, &key[shared..]);
        varint::put(out, u64::from(series.rows));
        previous = key;
    }
    times::encode(table, out);
    for column in &table.columns {
        match column.valid.as_ref().filter(|valid| !valid.all()) {
            None => {
                out.push(0);
                values::encode(&column.values, out);
            }
            Some(valid) => {
                out.push(1);
                put_bits(out, valid);
                values::encode(&values::without_nulls(&column.values, valid), out);
            }
        }
    }
}

/// Reads a batch; never trusts a length.
pub fn decode(bytes: &[u8]) -> Result<Batch, DecodeError> {
    match bytes {
        [VERSION, PLAIN, body @ ..] => decode_body(body),
        [VERSION, LZ4, rest @ ..] => {
            let mut rest = rest;
            let len = take_len(&mut rest)?;
            if len > BODY_BYTES_MAX {
                return Err(DecodeError("the body is too large"));
            }
            // A block never expands more than 255 times.
            if len / 255 > rest.len() {
                return Err(DecodeError("the body is larger than its block can be"));
            }
            let mut body = vec![0; len];
            match lz4_flex::block::decompress_into(rest, &mut body) {
                Ok(written) if written == len => decode_body(&body),
                _ => Err(DecodeError("the lz4 block is damaged")),
            }
        }
        [VERSION, ..] => Err(DecodeError("unknown compression")),
        _ => Err(DecodeError("unknown version")),
    }
}

fn decode_body(mut input: &[u8]) -> Result<Batch, DecodeError> {
    let input = &mut input;
    let bucket = BucketId::new(take(input)?).ok_or(DecodeError("the bucket is zero"))?;
    let shard_duration_ns = varint::unzigzag(take(input)?);
    let count = take_len(input)?;
    let mut spent = Spent::default();
    let mut measurements = HashSet::new();
    let mut tables = Vec::with_capacity(count.min(RESERVE_MAX));
    for _ in 0..count {
        let table = decode_table(input, bucket, &mut spent)?;
        if !measurements.insert(std::sync::Arc::clone(&table.measurement)) {
            return Err(DecodeError("a measurement occurs twice"));
        }
        tables.push(table);
    }
    if !input.is_empty() {
        return Err(DecodeError("bytes after the last table"));
    }
    Ok(Batch { bucket, shard_duration_ns, tables })
}

/// What the tables read so far take of the limits.
#[derive(Default)]
struct Spent {
    cells: usize,
    key_bytes: usize,
}

fn decode_table(input: &mut &[u8], bucket: BucketId, spent: &mut Spent) -> Result<Table, DecodeError> {
    let measurement = take_text(input)?.into();
    let count = take_len(input)?;
    let mut fields = Vec::with_capacity(count.min(RESERVE_MAX));
    for _ in 0..count {
        let (&code, rest) = input.split_first().ok_or(DecodeError("cut in a field"))?;
        *input = rest;
        let field_type = FieldType::from_code(code).ok_or(DecodeError("unknown field type"))?;
        fields.push(FieldDef { name: take_text(input)?.into(), field_type });
    }
    let series = decode_series(input, bucket, spent)?;
    let rows = series.iter().map(|s| s.rows as usize).sum::<usize>();
    spent.cells = rows
        .checked_mul(fields.len() + 1)
        .and_then(|n| n.checked_add(spent.cells))
        .filter(|n| *n <= CELLS_MAX)
        .ok_or(DecodeError("too many cells"))?;
    let times = times::decode(input, &series, rows)?;
    let mut columns = Vec::with_capacity(fields.len());
    for field in &fields {
        columns.push(decode_column(input, field.field_type, rows)?);
    }
    let table = Table { measurement, fields, series, times, columns };
    table.check(bucket).map_err(DecodeError)?;
    Ok(table)
}

fn decode_series(
    input: &mut &[u8],
    bucket: BucketId,
    spent: &mut Spent,
) -> Result<Vec<SeriesRows>, DecodeError> {
    let count = take_len(input)?;
    let mut series = Vec::with_capacity(count.min(RESERVE_MAX));
    let mut key = Vec::new();
    for _ in 0..count {
        let shared = take_len(input)?;
        if shared > key.len() {
            return Err(DecodeError("a key shares more than there is"));
        }
        key.truncate(shared);
        let rest = varint::take_bytes(input).ok_or(DecodeError("cut in a series key"))?;
        key.extend_from_slice(rest);
        spent.key_bytes += key.len();
        if spent.key_bytes > KEY_BYTES_TOTAL_MAX {
            return Err(DecodeError("too many bytes of keys"));
        }
        let rows = u32::try_from(take(input)?).map_err(|_range| DecodeError("too many rows"))?;
        let key = SeriesKey::from_bytes(&key).map_err(|_why| DecodeError("a series key is not canonical"))?;
        series.push(SeriesRows { hash: key.hash(bucket), key, rows });
    }
    Ok(series)
}

fn decode_column(input: &mut &[u8], field_type: FieldType, rows: usize) -> Result<Column, DecodeError> {
    let (&nulls, rest) = input.split_first().ok_or(DecodeError("cut in a column"))?;
    *input = rest;
    match nulls {
        0 => Ok(Column::new(values::decode(input, field_type, rows)?)),
        1 => {
            let valid = take_bits(input, rows)?;
            let dense = values::decode(input, field_type, valid.count_ones())?;
            Ok(Column { values: values::with_nulls(&dense, &valid), valid: Some(valid) })
        }
        _ => Err(DecodeError("unknown validity")),
    }
}

fn take(input: &mut &[u8]) -> Result<u64, DecodeError> {
    varint::take(input).ok_or(DecodeError("cut in a number"))
}

fn take_len(input: &mut &[u8]) -> Result<usize, DecodeError> {
    usize::try_from(take(input)?).map_err(|_range| DecodeError("a length is out of range"))
}

fn take_text<'a>(input: &mut &'a [u8]) -> Result<&'a str, DecodeError> {
    let bytes = varint::take_bytes(input).ok_or(DecodeError("cut in a text"))?;
    simdutf8::basic::from_utf8(bytes).map_err(|_invalid| DecodeError("a text is not UTF-8"))
}

/// Exactly `len` bytes.
fn take_exact<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8], DecodeError> {
    let (bytes, rest) = input.split_at_checked(len).ok_or(DecodeError("cut in values"))?;
    *input = rest;
    Ok(bytes)
}

fn put_bits(out: &mut Vec<u8>, bits: &Bitmap) {
    let start = out.len();
    out.extend(bits.words().iter().flat_map(|word| word.to_le_bytes()));
    out.truncate(start + bits.len().div_ceil(8));
}

fn take_bits(input: &mut &[u8], len: usize) -> Result<Bitmap, DecodeError> {
    let bytes = take_exact(input, len.div_ceil(8))?;
    let word = |chunk: &[u8]| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    };
    let words = bytes.chunks(8).map(word).collect();
    Bitmap::from_words(words, len).ok_or(DecodeError("cut in bits"))
}
