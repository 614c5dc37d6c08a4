//! Runs a merge: a streaming k-way merge of files by series.
//!
//! Memory: a directory per input, the pages that overlap at one time, one chunk of output. Chunks that overlap
//! nothing, are large enough and dense already are copied as they are.

use std::path::Path;
use std::sync::Arc;

use disk::Vfs;
use model::{FieldDef, TimeRange};

use crate::cache::Reads;
use crate::codec::Effort;
use crate::error::{NoRoom, ReadError, WriteError};
use crate::index::{Keys, SeriesId};
use crate::layout::same_field;
use crate::merge::{Merge, Piece, without_empty_rows};
use crate::tombstone::{Masked, Masks, SeriesMask};
use crate::tsm::format::{CHUNK_ROWS_MAX, Density};
use crate::tsm::{ChunkPiece, FilePiece, FileSeries, Finished, Packs, TsmFile, Writer};

/// Why a merge fails. Its inputs are untouched, and nothing of its output is used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MergeError {
    #[error("an input cannot be read")]
    Read(#[from] ReadError),
    #[error("the output cannot be written")]
    Write(#[from] WriteError),
    #[error("the output cannot be opened")]
    Open(#[from] crate::error::OpenError),
    #[error("an input has series {id}, which the index does not know")]
    UnknownSeries { id: SeriesId },
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    #[error("the engine closes")]
    Closing,
}

/// A chunk with at least this many rows is copied when it may be.
const COPY_ROWS_MIN: usize = CHUNK_ROWS_MAX / 2;

/// What a merge reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs<'a> {
    /// Of one shard, oldest first.
    pub(crate) files: &'a [Arc<TsmFile>],
    pub(crate) keys: &'a Keys,
    /// What the merge leaves out.
    pub(crate) masks: &'a Masks,
}

/// Merges files (oldest first) of one shard into a new one, without what `masks` hide. `None` when nothing is left;
/// the output is to be discarded. `should_stop` is asked between series, and
/// may take its time.
pub(crate) fn run(
    vfs: &dyn Vfs,
    inputs: &Inputs<'_>,
    output: &Path,
    density: Density,
    effort: Effort,
    mut should_stop: impl FnMut() -> bool,
) -> Result<Option<Finished>, MergeError> {
    let first = inputs.files.first().expect("a plan has inputs");
    let mut writer = Writer::create(vfs, output, first.entry.bucket, first.entry.shard, density, effort)?;
    let mut heads: Vec<_> = inputs.files.iter().map(|file| (file, file.series().peekable())).collect();
    let mut packs = Packs::new(Reads::bypass());
    loop {
        if should_stop() {
            return Err(MergeError::Closing);
        }
        let Some(id) = heads.iter_mut().filter_map(|(_, head)| head.peek().map(|s| s.id)).min() else {
            break;
        };
        let sources: Vec<(&Arc<TsmFile>, FileSeries)> = heads
            .iter_mut()
            .filter_map(|(file, head)| Some((*file, head.next_if(|series| series.id == id)?)))
            .collect();
        let key = inputs.keys.get(id).ok_or(MergeError::UnknownSeries { id })?;
        let mask = inputs.masks.of_series(id, &key);
        writer.begin_series(id, key);
        merge_series(&mut writer, &sources, &mask, density, &mut packs)?;
        writer.end_series()?;
    }
    if writer.series_count() == 0 {
        return Ok(None);
    }
    Ok(Some(writer.finish()?))
}

fn merge_series(
    writer: &mut Writer,
    sources: &[(&Arc<TsmFile>, FileSeries)],
    mask: &SeriesMask<'_>,
    density: Density,
    packs: &mut Packs,
) -> Result<(), MergeError> {
    let mut fields: Vec<FieldDef> = Vec::new();
    let mut pieces = Vec::new();
    for (file, series) in sources {
        for field in file.fields_of(series) {
            if !fields.iter().any(|f| same_field(f, field)) {
                fields.push(field.clone());
            }
        }
        for piece in FilePiece::of(file, series, packs)? {
            let hidden = mask.hidden(file.entry.masked_from, piece.times());
            pieces.extend(Masked::new(piece, hidden));
        }
    }
    // A file that is rewritten alone changes where it must and nowhere else.
    let copy_rows_min = if sources.len() == 1 { 1 } else { COPY_ROWS_MIN };
    pieces.sort_by_key(|p| (p.times().0, p.rank()));
    let alone = stand_alone(&pieces);
    let mut waiting = Vec::new();
    for (piece, alone) in pieces.into_iter().zip(alone) {
        match &piece.piece {
            FilePiece::Chunk(ChunkPiece { file, chunk, .. })
                if alone
                    && piece.is_whole()
                    && file.footer.density == density
                    && chunk.rows() >= copy_rows_min =>
            {
                rewrite(writer, std::mem::take(&mut waiting), &fields)?;
                let bytes = file.chunk_bytes(chunk)?;
                writer.copy_chunk(chunk, &bytes, &file.footer.fields)?;
            }
            file if alone && !file.has_long_texts() => waiting.push(piece),
            _ => waiting.extend(piece.split(|piece| piece.split().into_iter())),
        }
    }
    rewrite(writer, waiting, &fields)
}

fn rewrite(
    writer: &mut Writer,
    pieces: Vec<Masked<FilePiece>>,
    fields: &[FieldDef],
) -> Result<(), MergeError> {
    let mut merge = Merge::new(pieces, fields.to_vec(), TimeRange::ALL);
    while let Some(rows) = merge.next_block()? {
        let rows = without_empty_rows(rows);
        if !rows.times.is_empty() {
            writer.write_rows(rows, fields)?;
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
