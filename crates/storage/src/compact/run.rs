//! Runs a merge: a streaming k-way merge of files by series.
//!
//! Memory: a directory per input, the pages that overlap at one time, one chunk of output. Chunks that overlap
//! nothing, are large enough and dense already are copied as they are.

use std::path::Path;
use std::sync::Arc;

use disk::Vfs;
use model::{FieldDef, TimeRange};

use crate::codec::Effort;
use crate::error::{ReadError, WriteError};
use crate::index::compare_keys;
use crate::layout::same_field;
use crate::merge::{Merge, Piece, without_empty_rows};
use crate::tombstone::{Masked, Masks, SeriesMask};
use crate::tsm::format::{CHUNK_ROWS_MAX, Density};
use crate::tsm::{ChunkPiece, FileSeries, Finished, TsmFile, Writer};

/// Why a merge fails. Its inputs are untouched, and nothing of its output is used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MergeError {
    #[error("an input cannot be read")]
    Read(#[from] ReadError),
    #[error("the output cannot be written")]
    Write(#[from] WriteError),
    #[error("the output cannot be opened")]
    Open(#[from] crate::error::OpenError),
    #[error("the merge needs {needed} bytes beside a reserve of {reserve}, and {free} are free")]
    DiskFull { needed: u64, reserve: u64, free: u64 },
    #[error("the engine closes")]
    Closing,
}

/// A chunk with at least this many rows is copied when it may be.
const COPY_ROWS_MIN: usize = CHUNK_ROWS_MAX / 2;

/// Merges files (oldest first) of one shard into a new one, without what `masks` hide. `None` when nothing is left;
/// the output is to be discarded. `is_closing` is asked between series.
pub(crate) fn run(
    vfs: &dyn Vfs,
    inputs: &[Arc<TsmFile>],
    masks: &Masks,
    output: &Path,
    density: Density,
    effort: Effort,
    is_closing: impl Fn() -> bool,
) -> Result<Option<Finished>, MergeError> {
    let first = inputs.first().expect("a plan has inputs");
    let mut writer = Writer::create(vfs, output, first.entry.bucket, first.entry.shard, density, effort)?;
    let mut places = vec![0; inputs.len()];
    loop {
        if is_closing() {
            return Err(MergeError::Closing);
        }
        let heads = || inputs.iter().zip(&places).filter_map(|(f, &at)| f.series.get(at));
        let Some(least) = heads().min_by(|a, b| compare_keys(&a.key, &b.key)) else { break };
        let (id, key) = (least.id, least.key.clone());
        let mut sources: Vec<(&Arc<TsmFile>, &FileSeries)> = Vec::new();
        for (file, at) in inputs.iter().zip(&mut places) {
            if let Some(series) = file.series.get(*at)
                && series.key == key
            {
                sources.push((file, series));
                *at += 1;
            }
        }
        writer.begin_series(&key);
        merge_series(&mut writer, &sources, &masks.of_series(id, &key), density)?;
        writer.end_series()?;
    }
    if writer.series_count() == 0 {
        return Ok(None);
    }
    Ok(Some(writer.finish()?))
}

fn merge_series(
    writer: &mut Writer,
    sources: &[(&Arc<TsmFile>, &FileSeries)],
    mask: &SeriesMask<'_>,
    density: Density,
) -> Result<(), MergeError> {
    let mut fields: Vec<FieldDef> = Vec::new();
    let mut pieces = Vec::new();
    for (file, series) in sources {
        for field in file.fields_of(series) {
            if !fields.iter().any(|f| same_field(f, field)) {
                fields.push(field.clone());
            }
        }
        for chunk in file.chunks(series)? {
            let hidden = mask.hidden(file.entry.masked_from, chunk.times());
            pieces.extend(Masked::new(ChunkPiece::whole(file, &chunk), hidden));
        }
    }
    // A file that is rewritten alone changes where it must and nowhere else.
    let copy_rows_min = if sources.len() == 1 { 1 } else { COPY_ROWS_MIN };
    pieces.sort_by_key(|p| (p.times().0, p.rank()));
    let alone = stand_alone(&pieces);
    let mut waiting = Vec::new();
    for (piece, alone) in pieces.into_iter().zip(alone) {
        let ChunkPiece { file, chunk, .. } = &piece.piece;
        let may_copy =
            alone && piece.is_whole() && file.footer.density == density && chunk.rows() >= copy_rows_min;
        if may_copy {
            rewrite(writer, std::mem::take(&mut waiting), &fields)?;
            let bytes = file.chunk_bytes(chunk)?;
            writer.copy_chunk(chunk, &bytes, &file.footer.fields)?;
        } else if alone {
            waiting.push(piece);
        } else {
            waiting.extend(piece.split(ChunkPiece::split));
        }
    }
    rewrite(writer, waiting, &fields)
}

fn rewrite(
    writer: &mut Writer,
    pieces: Vec<Masked<ChunkPiece>>,
    fields: &[FieldDef],
) -> Result<(), MergeError> {
    let mut merge = Merge::new(pieces, fields.to_vec(), TimeRange::ALL);
    while let Some(rows) = merge.next_block()? {
        let rows = without_empty_rows(rows);
        if !rows.times.is_empty() {
            writer.write_rows(&rows, fields)?;
        }
    }
    Ok(())
}

/// Of pieces sorted by first time: which overlap no other.
pub(crate) fn stand_alone<P: Piece>(pieces: &[P]) -> Vec<bool> {
    let mut alone = vec![true; pieces.len()];
    let mut reach: Option<(i64, usize)> = None;
    for (i, piece) in pieces.iter().enumerate() {
        let (start, end) = piece.times();
        match reach {
            Some((last, owner)) if start <= last => {
                alone[i] = false;
                alone[owner] = false;
                if end > last {
                    reach = Some((end, i));
                }
            }
            _ => reach = Some((end, i)),
        }
    }
    alone
}
