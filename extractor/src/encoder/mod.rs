//! Runs a frozen encoder: token ids in, the hidden states of every selected layer out. The rest of
//! the crate sees this type alone, so that a graph built here and one that somebody exported, CPU
//! and GPU, look the same to it.

mod batch;
mod block;
mod blocks;
pub(crate) mod cuda;
mod error;
mod footprint;
mod hidden_states;
mod inputs;
mod layers;
mod onnx_file;
mod options;
mod placement;
mod provider;
mod rows;
pub(crate) mod runtime;
mod session;
mod sizes;
mod tensor;

pub use self::batch::Batch;
pub use self::error::EncoderError;
pub use self::footprint::Footprint;
pub use self::hidden_states::HiddenStates;
pub use self::layers::{LayerSelection, LayerSelectionError};
pub use self::onnx_file::output_name;
pub use self::options::{Device, EncoderOptions, RowsOn};
pub use self::provider::Provider;
pub use self::rows::GraphRows;
pub use self::session::Encoder;
pub(crate) use self::session::weights;
