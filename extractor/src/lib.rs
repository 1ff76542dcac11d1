//! Runs a frozen transformer encoder over a labelled text data set once and
//! keeps every layer's hidden states: data set -> tokens -> batches -> encoder
//! -> store. The only crate that knows ONNX Runtime and tokenizers.

pub mod batch;
pub mod checkpoint;
pub mod cli;
pub mod convert;
pub mod doctor;
pub mod encoder;
pub mod export;
pub mod extract;
pub mod family;
pub mod graph;
pub mod head;
pub mod job;
pub mod label;
mod labels;
pub mod model;
pub mod plan;
pub mod predict;
mod random;
pub mod tokenizer;
pub mod trial;
pub mod window;
