//! What encoders differ in. A family is one small file that turns a `config.json` into an [`EncoderSpec`]: the parts
//! that the encoder is made of, with their sizes and the names that its checkpoints use. Everything that families share
//! is written once, in [`crate::graph`], which sees the specification and no family.
//!
//! To add a family, write such a file and list it in `FAMILIES`.

mod activation;
mod bert;
mod config;
mod distilbert;
mod electra;
mod gpt2;
mod position_ids;
mod roberta;
mod spec;

use shared::exit::ExitStatus;

pub use self::activation::Activation;
pub use self::config::Config;
pub use self::position_ids::PositionIds;
pub use self::spec::{
    Attention, AttentionInput, AttentionScale, Embedding, EncoderSpec, FeedForward, LinearLayout,
    Norm, PositionEncoding, ResidualOrder, TensorNames, TokenTypes,
};

/// A kind of encoder.
struct Family {
    /// The `model_type`s it reads.
    model_types: &'static [&'static str],
    /// Reads a configuration of one of these types.
    spec: fn(&Config) -> Result<EncoderSpec, FamilyError>,
}

const FAMILIES: [Family; 5] = [
    bert::FAMILY,
    roberta::FAMILY,
    gpt2::FAMILY,
    distilbert::FAMILY,
    electra::FAMILY,
];

impl EncoderSpec {
    /// Reads a configuration with the family that its `model_type` names.
    ///
    /// # Errors
    /// When the family is not supported, a field is missing or of the wrong type, or a setting
    /// would change the result and is not supported.
    pub fn from_config(config: &Config) -> Result<Self, FamilyError> {
        let model_type = config.text("model_type")?;
        let family = FAMILIES
            .iter()
            .find(|family| family.model_types.contains(&model_type));
        let Some(family) = family else {
            return Err(FamilyError::NotSupported {
                path: config.path().to_owned(),
                model_type: model_type.to_owned(),
                supported: supported_types().collect::<Vec<_>>().join(", "),
            });
        };
        config.refuse_what_changes_weights()?;
        let spec = (family.spec)(config)?;
        spec.check(config)?;
        Ok(spec)
    }
}

/// Every supported `model_type`.
pub fn supported_types() -> impl Iterator<Item = &'static str> {
    FAMILIES
        .iter()
        .flat_map(|family| family.model_types.iter().copied())
}

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
        path: std::path::PathBuf,
        /// What is wrong, with line and column.
        problem: String,
    },
    /// A field that is missing or of the wrong type.
    #[error("{}: {field} is {got}, expected {expected}", path.display())]
    Field {
        /// The configuration.
        path: std::path::PathBuf,
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
        path: std::path::PathBuf,
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
        path: std::path::PathBuf,
        /// The field.
        field: String,
        /// What stands there.
        value: String,
        /// What may stand there.
        supported: String,
    },
}

impl FamilyError {
    /// The exit status that this error ends the program with.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Io(_) => ExitStatus::Machine,
            _ => ExitStatus::User,
        }
    }
}
