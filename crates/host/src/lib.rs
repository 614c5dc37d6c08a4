//! What a node asks of the machine that it runs on, besides its disk and its clock: connections to other machines, and
//! somewhere to do what blocks.
//!
//! What must always hold: in [lockstep](run_in_lockstep) no two threads of a node ever run at the same time, so that a
//! simulation of whole nodes does the same again when it is started again.

mod failpoint;
mod names;
mod network;
mod offload;

pub use failpoint::{failpoint, set_up_failpoints};
pub use network::{Connection, Listener, Network, Stream, Tcp};
pub use offload::{in_lockstep, offload, run_in_lockstep, wait};
