//! TSM files: sorted, columnar, checksummed, immutable. `docs/reference/tsm-format.md` has the pictures.
//!
//! ```text
//! | header | series: pages, directory | series: ... | series table | footer | trailer |
//! ```
//! A file holds rows of one shard, each (series, time) once, series in key order. One chunk of a series is up to
//! 8,192 rows: a time column and field columns, each in pages of up to 1,024 rows. Every byte but the trailer's
//! own is under a checksum: pages and directories each their own, series table and footer too.

pub(crate) mod directory;
pub(crate) mod format;
pub(crate) mod page;
pub(crate) mod reader;
pub(crate) mod stats;
#[cfg(test)]
mod tests;
pub(crate) mod writer;

pub(crate) use reader::{ChunkPiece, FileSeries, TsmFile};
pub(crate) use writer::{Finished, Writer};
