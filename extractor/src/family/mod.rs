//! What encoders differ in. A family is one small file that turns a `config.json` into an
//! [`EncoderSpec`]: the parts that the encoder is made of, with their sizes and the names that its
//! checkpoints use. Everything that families share is written once, in [`crate::graph`], which sees
//! the specification and no family.
//!
//! To add a family, write such a file and list it in `FAMILIES`.

mod activation;
mod albert;
mod attention;
mod bert;
mod config;
mod deberta;
mod deberta_v2;
mod disentangled;
mod distilbert;
mod electra;
mod embedding;
mod error;
mod esm;
mod eurobert;
mod gemma;
mod gemma2;
mod gemma3;
mod gpt2;
mod gpt_neox;
mod gte;
mod initial;
mod llama;
mod mistral;
mod modernbert;
mod mpnet;
mod nomic_bert;
mod olmo2;
mod opt;
mod phi3;
mod position_ids;
mod qwen2;
mod qwen3;
mod reader;
mod relative_bias;
mod roberta;
mod roberta_prelayernorm;
mod roformer;
mod rotary;
mod spec;
mod t5;
mod window;

pub use self::activation::Activation;
pub use self::attention::{Attention, AttentionInput, AttentionScale, QueryKeyNorms};
pub use self::config::Config;
pub use self::disentangled::{Disentangled, DistanceLayer, Distances};
pub use self::embedding::{Embedding, Projected, Projection, TokenTypes};
pub use self::error::FamilyError;
pub use self::position_ids::PositionIds;
use self::reader::Family;
pub use self::relative_bias::{BiasTable, RelativeBias};
pub use self::rotary::Rotary;
pub use self::spec::{
    Convolution, EncoderSpec, FeedForward, GatedInput, LayerGroups, LinearLayout, Norm,
    PositionEncoding, ResidualOrder, TensorNames,
};
pub use self::window::{Blocks, Window};

const FAMILIES: [Family; 29] = [
    bert::FAMILY,
    roberta::FAMILY,
    roberta_prelayernorm::FAMILY,
    roberta_prelayernorm::XL,
    albert::FAMILY,
    gpt2::FAMILY,
    distilbert::FAMILY,
    electra::FAMILY,
    deberta::FAMILY,
    deberta_v2::FAMILY,
    modernbert::FAMILY,
    eurobert::FAMILY,
    nomic_bert::FAMILY,
    gte::FAMILY,
    roformer::FAMILY,
    llama::FAMILY,
    mistral::FAMILY,
    qwen2::FAMILY,
    qwen3::FAMILY,
    gemma::FAMILY,
    gemma2::FAMILY,
    gemma3::FAMILY,
    gpt_neox::FAMILY,
    olmo2::FAMILY,
    phi3::FAMILY,
    opt::FAMILY,
    mpnet::FAMILY,
    t5::FAMILY,
    esm::FAMILY,
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
