//! What a head is, for the program that trains it and for the one that predicts with it: one file a
//! kind, with its name, its own options, the layers that it reads and its parameters. The two
//! computations of a head (packed, in libtorch; and padded, as nodes of an ONNX graph) take names
//! and shapes from here, and so cannot drift apart.
//!
//! A new kind is a file in `kind/`, listed in `kind/mod.rs`, and the two computations.

pub mod classifier;
pub mod crf;
mod error;
pub mod kind;
pub mod level;
mod options;
pub mod parameters;
pub mod parser;
pub mod run;
mod subword;
mod threshold;
mod tree_scorer;

pub use error::HeadOptionsError;
pub use kind::{AdapterOptions, Form, HeadKind, forms, usages};
pub use options::HeadOptions;
pub use parser::ParserOptions;
pub use subword::Subword;
pub use threshold::Threshold;
pub use tree_scorer::{Attached, TreeScorer};

#[cfg(test)]
mod tests;
