//! What to tell the user when a command fails, and how to exit.

use std::error::Error;
use std::path::Path;

use shared::exit::{ExitStatus, HasExitStatus as _};

use crate::extract::ExtractError;

/// Why a command failed, in words, with hints and the exit status; every error of the crates below
/// becomes one.
#[derive(Debug)]
pub(super) struct CliError {
    pub(super) message: String,
    pub(super) hints: Vec<String>,
    pub(super) status: ExitStatus,
}

impl CliError {
    /// A wrong or missing option.
    pub(super) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hints: vec![hint.into()],
            status: ExitStatus::User,
        }
    }

    /// Verification found damage.
    pub(super) fn damage(path: &Path, files: usize, hint: String) -> Self {
        let message = format!(
            "{}: {files} files are damaged, missing or not its own",
            path.display()
        );
        Self {
            message,
            hints: vec![hint],
            status: ExitStatus::Machine,
        }
    }

    /// An error and its causes on one line; a cause that an error quotes itself is not said twice.
    fn from_error(error: &dyn Error, status: ExitStatus) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        Self {
            message,
            hints: Vec::new(),
            status,
        }
    }
}

macro_rules! from {
    ($($error:ty),* $(,)?) => { $(
        impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                Self::from_error(&error, error.exit_status())
            }
        }
    )* };
}

from!(
    cache::StoreError,
    crate::convert::ConvertError,
    crate::encoder::EncoderError,
    crate::export::ExportError,
    crate::head::RunError,
    crate::job::JobError,
    crate::label::LabelError,
    crate::model::ModelError,
    crate::predict::PredictError,
    crate::tokenizer::TokenizerError,
    hub::HubError,
    shared::datasets::DatasetError,
    shared::native::NativeError,
);

impl From<ExtractError> for CliError {
    fn from(error: ExtractError) -> Self {
        Self {
            hints: error.hints(),
            ..Self::from_error(&error, error.exit_status())
        }
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self::from_error(&error, error.exit_status())
    }
}
