//! The engine as a whole: against a model, through crashes, with faults.

mod crash;
mod deletes;
mod faults;
mod flips;
mod model;
mod oracle;
mod queries;
mod scrub;
mod summaries;
mod support;
mod verify;
