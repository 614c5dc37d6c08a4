//! The integration tests live in `all.rs`, one binary; the ingest benchmark in `bench/`. This library is empty.
