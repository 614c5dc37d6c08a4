//! The engine as a whole: against a model, through crashes, with faults.

mod caching;
mod checkpoints;
mod crash;
mod deletes;
mod faults;
mod flips;
mod lost;
mod model;
mod oracle;
mod pressure;
mod queries;
mod scrub;
mod summaries;
mod support;
mod verify;
