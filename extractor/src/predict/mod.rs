//! Labels for new text: sentences are read as they come, go through encoder and head in one graph,
//! and leave in the order in which they came. Memory is that of some batches, however long the
//! text.
//!
//! text -> words -> sub-words and windows -> batches -> graph -> labels -> text

mod error;
mod gathered;
mod input;
mod output;
mod pair;
mod row;
mod sentence;
mod tagger;

pub use error::{Mismatch, PredictError};
pub use input::{Input, InputFormat, Portion, Stream};
pub use output::{OutputFormat, Writer};
pub use row::Labels;
pub use sentence::{Pair, Sentence};
pub use shared::words::words;
pub use tagger::{Tagger, save};
