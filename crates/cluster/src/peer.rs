//! How nodes talk: one gRPC service on the peer port, and connections to the others.
//!
//! ```text
//!  raft/network ─┐                    ┌─ append      (entries; at most 32 MiB unanswered)
//!  courier ──────┼─► Links ─► Link ──►├─ heartbeat   (heartbeats, votes: never behind data)
//!  discovery ────┘   by node          ├─ snapshot
//!                                     ├─ request     (proposals, barriers)
//!                                     └─ beacon      (is it there, whom does it reach)
//! ```
//! What must always hold: a call between members says who speaks to whom ([`route`]), and whoever is not meant refuses
//! before anything else is read; over [`tls`] nobody else gets as far as that; what has been sent and is not answered is bounded in bytes for each peer.

pub(crate) mod beats;
pub(crate) mod calls;
pub(crate) mod discovery;
pub(crate) mod follow;
pub(crate) mod links;
pub(crate) mod listener;
pub(crate) mod myself;
pub(crate) mod reach;
pub(crate) mod route;
pub(crate) mod service;
pub(crate) mod status;
pub(crate) mod tls;
pub(crate) mod traces;
pub(crate) mod watch;
