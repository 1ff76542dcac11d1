//! Attention fusion (Cao et al. 2022, *Attention Fusion: a light yet efficient late fusion
//! mechanism for task adaptation in NLU*): one learned query attends over the layers of each token.

use shared::heads::kind::attention_fusion::{EPSILON, Parameters};
use tch::{Device, Kind, Tensor};

use super::parameters::{Builder, normalised};
use super::sizes::size;
use super::{Common, Dropout, Head, HeadError, HeadOptions, Reading, Tokens};
use crate::activations::Batch;

/// Layer norm over layers and hidden size together, dropout, softmax over layers of the product
/// with a learned vector, the weighted sum, GELU, classifier.
pub(super) struct AttentionFusion {
    common: Common,
    /// `[layers, hidden]`
    weight: Tensor,
    /// `[layers, hidden]`
    bias: Tensor,
    /// `[hidden]`
    query: Tensor,
}

impl AttentionFusion {
    pub(super) fn new(
        options: &HeadOptions,
        device: Device,
        mut builder: Builder,
    ) -> Result<Self, HeadError> {
        let parameters = Parameters::new(options.layers.len(), options.hidden);
        let weight = builder.add(&parameters.norm.weight())?;
        let bias = builder.add(&parameters.norm.bias())?;
        let query = builder.add(&parameters.query)?;
        Ok(Self {
            common: Common::new(options, device, builder)?,
            weight,
            bias,
            query,
        })
    }

    /// Normalised layers `[tokens, layers, hidden]` and their weights `[tokens, layers]` from the
    /// layers side by side.
    fn attend(
        &self,
        read: &Tensor,
        dropout: Option<&Dropout>,
    ) -> Result<(Tensor, Tensor), HeadError> {
        let shape = [
            size(self.common.options.layers.len()),
            size(self.common.options.hidden),
        ];
        let layers = read.f_view([-1, shape[0], shape[1]])?;
        let normal = normalised(&layers, &shape, &self.weight, &self.bias, EPSILON)?;
        let dropped = self.common.dropped(normal.f_flatten(-2, -1)?, dropout)?;
        let dropped = dropped.f_unflatten(-1, shape)?;
        let scores = if self.query.dim() == 1 {
            dropped.f_matmul(&self.query)?
        } else {
            let query = self.query.f_unsqueeze(1)?.f_unsqueeze(-1)?;
            dropped.f_matmul(&query)?.f_squeeze_dim(-1)?
        };
        Ok((dropped, scores.f_softmax(-1, Kind::Float)?))
    }
}

impl Head for AttentionFusion {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&self, _: &Tokens<'_>) -> Result<Reading, HeadError> {
        Ok(Reading::Layers(
            (0..self.common.options.layers.len()).collect(),
        ))
    }

    fn features(
        &self,
        read: &Tensor,
        _: &Tokens<'_>,
        dropout: Option<&Dropout>,
    ) -> Result<Tensor, HeadError> {
        let (layers, weights) = self.attend(read, dropout)?;
        Ok(weights
            .f_unsqueeze(-2)?
            .f_matmul(&layers)?
            .f_squeeze_dim(-2)?
            .f_gelu("none")?)
    }

    fn layer_attention(&self, batch: &Batch<'_>) -> Result<Option<Tensor>, HeadError> {
        tch::no_grad(|| {
            let tokens = Tokens::new(
                batch,
                batch.whole(),
                None,
                &self.common.options,
                self.common.device,
            )?;
            let all: Vec<usize> = (0..self.common.options.layers.len()).collect();
            Ok(Some(self.attend(&tokens.gathered(&all)?, None)?.1))
        })
    }
}
