//! Why a configuration is not that of an encoder which can be run.

use std::path::PathBuf;

use shared::exit::{ExitStatus, HasExitStatus};

/// Why a configuration is not that of an encoder which can be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FamilyError {
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file is not a JSON object.
    #[error("{}: this is not a model's configuration: {problem}", path.display())]
    Syntax {
        /// The configuration.
        path: PathBuf,
        /// What is wrong, with line and column.
        problem: String,
    },
    /// A field that is missing or of the wrong type.
    #[error("{}: {field} is {got}, expected {expected}", path.display())]
    Field {
        /// The configuration.
        path: PathBuf,
        /// The field.
        field: String,
        /// What may stand there.
        expected: String,
        /// What stands there.
        got: String,
    },
    /// An architecture that is not known here.
    #[error("{}: the model type {model_type} is not supported; supported are {supported}", path.display())]
    NotSupported {
        /// The configuration.
        path: PathBuf,
        /// What it says.
        model_type: String,
        /// What it may say.
        supported: String,
    },
    /// A setting that changes the result and is not implemented.
    #[error(
        "{}: {field} = {value} is not supported, and hidden states would be wrong without it (supported: {supported})",
        path.display()
    )]
    Setting {
        /// The configuration.
        path: PathBuf,
        /// The field.
        field: String,
        /// What stands there.
        value: String,
        /// What may stand there.
        supported: String,
    },
}

impl HasExitStatus for FamilyError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Io(_) => ExitStatus::Machine,
            Self::Syntax { .. }
            | Self::Field { .. }
            | Self::NotSupported { .. }
            | Self::Setting { .. } => ExitStatus::User,
        }
    }
}
