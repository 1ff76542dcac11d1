//! `RoBERTa` (Liu et al. 2019), XLM-R (Conneau et al. 2020) and `CamemBERT`
//! (Martin et al. 2020): BERT whose positions begin above the padding token's id.

use super::bert;
use super::config::Config;
use super::error::FamilyError;
use super::position_ids::PositionIds;
use super::reader::Family;
use super::spec::EncoderSpec;

const MODEL_TYPES: [&str; 3] = ["roberta", "xlm-roberta", "camembert"];

pub(super) const FAMILY: Family = Family {
    model_types: &MODEL_TYPES,
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let model_type = config.text("model_type")?;
    let family = MODEL_TYPES
        .into_iter()
        .find(|known| *known == model_type)
        .unwrap_or(MODEL_TYPES[0]);
    let padding = config.token_or("pad_token_id", 1)?;
    bert::spec(
        config,
        family,
        &["", "roberta.", "camembert."],
        PositionIds::AfterPadding { padding },
    )
}
