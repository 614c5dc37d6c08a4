//! The public face: HTTP on port 8086 with InfluxDB's routes, its authorization, limits and formats.
//!
//! ```text
//! serve (listener) -> router (span, counters, headers, CORS, panics)
//!    |- probes            /ping /health /ready /startupz /livez /readyz /metrics
//!    |- v1                /write /query          errors {"error"}
//!    `- v2                /api/v2/*              errors {"code","message"}
//!          auth (before the body) -> body (limits) -> ports (catalog, write, query)
//!                                                 answers: csv, v1::format -> stream (bounded, cancellable)
//! ```
//! Before the node can serve, [`Waiting`] has the listener, and says why. [`ProbeListener`] answers probes on a thread of its
//! own, from what [`Vitals`] has noted.
//!
//! It knows no storage, no query engine and no cluster: only the [`ports`] that `server` implements.

mod accept;
mod auth;
mod body;
mod chunks;
mod cluster;
mod commit;
mod csv;
mod error;
mod exposed;
mod flight;
mod form;
mod gateway;
mod ingest;
mod log_level;
mod maintenance;
mod metrics;
mod options;
mod paging;
mod params;
pub mod ports;
mod probe_listener;
mod probes;
mod queries;
mod random;
mod reading;
mod router;
mod serve;
mod slots;
mod sql;
mod stream;
mod traces;
mod v1;
mod v2;
mod v3;
mod vitals;
mod waiting;

#[cfg(test)]
mod tests;

pub use error::{ApiError, Code};
pub use exposed::Exposed;
pub use gateway::{Gateway, Ports};
pub use options::{Limits, Options};
pub use probe_listener::ProbeListener;
pub use router::COMPATIBLE_VERSION;
pub use serve::Drain;
pub use v2::setup::{SetupRequest, SetupResult, setup};
pub use vitals::{Found, Leaving, STUCK_AFTER, Stage, Vitals};
pub use waiting::Waiting;
