//! Figures that a server keeps of itself, and how they are shown to Prometheus.
//!
//! Parts count in atomics of their own and in [`Distribution`]s; at each scrape somebody who knows them all writes a [`Page`],
//! which is encoded in the [`Form`] that was asked for. Nothing is registered anywhere, so nothing can be forgotten there.
//!
//! What must always hold: counting takes no lock and allocates nothing; labels have few values, and those that clients choose
//! are never among them.

mod count;
mod distribution;
mod form;
mod page;
mod protobuf;
mod text;

pub use count::{Counter, Gauge, Inside};
pub use distribution::{Distribution, Exemplar};
pub use form::Form;
pub use page::{Labels, Number, Page};

#[cfg(test)]
mod tests;
