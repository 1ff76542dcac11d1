//! The activation store: every layer's hidden states of a data set, computed once and read many times.
//!
//! A store is a Zarr v3 group that any Zarr reader opens (`docs/format.md` is the normative text). This crate is
//! the only one that knows how it looks on disk: the extractor asks a [`StoreWriter`] which parts are
//! missing and hands it rows, the trainer asks a [`Store`] for sequences and gets them straight out of the
//! memory-mapped files. Byte order on disk is little-endian, and so must be the machine's.

#[cfg(target_endian = "big")]
compile_error!(
    "the store is memory-mapped and little-endian: big-endian machines are not supported"
);

mod error;
pub mod layout;
pub mod read;
pub mod verify;
pub mod write;

pub use error::StoreError;
pub use layout::codec::Codec;
pub use layout::dtype::StoreDtype;
pub use layout::manifest::{
    ConvertedFrom, DatasetIdentity, FORMAT_VERSION, FieldDifference, LongPolicy, Manifest,
    ModelIdentity, SplitSize, model_name,
};
pub use layout::rotation;
pub use layout::rows::{self, Overflow};
pub use layout::statistics::{LayerStatistics, LayerSummary, PartStatistics};
pub use layout::tables::{LabelTable, Labels, SplitTables, TextLabels};
pub use layout::{ByteLimits, Part, SplitLayout, Units, manifest};
pub use read::column::Column;
pub use read::hidden::Hidden;
pub use read::io::{Io, Reading};
pub use read::split::SplitReader;
pub use read::store::{Store, find_store, store_path};
pub use read::{inspect, storage};
pub use write::part::PartWriter;
pub use write::writer::{self, OpenMode, Opened, StoreWriter, Summary};
