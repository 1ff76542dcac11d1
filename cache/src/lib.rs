//! The activation store: every layer's hidden states of a data set, computed once and read many times.
//!
//! A store is a Zarr v3 group that any Zarr reader opens (`docs/format.md` is the normative text). This crate is
//! the only one that knows how it looks on disk: the extractor asks a [`writer::StoreWriter`] which parts are
//! missing and hands it rows, the trainer asks a [`Store`] for sequences and gets them straight out of the
//! memory-mapped files. Byte order on disk is little-endian, and so must be the machine's.

#[cfg(target_endian = "big")]
compile_error!(
    "the store is memory-mapped and little-endian: big-endian machines are not supported"
);

mod chunks;
mod codec;
mod column;
mod crc;
mod dtype;
mod error;
mod hidden;
pub mod inspect;
mod labelling;
pub mod layout;
pub mod manifest;
mod metadata;
mod owner;
mod part;
mod record;
pub mod rows;
mod shard;
mod split;
mod statistics;
pub mod storage;
mod store;
mod tables;
pub mod verify;
pub mod writer;

pub use codec::Codec;
pub use column::Column;
pub use dtype::StoreDtype;
pub use error::StoreError;
pub use hidden::Hidden;
pub use layout::{ByteLimits, Part, SplitLayout, Units};
pub use manifest::{
    DatasetIdentity, FORMAT_VERSION, FieldDifference, LongPolicy, Manifest, ModelIdentity,
    SplitSize,
};
pub use owner::OwnerRecord;
pub use part::PartWriter;
pub use rows::Overflow;
pub use shared::tasks::Level as LabelLevel;
pub use split::SplitReader;
pub use statistics::{LayerStatistics, LayerSummary, PartStatistics};
pub use store::{Io, Reading, Store, find_store, store_path};
pub use tables::{LabelTable, Labels, SplitTables};
pub use writer::{OpenMode, Opened, StoreWriter, Summary};
