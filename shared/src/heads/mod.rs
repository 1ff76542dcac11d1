//! What a head is, for the program that trains it and for the one that predicts with it: one file a
//! kind, with its name, its own options, the layers that it reads and its parameters. The two
//! computations of a head (packed, in libtorch; and padded, as nodes of an ONNX graph) take names
//! and shapes from here, and so cannot drift apart.
//!
//! A new kind is a file here with its [`Form`], a variant of [`HeadKind`] and its arms in
//! `kind.rs`, and the two computations.

pub mod adapter;
pub mod attention_fusion;
pub mod classifier;
mod concat;
pub mod crf;
mod error;
mod form;
mod kind;
mod layer;
pub mod level;
mod options;
pub mod parameters;
pub mod run;
pub mod scalar_mix;

pub use adapter::AdapterOptions;
pub use error::HeadOptionsError;
pub use form::Form;
pub use kind::{HeadKind, forms, usages};
pub use options::HeadOptions;

#[cfg(test)]
mod tests;
