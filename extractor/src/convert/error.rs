//! Why a store cannot be converted.

use std::path::PathBuf;

use shared::datasets::SplitName;
use shared::exit::{ExitStatus, HasExitStatus};
use thiserror::Error;

use crate::encoder::LayerSelectionError;

/// Why a store cannot be converted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// A layer that was not kept.
    #[error(
        "{} has no layer {layer}, it has {layers:?}: choose among these, or extract the layer", path.display()
    )]
    NoSuchLayer {
        /// The source.
        path: PathBuf,
        /// The layer that was asked for.
        layer: usize,
        /// The layers that are there.
        layers: Vec<usize>,
    },
    /// The options are those of the source.
    #[error(
        "{} is that already ({what}): --store-dtype, --layers or --compression must ask for something else",
        path.display()
    )]
    Unchanged {
        /// The source.
        path: PathBuf,
        /// Its format, layers and compression.
        what: String,
    },
    /// The new store would be where the source is.
    #[error(
        "the converted store would be {}, which is the source itself: choose another --out", path.display()
    )]
    OntoItself {
        /// The place.
        path: PathBuf,
    },
    /// The disk has no room for the store.
    #[error("{}: {needed} are needed and {free} are free", path.display())]
    Space {
        /// The new store.
        path: PathBuf,
        /// Bytes of the finished store, with unit.
        needed: String,
        /// Bytes that are free, those of what is overwritten or resumed included, with unit.
        free: String,
    },
    /// A hidden state that the number format cannot hold.
    #[error("{split}, sentence {sentence}, token {token}: {problem}")]
    Value {
        /// The split.
        split: SplitName,
        /// Number of the sentence in its split, from 1.
        sentence: u32,
        /// Position in the sequence, from 0.
        token: u64,
        /// The value, its layer and the remedy.
        problem: String,
    },
    /// The selected layers.
    #[error(transparent)]
    Layers(#[from] LayerSelectionError),
    /// The source or the new store.
    #[error(transparent)]
    Store(#[from] cache::StoreError),
    /// The file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl HasExitStatus for ConvertError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::NoSuchLayer { .. }
            | Self::Unchanged { .. }
            | Self::OntoItself { .. }
            | Self::Value { .. }
            | Self::Layers(_) => ExitStatus::User,
            Self::Space { .. } => ExitStatus::Machine,
            Self::Store(error) => error.exit_status(),
            Self::Io(error) => ExitStatus::of_io(error),
        }
    }
}
