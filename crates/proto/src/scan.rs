//! Requests to read stored data, and what comes back, between nodes. What comes in is checked: every column is as long
//! as its block, every key is a key.

use std::sync::Arc;
use std::time::Duration;

use model::{
    Bitmap, BucketId, Column, Consistency, Ends, FieldSelection, GroupId, PartitionId, Reading, ScanRequest,
    SchemaQuestion, SchemaRequest, SeriesBlock, SeriesKey, TimeRange, Timestamp, Values, predicate,
};

use crate::peer::{self, field, reading, schema_request::Question};

/// A message grows to about this before the next begins.
const MESSAGE_BYTES: usize = 1 << 20;
/// A block above this is cut.
const BLOCK_BYTES_MAX: usize = 4 << 20;

/// Why a request or an answer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A field that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value that makes no sense.
    #[error("{0} has an impossible value")]
    Impossible(&'static str),
    /// The predicate.
    #[error("the predicate cannot be read")]
    Predicate(#[from] predicate::codec::CodecError),
}

/// The message of a scan.
///
/// # Errors
/// The predicate is too large to be sent.
pub fn request(
    place: &Place,
    request: &ScanRequest,
    ends: Option<Ends>,
) -> Result<peer::ScanRequest, ScanError> {
    let names = |names: &[Arc<str>]| names.iter().map(|name| name.as_ref().to_owned()).collect();
    Ok(peer::ScanRequest {
        partitions: place.partitions.iter().map(|partition| partition.0.into()).collect(),
        bucket: request.bucket.get(),
        start_ns: request.range.start.0,
        end_ns: request.range.end.0,
        predicate: predicate::codec::encode(&request.predicate)?.into(),
        fields: match &request.fields {
            FieldSelection::All => None,
            FieldSelection::Names(fields) | FieldSelection::InAllRows(fields) => {
                Some(peer::Names { names: names(fields) })
            }
        },
        in_all_rows: matches!(request.fields, FieldSelection::InAllRows(_)),
        ends: ends.map(|ends| peer::Ends { rows: ends.rows as u64, newest: ends.newest }),
        reading: Some(write_reading(place)),
    })
}

/// What is read somewhere else: partitions that have a replica there, and how new they must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The partitions.
    pub partitions: Vec<PartitionId>,
    /// What is demanded of them.
    pub reading: Reading,
}

/// Of what must be seen only what is in these partitions matters to the reader.
fn write_reading(place: &Place) -> peer::Reading {
    let Place { partitions, reading } = place;
    let nanoseconds = |age: Duration| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
    let seen = partitions.iter().filter_map(|partition| {
        let group = GroupId::Data(*partition);
        Some(peer::Seen { group: group.number(), index: reading.seen.get(group)? })
    });
    peer::Reading {
        consistency: match reading.consistency {
            Consistency::Leader => None,
            Consistency::Linearizable => Some(reading::Consistency::Linearizable(peer::Nothing {})),
            Consistency::Bounded(age) => Some(reading::Consistency::BoundedNs(nanoseconds(age))),
            Consistency::Any => Some(reading::Consistency::Any(peer::Nothing {})),
        },
        seen: seen.collect(),
    }
}

fn read_reading(message: peer::Reading) -> Result<Reading, ScanError> {
    let seen = message.seen.into_iter().map(|seen| {
        let group = GroupId::from_number(seen.group).ok_or(ScanError::Impossible("group"))?;
        Ok((group, seen.index))
    });
    Ok(Reading {
        consistency: match message.consistency {
            None => Consistency::Leader,
            Some(reading::Consistency::Linearizable(_)) => Consistency::Linearizable,
            Some(reading::Consistency::BoundedNs(age)) => Consistency::Bounded(Duration::from_nanos(age)),
            Some(reading::Consistency::Any(_)) => Consistency::Any,
        },
        seen: seen.collect::<Result<_, ScanError>>()?,
    })
}

/// What a scan asks for, and where.
pub type Asked = (Place, ScanRequest, Option<Ends>);

/// Reads the message of a scan.
///
/// # Errors
/// See [`ScanError`].
pub fn read_request(message: peer::ScanRequest) -> Result<Asked, ScanError> {
    let partition =
        |raw| u16::try_from(raw).map(PartitionId).map_err(|_range| ScanError::Impossible("partition"));
    let place = Place {
        partitions: message.partitions.into_iter().map(partition).collect::<Result<_, _>>()?,
        reading: read_reading(message.reading.unwrap_or_default())?,
    };
    let names = |names: peer::Names| names.names.into_iter().map(Arc::from).collect();
    let request = ScanRequest {
        bucket: BucketId::new(message.bucket).ok_or(ScanError::Impossible("bucket"))?,
        range: TimeRange::new(Timestamp(message.start_ns), Timestamp(message.end_ns)),
        predicate: predicate::codec::decode(&message.predicate)?,
        fields: match message.fields.map(names) {
            None => FieldSelection::All,
            Some(fields) if message.in_all_rows => FieldSelection::InAllRows(fields),
            Some(fields) => FieldSelection::Names(fields),
        },
    };
    let rows = |rows| usize::try_from(rows).unwrap_or(usize::MAX);
    let ends = message.ends.map(|ends| Ends { rows: rows(ends.rows), newest: ends.newest });
    Ok((place, request, ends))
}

/// The message of a question about names.
///
/// # Errors
/// The predicate is too large to be sent.
pub fn schema_request(place: &Place, asked: &SchemaRequest) -> Result<peer::SchemaRequest, ScanError> {
    let scope = ScanRequest {
        bucket: asked.bucket,
        range: asked.range,
        predicate: asked.predicate.clone(),
        fields: FieldSelection::All,
    };
    let nothing = peer::Nothing {};
    let question = match &asked.question {
        SchemaQuestion::Measurements => Question::Measurements(nothing),
        SchemaQuestion::TagKeys => Question::TagKeys(nothing),
        SchemaQuestion::TagValues(key) => Question::TagValues(key.clone()),
        SchemaQuestion::FieldKeys => Question::FieldKeys(nothing),
        SchemaQuestion::Series => Question::Series(nothing),
    };
    Ok(peer::SchemaRequest { scope: Some(request(place, &scope, None)?), question: Some(question) })
}

/// Reads the message of a question about names.
///
/// # Errors
/// See [`ScanError`].
pub fn read_schema_request(message: peer::SchemaRequest) -> Result<(Place, SchemaRequest), ScanError> {
    let (place, scope, _) = read_request(message.scope.ok_or(ScanError::Missing("scope"))?)?;
    let question = match message.question.ok_or(ScanError::Missing("question"))? {
        Question::Measurements(_) => SchemaQuestion::Measurements,
        Question::TagKeys(_) => SchemaQuestion::TagKeys,
        Question::TagValues(key) => SchemaQuestion::TagValues(key),
        Question::FieldKeys(_) => SchemaQuestion::FieldKeys,
        Question::Series(_) => SchemaQuestion::Series,
    };
    let ScanRequest { bucket, range, predicate, fields: _ } = scope;
    Ok((place, SchemaRequest { bucket, range, predicate, question }))
}

/// Gathers blocks into messages.
#[derive(Debug, Default)]
pub struct Gather {
    blocks: Vec<peer::SeriesBlock>,
    bytes: usize,
}

impl Gather {
    /// Takes a block, and answers a message when there is enough for one.
    pub fn push(&mut self, block: SeriesBlock) -> Vec<peer::SeriesBlocks> {
        let mut full = Vec::new();
        for part in cut(block) {
            self.bytes += bytes_of(&part);
            self.blocks.push(write_block(part));
            if self.bytes >= MESSAGE_BYTES {
                full.extend(self.take());
            }
        }
        full
    }

    /// The last message, when there is anything left.
    pub fn take(&mut self) -> Option<peer::SeriesBlocks> {
        self.bytes = 0;
        let blocks = std::mem::take(&mut self.blocks);
        (!blocks.is_empty()).then_some(peer::SeriesBlocks { blocks })
    }
}

fn bytes_of(block: &SeriesBlock) -> usize {
    let columns: usize = block.fields.iter().map(|(name, column)| name.len() + column.bytes()).sum();
    block.key.as_bytes().len() + block.times.len() * 8 + columns
}

/// A block, or its halves as long as they are large.
fn cut(block: SeriesBlock) -> Vec<SeriesBlock> {
    let rows = block.times.len();
    if rows <= 1 || bytes_of(&block) <= BLOCK_BYTES_MAX {
        return vec![block];
    }
    let index = |at: usize| u32::try_from(at).expect("a block has fewer rows");
    let part = |from: usize, to: usize| {
        let indices: Vec<u32> = (index(from)..index(to)).collect();
        let fields = block.fields.iter().map(|(name, column)| (Arc::clone(name), column.gather(&indices)));
        SeriesBlock {
            key: block.key.clone(),
            times: block.times[from..to].to_vec(),
            fields: fields.collect(),
        }
    };
    [part(0, rows / 2), part(rows / 2, rows)].into_iter().flat_map(cut).collect()
}

/// The message of a column.
pub(crate) fn write_field(name: String, column: Column) -> peer::Field {
    peer::Field {
        name,
        valid: column.valid.map(|bits| peer::Bits { words: bits.words().to_vec() }),
        values: Some(match column.values {
            Values::Float(values) => field::Values::Floats(peer::Floats { values }),
            // A time is never a field.
            Values::Integer(values) | Values::Time(values) => {
                field::Values::Integers(peer::Integers { values })
            }
            Values::Unsigned(values) => field::Values::Unsigned(peer::Unsigned { values }),
            Values::String(values) => {
                field::Values::Strings(peer::Names { names: values.iter().map(str::to_owned).collect() })
            }
            Values::Boolean(bits) => field::Values::Booleans(peer::Bits { words: bits.words().to_vec() }),
        }),
    }
}

fn write_block(block: SeriesBlock) -> peer::SeriesBlock {
    let field = |(name, column): (Arc<str>, Column)| write_field(name.as_ref().to_owned(), column);
    peer::SeriesBlock {
        key: bytes::Bytes::copy_from_slice(block.key.as_bytes()),
        times: block.times,
        fields: block.fields.into_iter().map(field).collect(),
    }
}

/// Reads the blocks of a message.
///
/// # Errors
/// See [`ScanError`].
pub fn read_blocks(message: peer::SeriesBlocks) -> Result<Vec<SeriesBlock>, ScanError> {
    message.blocks.into_iter().map(read_block).collect()
}

/// Reads the column of a message, of so many rows.
pub(crate) fn read_column(field: peer::Field, rows: usize) -> Result<Column, ScanError> {
    let bits = |bits: peer::Bits| {
        let is_whole = bits.words.len() == rows.div_ceil(64);
        Bitmap::from_words(bits.words, rows).filter(|_| is_whole).ok_or(ScanError::Impossible("bits"))
    };
    let values = match field.values.ok_or(ScanError::Missing("values"))? {
        field::Values::Floats(floats) => Values::Float(floats.values),
        field::Values::Integers(integers) => Values::Integer(integers.values),
        field::Values::Unsigned(unsigned) => Values::Unsigned(unsigned.values),
        field::Values::Strings(strings) => Values::String(strings.names.iter().collect()),
        field::Values::Booleans(booleans) => Values::Boolean(bits(booleans)?),
    };
    if values.len() != rows {
        return Err(ScanError::Impossible("length of a column"));
    }
    let valid = field.valid.map(bits).transpose()?;
    Ok(Column { values, valid })
}

fn read_block(block: peer::SeriesBlock) -> Result<SeriesBlock, ScanError> {
    let rows = block.times.len();
    if !block.times.is_sorted_by(|a, b| a < b) {
        return Err(ScanError::Impossible("times of a block"));
    }
    let field = |mut field: peer::Field| {
        let name = Arc::from(std::mem::take(&mut field.name));
        Ok::<_, ScanError>((name, read_column(field, rows)?))
    };
    let fields = block.fields.into_iter().map(field).collect::<Result<_, _>>()?;
    let key = SeriesKey::from_bytes(&block.key).map_err(|_key| ScanError::Impossible("series key"))?;
    Ok(SeriesBlock { key, times: block.times, fields })
}

#[cfg(test)]
mod tests;
