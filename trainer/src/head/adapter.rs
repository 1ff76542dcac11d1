//! The adapter of Basirat (2024), *Efficient Structured Prediction with Transformer Encoders*,
//! NEJLT 10(1): each token attends over the layers of its sentence, and a tailor adjusts what it
//! found to the task.

use shared::heads::kind::adapter::Parameters;
use tch::{Device, Tensor};

use super::attention::Attention;
use super::parameters::{Builder, Linear};
use super::sizes::size;
use super::tailor::Tailor;
use super::{Common, Dropout, Head, HeadError, HeadOptions, Reading, Tokens};

/// See the module.
pub(super) struct Adapter {
    common: Common,
    key: Linear,
    query: Linear,
    attention: Attention,
    tailor: Option<Tailor>,
}

impl Adapter {
    pub(super) fn new(
        options: &HeadOptions,
        device: Device,
        mut builder: Builder,
    ) -> Result<Self, HeadError> {
        let parameters = Parameters::new(options.hidden, &options.adapter);
        let key = builder.linear(&parameters.key_projector)?;
        let query = builder.linear(&parameters.query_projector)?;
        let attention = Attention::new(&mut builder, false, &parameters.token_layer_attention)?;
        let tailor = parameters.tailor.as_ref();
        let tailor = tailor
            .map(|tailor| Tailor::new(&mut builder, tailor))
            .transpose()?;
        let common = Common::new(options, device, builder)?;
        Ok(Self {
            common,
            key,
            query,
            attention,
            tailor,
        })
    }
}

impl Head for Adapter {
    fn common(&self) -> &Common {
        &self.common
    }

    /// Attention of a token's mean over layers over each layer's mean over the sentence.
    fn read(&self, tokens: &Tokens<'_>) -> Result<Reading, HeadError> {
        let (query, key) = tokens.means()?;
        let (layers, hidden) = (
            size(self.common.options.layers.len()),
            size(self.common.options.hidden),
        );
        let key = self.key.forward(&key.f_view([-1, hidden])?)?;
        if let Some(layout) = tokens.layout() {
            let query = self.query.forward(&query)?;
            let weights = self
                .attention
                .over_sequences(&query, &key, layout, layers)?;
            return Ok(Reading::Weighted(weights));
        }
        let query = self.query.forward(&tokens.picked(query)?)?;
        let sequence_of =
            Tensor::f_from_slice(&tokens.sequence_of())?.f_to_device(tokens.device())?;
        Ok(Reading::Weighted(self.attention.over_groups(
            &query,
            &key,
            &sequence_of,
            layers,
        )?))
    }

    fn features(
        &self,
        read: &Tensor,
        tokens: &Tokens<'_>,
        dropout: Option<&Dropout>,
    ) -> Result<Tensor, HeadError> {
        match (&self.tailor, tokens.layout()) {
            (Some(tailor), Some(layout)) => {
                tailor.forward_on_device(&self.common, read, layout, dropout)
            }
            (Some(tailor), None) => {
                Ok(read.f_add(&tailor.forward(&self.common, read, tokens, dropout)?)?)
            }
            (None, _) => Ok(read.shallow_clone()),
        }
    }

    fn mixes_tokens(&self) -> bool {
        self.tailor.as_ref().is_some_and(Tailor::mixes_tokens)
    }
}
