//! A trained head: what `trainer` left in a run's folder, and the same computation as nodes of an
//! ONNX graph, so that new text goes through encoder and head in one run of ONNX Runtime. What a
//! head is stands in `shared::heads`.
//!
//! Sources: Basirat (2024), NEJLT 10(1) (`adapter`); Cao et al. (2022) (`attention-fusion`); Peters
//! et al. (2018) (`scalar-mix`).

mod graph;
mod layers;
mod nodes;
mod parameters;
mod run;
#[cfg(test)]
mod tests;
mod trees;

pub use graph::{ATTENTION_MASK, LOGITS, build};
pub use parameters::Parameters;
pub use run::{Run, RunError};
pub use shared::heads::{HeadKind, HeadOptions};
pub use shared::tasks::Level;
pub use trees::{ARC_SCORES, RELATION_SCORES, TreeOutputs, WORDS};
