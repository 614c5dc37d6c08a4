//! Requests to summarize stored data, and the groups that come back, between nodes. What comes in is checked: whatever a
//! group is merged with later, its columns are as long as they must be, and there is in it what was asked for.

use std::sync::Arc;

use model::summary::{Point, Sums, Windows};
use model::{
    Cells, Column, ColumnType, FieldSummary, FieldType, FieldValue, Grouping, Groups, PartitionId, SeriesKey,
    SummaryRequest, TooLarge, Values, Wanted,
};

use crate::peer::{self, group_cells::Sums as WireSums, summary_request};
use crate::scan::{self, Place, ScanError};

/// Cells of one field in one piece.
const PIECE_CELLS: usize = 8 << 10;
/// Bytes of texts of one field in one piece, but for the first cell, and what a message grows to before the next begins.
const MESSAGE_BYTES: usize = 1 << 20;
/// More values than any cell has.
const COUNT_MAX: u64 = 1 << 48;

/// Why groups from elsewhere are refused.
#[derive(Debug, thiserror::Error)]
pub enum GroupsError {
    /// They make no sense.
    #[error(transparent)]
    Malformed(#[from] ScanError),
    /// With them the answer is larger than it may be.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// The message of a request.
///
/// # Errors
/// The predicate is too large to be sent.
pub fn request(place: &Place, request: &SummaryRequest) -> Result<peer::SummaryRequest, ScanError> {
    let Wanted { count, sum, squares, min, max, first, last, times } = request.wanted;
    Ok(peer::SummaryRequest {
        scan: Some(scan::request(place, &request.scan, None)?),
        windows: match request.windows {
            Windows::One => None,
            Windows::Every { every, offset } => Some(peer::Windows { every_ns: every, offset_ns: offset }),
        },
        wanted: Some(peer::Wanted { count, sum, squares, min, max, first, last, times }),
        grouping: Some(match &request.grouping {
            Grouping::Series => summary_request::Grouping::Series(peer::Nothing {}),
            Grouping::Tags(tags) => summary_request::Grouping::Tags(peer::Names { names: tags.clone() }),
        }),
        cells_max: request.cells_max as u64,
        rows_max: request.rows_max,
    })
}

/// Reads the message of a request.
///
/// # Errors
/// See [`ScanError`].
pub fn read_request(message: peer::SummaryRequest) -> Result<(Place, SummaryRequest), ScanError> {
    let (place, scan, _) = scan::read_request(message.scan.ok_or(ScanError::Missing("scan"))?)?;
    let peer::Wanted { count, sum, squares, min, max, first, last, times } =
        message.wanted.ok_or(ScanError::Missing("wanted"))?;
    let windows = match message.windows {
        None => Windows::One,
        Some(peer::Windows { every_ns: every @ 1.., offset_ns: offset }) => Windows::Every { every, offset },
        Some(_) => return Err(ScanError::Impossible("length of windows")),
    };
    let request = SummaryRequest {
        scan,
        windows,
        wanted: Wanted { count, sum, squares, min, max, first, last, times },
        grouping: match message.grouping.ok_or(ScanError::Missing("grouping"))? {
            summary_request::Grouping::Series(_) => Grouping::Series,
            summary_request::Grouping::Tags(tags) => Grouping::Tags(tags.names),
        },
        cells_max: usize::try_from(message.cells_max).unwrap_or(usize::MAX),
        rows_max: message.rows_max,
    };
    Ok((place, request))
}

/// The messages of a partition's groups, at least one.
pub fn messages(
    partition: PartitionId,
    groups: Groups,
    request: &SummaryRequest,
) -> impl Iterator<Item = peer::Groups> + Send + use<> {
    let rows = groups.rows();
    let (windows, wanted) = (request.windows.clone(), request.wanted.whole());
    let pieces = groups.finish().into_iter().flat_map(move |group| {
        let key = bytes::Bytes::copy_from_slice(group.key.as_bytes());
        let windows = windows.clone();
        let pieces = group.fields.into_iter().flat_map(move |field| {
            let (windows, mut from) = (windows.clone(), 0);
            std::iter::from_fn(move || {
                let to = piece_end(&field.cells, from);
                let cells = (to > from).then(|| write_cells(&field, from, to, &windows, wanted));
                from = to;
                cells
            })
        });
        pieces.map(move |cells| peer::Group { key: key.clone(), cells: Some(cells) })
    });
    let mut pieces = pieces.peekable();
    let mut rows = Some(rows);
    std::iter::from_fn(move || {
        let mut message = peer::Groups {
            partition: partition.0.into(),
            groups: Vec::new(),
            rows: rows.take()?,
            is_last: false,
        };
        let mut bytes = 0;
        while bytes < MESSAGE_BYTES
            && let Some(piece) = pieces.next()
        {
            bytes += prost::Message::encoded_len(&piece);
            message.groups.push(piece);
        }
        message.is_last = pieces.peek().is_none();
        // Rows are counted with the first message alone.
        rows = (!message.is_last).then_some(0);
        Some(message)
    })
}

/// Where the piece ends that begins with this cell: after at least one, if there is one.
fn piece_end(cells: &Cells, from: usize) -> usize {
    let text = |points: &[Point], at: usize| match points.get(at).map(|point| &point.value) {
        Some(FieldValue::String(text)) => text.len(),
        _ => 0,
    };
    let to = cells.len().min(from + PIECE_CELLS);
    let mut bytes = 0;
    let fits = |at: &usize| {
        let is_begun = bytes > 0;
        bytes += text(&cells.first, *at) + text(&cells.last, *at);
        !is_begun || bytes <= MESSAGE_BYTES
    };
    from + (from..to).take_while(fits).count()
}

fn write_cells(
    field: &FieldSummary,
    from: usize,
    to: usize,
    windows: &Windows,
    wanted: Wanted,
) -> peer::GroupCells {
    let cells = &field.cells;
    let points = |points: &[Point], has_times: bool| {
        points.get(from..to).filter(|points| !points.is_empty()).map(|points| {
            let mut values = Values::empty(cells.column_type());
            points.iter().for_each(|point| push(&mut values, &point.value));
            peer::Points {
                times: points.iter().filter(|_| has_times).map(|point| point.time).collect(),
                values: Some(scan::write_field(String::new(), Column { values, valid: None })),
            }
        })
    };
    let starts = &cells.starts[from..to];
    let is_even = match windows {
        Windows::One => false,
        Windows::Every { every, .. } => {
            starts.windows(2).all(|pair| pair[0].checked_add(*every) == Some(pair[1]))
        }
    };
    let wide = |bytes: Vec<u8>| Some(WireSums::Wide(bytes.into()));
    peer::GroupCells {
        field: field.name.as_ref().to_owned(),
        r#type: type_number(cells.column_type()),
        starts: starts.get(..if is_even { 1 } else { starts.len() }).unwrap_or_default().to_vec(),
        counts: cells.counts[from..to].to_vec(),
        sums: match &cells.sums {
            _ if !wanted.sum => None,
            Sums::Float(sums) => Some(WireSums::Floats(peer::Floats { values: sums[from..to].to_vec() })),
            Sums::Integer(sums) => wide(sums[from..to].iter().flat_map(|sum| sum.to_be_bytes()).collect()),
            Sums::Unsigned(sums) => wide(sums[from..to].iter().flat_map(|sum| sum.to_be_bytes()).collect()),
            Sums::None => None,
        },
        squares: cells.squares.get(from..to).unwrap_or_default().to_vec(),
        min: points(&cells.min, wanted.times),
        max: points(&cells.max, wanted.times),
        first: points(&cells.first, true),
        last: points(&cells.last, true),
    }
}

fn push(values: &mut Values, value: &FieldValue) {
    match (values, value) {
        (Values::Float(values), FieldValue::Float(value)) => values.push(*value),
        (Values::Integer(values), FieldValue::Integer(value)) => values.push(*value),
        (Values::Unsigned(values), FieldValue::Unsigned(value)) => values.push(*value),
        (Values::String(values), FieldValue::String(value)) => values.push(value),
        (Values::Boolean(values), FieldValue::Boolean(value)) => values.push(*value),
        // The points of a field have its type.
        (values, _) => values.push_default(),
    }
}

const TYPES: [FieldType; 5] =
    [FieldType::Float, FieldType::Integer, FieldType::Unsigned, FieldType::String, FieldType::Boolean];

fn type_number(column_type: ColumnType) -> u32 {
    let ColumnType::Field(field_type) = column_type else { return 0 };
    let at = TYPES.iter().position(|known| *known == field_type).map(|at| at + 1);
    at.and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

/// Takes the groups of a message into those of the same partition that are here.
///
/// # Errors
/// See [`GroupsError`].
pub fn read_groups(
    message: peer::Groups,
    request: &SummaryRequest,
    into: &mut Groups,
) -> Result<(), GroupsError> {
    into.receive_rows(message.rows)?;
    for group in message.groups {
        let key = SeriesKey::from_bytes(&group.key).map_err(|_key| ScanError::Impossible("series key"))?;
        let field = read_cells(group.cells.ok_or(ScanError::Missing("cells"))?, request)?;
        into.receive(&key, field)?;
    }
    Ok(())
}

fn read_cells(message: peer::GroupCells, request: &SummaryRequest) -> Result<FieldSummary, ScanError> {
    let wanted = request.wanted.whole();
    let peer::GroupCells { field, r#type, starts, counts, sums, squares, min, max, first, last } = message;
    let number = usize::try_from(r#type).ok().and_then(|number| number.checked_sub(1));
    let field_type = *number.and_then(|at| TYPES.get(at)).ok_or(ScanError::Impossible("type of a field"))?;
    let rows = counts.len();
    if rows == 0 || counts.iter().any(|count| !(1..COUNT_MAX).contains(count)) {
        return Err(ScanError::Impossible("counts"));
    }
    let mut cells = Cells::new(ColumnType::Field(field_type));
    cells.starts = read_starts(starts, rows, &request.windows)?;
    read_sums(&mut cells.sums, sums, &counts, wanted)?;
    let has_squares = wanted.squares && cells.sums != Sums::None;
    if squares.len() != if has_squares { rows } else { 0 } {
        return Err(ScanError::Impossible("squares of windows"));
    }
    cells.squares = squares;
    // There is no least and no greatest text.
    let has_order = field_type != FieldType::String;
    let points = |points, is_there: bool, has_times| match (points, is_there) {
        (Some(points), true) => read_points(points, field_type, rows, has_times),
        (None, false) => Ok(Vec::new()),
        _ => Err(ScanError::Impossible("what there is of windows")),
    };
    cells.min = points(min, wanted.min && has_order, wanted.times)?;
    cells.max = points(max, wanted.max && has_order, wanted.times)?;
    cells.first = points(first, wanted.first, true)?;
    cells.last = points(last, wanted.last, true)?;
    cells.counts = counts;
    Ok(FieldSummary { name: Arc::from(field), cells })
}

/// Where so many windows start, ascending.
fn read_starts(starts: Vec<i64>, rows: usize, windows: &Windows) -> Result<Vec<i64>, ScanError> {
    let impossible = || ScanError::Impossible("starts of windows");
    let starts = match (&starts[..], windows) {
        (&[first], Windows::Every { every, .. }) => {
            let next = |start: &i64| start.checked_add(*every);
            let all: Vec<i64> = std::iter::successors(Some(first), next).take(rows).collect();
            if all.len() == rows { all } else { return Err(impossible()) }
        }
        _ => starts,
    };
    if starts.len() == rows && starts.is_sorted_by(|a, b| a < b) { Ok(starts) } else { Err(impossible()) }
}

/// The sums of windows with so many values, into the empty ones of the field's type.
fn read_sums(
    into: &mut Sums,
    sums: Option<WireSums>,
    counts: &[u64],
    wanted: Wanted,
) -> Result<(), ScanError> {
    let rows = counts.len();
    let impossible = || ScanError::Impossible("sums");
    let wide = |bytes: &[u8]| {
        let (all, rest) = bytes.as_chunks::<16>();
        if all.len() == rows && rest.is_empty() { Ok(all.to_vec()) } else { Err(impossible()) }
    };
    // A sum of n values of 64 bits is at most n · 2⁶⁴.
    let bounds = || counts.iter().map(|count| u128::from(*count) << 64);
    match (into, sums) {
        (Sums::None, None) => {}
        (Sums::Float(sums), None) if !wanted.sum => sums.resize(rows, 0.0),
        (Sums::Integer(sums), None) if !wanted.sum => sums.resize(rows, 0),
        (Sums::Unsigned(sums), None) if !wanted.sum => sums.resize(rows, 0),
        (Sums::Float(sums), Some(WireSums::Floats(floats))) if floats.values.len() == rows => {
            *sums = floats.values;
        }
        (Sums::Integer(sums), Some(WireSums::Wide(bytes))) => {
            *sums = wide(&bytes)?.into_iter().map(i128::from_be_bytes).collect();
            if sums.iter().zip(bounds()).any(|(sum, bound)| sum.unsigned_abs() > bound) {
                return Err(impossible());
            }
        }
        (Sums::Unsigned(sums), Some(WireSums::Wide(bytes))) => {
            *sums = wide(&bytes)?.into_iter().map(u128::from_be_bytes).collect();
            if sums.iter().zip(bounds()).any(|(sum, bound)| *sum > bound) {
                return Err(impossible());
            }
        }
        _ => return Err(impossible()),
    }
    Ok(())
}

fn read_points(
    message: peer::Points,
    field_type: FieldType,
    rows: usize,
    has_times: bool,
) -> Result<Vec<Point>, ScanError> {
    let peer::Points { mut times, values } = message;
    if !has_times && times.is_empty() {
        times.resize(rows, 0);
    }
    let Column { values, valid } = scan::read_column(values.ok_or(ScanError::Missing("values"))?, rows)?;
    let is_right = valid.is_none() && values.column_type() == ColumnType::Field(field_type);
    if !is_right || times.len() != rows {
        return Err(ScanError::Impossible("points of windows"));
    }
    let point = |(at, time)| Point { time, value: value(&values, at) };
    Ok(times.into_iter().enumerate().map(point).collect())
}

/// A value of a column that is long enough.
fn value(values: &Values, at: usize) -> FieldValue {
    match values {
        Values::Float(v) => FieldValue::Float(v.get(at).copied().unwrap_or_default()),
        Values::Integer(v) | Values::Time(v) => FieldValue::Integer(v.get(at).copied().unwrap_or_default()),
        Values::Unsigned(v) => FieldValue::Unsigned(v.get(at).copied().unwrap_or_default()),
        Values::String(v) => FieldValue::String(v.get(at).to_owned()),
        Values::Boolean(v) => FieldValue::Boolean(v.get(at)),
    }
}

#[cfg(test)]
mod tests;
