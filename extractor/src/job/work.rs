//! What an extraction did, and where its time went.

use std::time::Duration;

/// What an extraction did, and where its time went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// Tokens encoded and stored by this run.
    pub tokens: u64,
    /// Positions encoded, padding included.
    pub positions: u64,
    /// Those that were padding.
    pub padding: u64,
    /// From the first batch to the last byte.
    pub elapsed: Duration,
    /// Inside the encoder, on average over the encoders.
    pub encoding: Duration,
    /// Turning hidden states into rows, likewise.
    pub converting: Duration,
    /// The encoders waited for the store.
    pub waiting: Duration,
    /// The writing thread was busy.
    pub writing: Duration,
    /// Parts written by this run.
    pub parts: usize,
    /// A signal asked for a stop before all parts were done.
    pub interrupted: bool,
    /// All parts of the store are there, those of other runs included.
    pub complete: bool,
}
