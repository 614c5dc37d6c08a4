//! The routes, driven in process over a real catalog in memory, a recording write port and scripted queries.

mod auth;
mod cluster;
mod delete;
mod flux;
mod influxql;
mod probes;
mod queries;
mod reading;
mod resources;
mod routing;
mod serve;
mod setup;
mod sql;
pub(crate) mod support;
mod traces;
mod waiting;
mod write;
