//! Every way a command can fail, and what to tell the user.

use std::error::Error as _;
use std::path::PathBuf;

use shared::exit::ExitStatus;
use thiserror::Error;

use crate::encoder::{EncoderError, LayerSelectionError};
use crate::family::FamilyError;
use crate::job::{CheckError, JobError, bytes};
use crate::model::ModelError;
use crate::plan::PlanError;
use crate::tokenizer::TokenizerError;

/// Why a command failed.
#[derive(Debug, Error)]
pub(super) enum CliError {
    /// An option is missing, or says something that cannot be done.
    #[error("{message}")]
    Usage { message: String, hints: Vec<String> },
    /// The disk is too small.
    #[error("{path}: {needed} are needed and {free} are free", path = path.display(), needed = bytes(*needed), free = bytes(*free))]
    Space { path: PathBuf, needed: u64, free: u64, hints: Vec<String> },
    /// The tokenizer knows more tokens than the encoder.
    #[error(
        "{folder}: the tokenizer gives token {id}, but the encoder's vocabulary ends at {vocabulary}: \
         tokenizer and weights are not of the same model",
        folder = folder.display()
    )]
    Vocabulary { folder: PathBuf, id: u32, vocabulary: usize },
    /// Verification found damage.
    #[error("{path}: {count} of its files are damaged, missing or not its own", path = path.display())]
    Damage { path: PathBuf, count: usize, hints: Vec<String> },
    /// The self-check did not pass.
    #[error("{source}")]
    Check { source: CheckError, hints: Vec<String> },
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Family(#[from] FamilyError),
    #[error(transparent)]
    Layers(#[from] LayerSelectionError),
    #[error(transparent)]
    Dataset(#[from] shared::dataset::DatasetError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    #[error(transparent)]
    Store(#[from] cache::StoreError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl CliError {
    /// A wrong or missing option.
    pub(super) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hints: vec![hint.into()] }
    }

    /// Whose it is to mend.
    pub(super) fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Usage { .. } | Self::Vocabulary { .. } | Self::Layers(_) => ExitStatus::User,
            Self::Space { .. } | Self::Damage { .. } | Self::Io(_) => ExitStatus::Machine,
            Self::Check { source, .. } => source.exit_status(),
            Self::Model(error) => error.exit_status(),
            Self::Family(error) => error.exit_status(),
            Self::Dataset(error) => error.exit_status(),
            Self::Tokenizer(error) => error.exit_status(),
            Self::Plan(error) => error.exit_status(),
            Self::Encoder(error) => error.exit_status(),
            Self::Store(error) => error.exit_status(),
            Self::Job(error) => error.exit_status(),
        }
    }

    /// The error and its causes on one line; a cause that an error already quotes is not said twice.
    pub(super) fn message(&self) -> String {
        let mut message = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        message
    }

    /// What the user can do.
    pub(super) fn hints(&self) -> Vec<String> {
        match self {
            Self::Usage { hints, .. } | Self::Space { hints, .. } | Self::Damage { hints, .. } | Self::Check { hints, .. } => {
                hints.clone()
            }
            _ => Vec::new(),
        }
    }
}
