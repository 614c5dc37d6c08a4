//! Bytes that survive: a small file-system trait with a real and a simulated implementation, checksummed
//! frames, the segmented log, and atomic replacement of files.
//!
//! Nothing else in Tidemark touches `std::fs` for data. Every durable write goes through [`Vfs`], so that crash
//! tests see every byte, every fsync and every rename.

pub mod atomic;
pub mod frame;
pub mod seglog;
pub mod vfs;

pub use vfs::{Faults, FaultsError, File, PooledVfs, RealVfs, SimVfs, Space, Vfs};
