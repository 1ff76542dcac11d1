//! The hub and parquet from outside, against a hub on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod datasets;
mod models;
mod parquet;
mod security;
mod server;
