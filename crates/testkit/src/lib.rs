//! What tests share: nodes started as real processes, HTTP calls to them, waiting for a condition, data shaped
//! like the TSBS benchmark. A development dependency only.

pub mod authority;
pub mod binary;
pub mod cluster;
pub mod collector;
pub mod http;
pub mod node;
pub mod relay;
pub mod tsbs;
pub mod wait;

pub use authority::{Authority, CertificateFiles};
pub use cluster::{Cluster, free_addresses};
pub use http::{Reply, Request};
pub use node::{Node, NodeOptions, may_change_hosts};
pub use relay::Relay;
pub use wait::wait_for;
