//! Training of small heads on stored hidden states: batches from the store, heads on them, an optimiser, and reports.
//! The only crate that knows libtorch; it never sees an encoder.

pub mod activations;
pub mod batches;
pub mod card;
pub mod checkpoint;
pub mod cli;
pub mod comparison;
pub mod device;
pub mod evaluation;
pub mod head;
pub mod metrics;
pub mod optimiser;
pub mod predictions;
pub mod report;
pub mod run;
pub mod schedule;
pub mod summary;
pub mod sweep;
pub mod tensorboard;
mod torch_error;
pub mod training;
pub mod weights;
