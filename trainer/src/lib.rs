//! Training of small heads on stored hidden states: batches from the store, heads on them, an optimiser, and reports.
//! The only crate that knows libtorch; it never sees an encoder.
//!
//! A trained head scored on a split of a store; `examples/train_head.rs` trains one.
//!
//! ```no_run,standalone_crate
//! use cache::{Io, Store};
//! use shared::datasets::SplitName;
//! use trainer::batches::LabelledSplit;
//! use trainer::run::Config;
//! use trainer::{evaluation, head, weights};
//!
//! let store = Store::open("cache/bert--conll2003.zarr".as_ref(), Io::Auto)?;
//! let folder = std::path::Path::new("runs/bert--conll2003--adapter-0");
//! let config = Config::load(folder)?;
//! let mut head = head::build(&config.head, tch::Device::Cpu, config.training.seed)?;
//! weights::load(&folder.join("adapter.safetensors"), head.parameters())?;
//!
//! let test = LabelledSplit::open(&store, SplitName::Test, config.task)?;
//! let predictions = evaluation::predict(head.as_mut(), &test, config.training.batch_size)?;
//! println!("F1 {:.4}", predictions.scores(&test).value);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod activations;
pub mod batches;
pub mod checkpoint;
pub mod cli;
pub mod comparison;
pub mod device;
pub mod evaluation;
pub mod head;
pub mod metrics;
pub mod model_card;
pub mod optimiser;
pub mod predictions;
pub mod report;
pub mod run;
pub mod schedule;
pub mod summary;
pub mod sweep;
pub mod tensorboard;
pub mod text_predictions;
mod torch_error;
pub mod training;
pub mod weights;
