//! Queries: lowering of the languages to scans, execution, limits.
//!
//! Data comes through [`ScanSource`], names and types through [`CatalogView`]; results go to a sink as they are
//! made. A query works on the columns of one block at a time and keeps only what its aggregates need; everything
//! it keeps is counted against its [`Limits`].

mod error;
mod explain;
pub mod flux;
pub mod influxql;
mod limits;
mod profile;
pub mod source;
pub mod sql;
#[cfg(test)]
mod testing;
mod view;

pub use error::{Error, Stopped};
pub use limits::{Budget, Limits};
pub use profile::{Part, Profiler};
pub use source::{ScanError, ScanSource, ScanStream};
pub use view::CatalogView;
