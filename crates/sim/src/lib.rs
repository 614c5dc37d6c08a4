//! Whole nodes in one process, over a simulated network, disk and clock: a seed decides what happens, and the same seed
//! makes the same happen again.
//!
//! Each node is the product from its HTTP routes down to its files: gateway, queries, router, Raft groups, log, engine. Only
//! its [environment](server::Environment) is another: connections are those of turmoil, files those of [`disk::SimVfs`],
//! time is virtual, and one thread runs at a time (see [`host::run_in_lockstep`]). Clients write, read and delete while
//! nodes are killed, lose power and are cut off from one another; an [oracle](oracle) holds what they were told against
//! what they see.

mod agreement;
mod chance;
mod faults;
mod hasty;
mod invariants;
pub mod node;
mod operator;
pub mod oracle;
mod parts;
pub mod run;
mod shape;
mod votes;
mod workload;

pub use parts::{BEGINNING, now};
pub use run::{Break, Outcome, Plan, run};
