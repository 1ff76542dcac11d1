//! The use case of an extraction: from a model and a data set to a store that is complete or can be
//! gone on with.
//!
//! What is decided here is which layers, how large batches are, how many encoders take turns, what
//! identifies a store, whether disk and memory are enough, and what is left of a store that was
//! begun. The command line only says what was asked for; [`crate::job`] only does the work.

mod batches;
mod encoders;
mod error;
mod extraction;
mod gpu_memory;
mod identity;
mod memory;
mod model;
mod request;
mod space;
mod store;
mod store_dtype;
mod weight_memory;

pub use self::batches::LargestBatch;
pub use self::encoders::{BatchRequest, Encoders};
pub use self::error::ExtractError;
pub use self::extraction::Extraction;
pub use self::identity::{Computed, Identity, dataset_identity};
pub use self::memory::check_batches;
pub use self::model::Model;
pub use self::request::{Request, StoreFormat};
pub use self::space::{check_space, free_for_store, needed_space, store_bytes, too_little_space};
pub use self::store::{begun, is_finished, move_aside, open};
pub use self::store_dtype::{RangeTrial, StoreDtypeChoice, recorded as recorded_store_dtype};
pub use self::weight_memory::WeightMemory;
