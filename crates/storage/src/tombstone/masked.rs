//! A piece of a merge without what is hidden of it.

use model::{Bitmap, FieldDef};

use super::{Hidden, hides_all};
use crate::merge::{Piece, Rows};

/// A piece, and what hides some of its rows; as a rule nothing does.
#[derive(Debug)]
pub(crate) struct Masked<P> {
    pub(crate) piece: P,
    hidden: Vec<Hidden>,
}

impl<P: Piece> Masked<P> {
    /// `None` when nothing of the piece is left.
    pub(crate) fn new(piece: P, hidden: Vec<Hidden>) -> Option<Self> {
        let gone = !hidden.is_empty() && hides_all(&hidden, piece.times(), None);
        (!gone).then_some(Self { piece, hidden })
    }

    /// Whether every row of the piece is left.
    pub(crate) fn is_whole(&self) -> bool {
        self.hidden.is_empty()
    }

    /// The parts of the piece that something is left of.
    pub(crate) fn split<I: Iterator<Item = P>>(
        self,
        parts: impl FnOnce(P) -> I,
    ) -> impl Iterator<Item = Self> {
        let Self { piece, hidden } = self;
        parts(piece).filter_map(move |part| {
            let times = part.times();
            let overlaps = |h: &&Hidden| h.range.start.0 <= times.1 && times.0 < h.range.end.0;
            let hidden = hidden.iter().filter(overlaps).cloned().collect();
            Self::new(part, hidden)
        })
    }
}

impl<P: Piece> Piece for Masked<P> {
    type Error = P::Error;

    fn times(&self) -> (i64, i64) {
        self.piece.times()
    }

    fn rank(&self) -> u64 {
        self.piece.rank()
    }

    fn load(&self, fields: &[FieldDef]) -> Result<Rows, P::Error> {
        let rows = self.piece.load(fields)?;
        Ok(if self.hidden.is_empty() { rows } else { without(rows, &self.hidden, fields) })
    }
}

/// Takes hidden rows out and makes hidden values null.
fn without(mut rows: Rows, hidden: &[Hidden], fields: &[FieldDef]) -> Rows {
    let len = rows.times.len();
    let mut keep: Option<Bitmap> = None;
    for h in hidden {
        let start = rows.times.partition_point(|&t| t < h.range.start.0);
        let end = rows.times.partition_point(|&t| t < h.range.end.0);
        if start >= end {
            continue;
        }
        if h.fields.is_none() {
            let keep = keep.get_or_insert_with(|| Bitmap::filled(true, len));
            (start..end).for_each(|row| keep.set(row, false));
            continue;
        }
        for (field, column) in fields.iter().zip(&mut rows.columns) {
            if let Some(values) = column.as_mut().filter(|_| h.hides(&field.name)) {
                let valid = values.valid.get_or_insert_with(|| Bitmap::filled(true, len));
                (start..end).for_each(|row| valid.set(row, false));
                if values.null_count() == len {
                    *column = None;
                }
            }
        }
    }
    match keep {
        Some(keep) => rows.gather(&keep.ones()),
        None => rows,
    }
}
