//! The public face: HTTP on port 8086 with InfluxDB's routes, its authorization, limits and formats.

pub mod ports;
