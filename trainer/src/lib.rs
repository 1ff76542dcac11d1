//! Training of small heads on stored hidden states: batches from the store, heads on them, an optimiser, and reports.
//! The only crate that knows libtorch; it never sees an encoder.

pub mod activations;
pub mod head;
pub mod optimiser;
pub mod schedule;
pub mod weights;
