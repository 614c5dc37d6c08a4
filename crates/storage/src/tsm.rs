//! TSM files: sorted, columnar, checksummed, immutable. `docs/reference/tsm-format.md` has the pictures.
//!
//! ```text
//! | header | unit: pages, directory | unit: ... | table of units | set of series | keys | footer | trailer |
//! ```
//! A file holds rows of one shard, each (series, time) once, series in ascending order of id. A unit is one series,
//! in chunks of up to 8,192 rows: a time column and field columns, each in pages of up to 1,024 rows; or it is a
//! pack: short series with the same fields that share one page per column. Every byte but the trailer's own is under
//! a checksum: pages, directories and blocks of keys each their own, table, set and footer too.

pub(crate) mod check;
pub(crate) mod directory;
mod flaws;
pub(crate) mod format;
pub(crate) mod keys;
pub(crate) mod pack;
pub(crate) mod page;
pub(crate) mod reader;
pub(crate) mod stats;
pub(crate) mod table;
#[cfg(test)]
mod tests;
pub(crate) mod writer;

pub(crate) use directory::ChunkEntry;
pub use flaws::corruptions_met;
pub(crate) use pack::{FilePiece, Packs};
pub(crate) use reader::{ChunkPiece, FileSeries, PageTimes, TsmFile};
pub(crate) use writer::{Finished, Writer};
