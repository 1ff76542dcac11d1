//! Why text cannot be labelled, with the line and the remedy.

use std::path::PathBuf;

use shared::datasets::DatasetError;
use shared::exit::{ExitStatus, HasExitStatus};

use crate::encoder::EncoderError;
use crate::tokenizer::TokenizerError;

/// See the module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PredictError {
    /// There is no such input.
    #[error("{source}; --input takes a file, or - for standard input")]
    NoInput {
        /// What the system said.
        source: std::io::Error,
    },
    /// The input breaks off, or a line of it is no text.
    #[error(transparent)]
    Input(#[from] DatasetError),
    /// A line without the column that the words are in.
    #[error(
        "{}:{line}: words are read from column {column}, counted from 0, and this line has {got}; choose another \
         --token-column, or another --format",
        path.display()
    )]
    Column {
        /// The input.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column of the words.
        column: usize,
        /// Columns of the line.
        got: usize,
    },
    /// The head was trained with another encoder or tokenizer.
    #[error(transparent)]
    Identity(#[from] Box<Mismatch>),
    /// An encoder that is a graph already.
    #[error(
        "{}: the encoder is an exported graph; encoder and head become one graph only where the encoder's weights \
         are safetensors",
        file.display()
    )]
    OnnxFile {
        /// The graph.
        file: PathBuf,
    },
    /// The encoder or the graph.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The encoder's files.
    #[error(transparent)]
    Model(#[from] crate::model::ModelError),
    /// A file cannot be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Not the encoder, or not the tokenizer, that a head was trained with.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: the head was trained on {what} {trained} of {id}, but {} has {found}; --model names the folder, or the hub id with \
     --revision, that the store was made with",
    run.display(), folder.display()
)]
pub struct Mismatch {
    /// The run's folder.
    pub run: PathBuf,
    /// The encoder's folder.
    pub folder: PathBuf,
    /// `the weights` or `the tokenizer`.
    pub what: &'static str,
    /// Digest in the run.
    pub trained: String,
    /// Name of the encoder in the run.
    pub id: String,
    /// Digest of what is in the folder.
    pub found: String,
}

impl HasExitStatus for PredictError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Input(error) => error.exit_status(),
            Self::Encoder(error) => error.exit_status(),
            Self::Tokenizer(error) => error.exit_status(),
            Self::Model(error) => error.exit_status(),
            Self::Io(error) => ExitStatus::of_io(error),
            Self::NoInput { source, .. } => ExitStatus::of_io(source),
            _ => ExitStatus::User,
        }
    }
}
