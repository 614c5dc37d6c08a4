//! The integration tests live in `all.rs`, one binary; the benchmarks in `bench/`. This library is empty.
