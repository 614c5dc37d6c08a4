//! What is left of a cluster that has lost most voters of some groups for good is made a cluster again, while no node of it
//! runs.
//!
//! ```text
//! on each node that is left     on any machine                        on each node that is left
//! report ──► report.json ──────► plan: for each group the node with ──► apply: its member is the only voter,
//!            (what it has)       most of the log is chosen              in its log; another cluster's id
//! ```
//! One plan is made of all reports for all groups, so that no two nodes are told different things. What must always hold:
//! nothing is changed before the plan was checked against what the node has now; each step is durable before the next, and
//! finds out whether it was done before; a node on which a plan was begun and not brought to its end does not start.

use std::path::Path;

use disk::Vfs;

use crate::identity::random_id;

mod apply;
mod plan;
mod report;
mod sealed;
mod texts;

pub use apply::{Applied, ApplyError, NoteError, apply};
pub use plan::{Fate, GroupFate, Plan, PlanError, Prospect};
pub use report::{Durables, ReportError, SurvivorReport, report};
pub use sealed::{Sealed, SealedError};

pub(crate) use apply::Note;
pub(crate) use texts::hex128;

/// The clusters to which a data directory belonged before and after a recovery that was brought to its end, if there was one.
///
/// # Errors
/// See [`NoteError`].
pub fn recovered(vfs: &dyn Vfs, data_dir: &Path) -> Result<Option<(u128, u128)>, NoteError> {
    let note = Note::read(vfs, data_dir)?;
    Ok(note.filter(|note| !note.is_begun()).map(|note| note.clusters()))
}

/// Says what is lost, and makes a plan when something is, under a new id of the cluster.
///
/// # Errors
/// See [`PlanError`]: when the reports do not even say what is lost.
pub fn plan(reports: &[SurvivorReport], may_make_empty: bool) -> Result<Prospect, PlanError> {
    let to = random_id().map_err(|error| PlanError::Id(error.to_string()))?;
    plan::plan(reports, to, may_make_empty)
}

#[cfg(test)]
mod tests;
