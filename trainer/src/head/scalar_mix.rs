//! One weight a layer, the same for every token, and a scale (Peters et al. 2018, *Deep
//! contextualized word representations*).

use shared::heads::kind::scalar_mix::Parameters;
use tch::{Device, Kind, Tensor};

use super::parameters::Builder;
use super::sizes::size;
use super::{Common, Dropout, Head, HeadError, HeadOptions, Reading, Tokens};

/// `scale * sum over layers of softmax(weights) * H`, dropout, classifier.
pub(super) struct ScalarMix {
    common: Common,
    /// `[layers]`
    weights: Tensor,
    /// `[1]`
    scale: Tensor,
}

impl ScalarMix {
    pub(super) fn new(
        options: &HeadOptions,
        device: Device,
        mut builder: Builder,
    ) -> Result<Self, HeadError> {
        let parameters = Parameters::new(options.layers.len());
        let weights = builder.add(&parameters.weights)?;
        let scale = builder.add(&parameters.scale)?;
        Ok(Self {
            common: Common::new(options, device, builder)?,
            weights,
            scale,
        })
    }
}

impl Head for ScalarMix {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&self, tokens: &Tokens<'_>) -> Result<Reading, HeadError> {
        let weights = self.weights.f_softmax(-1, Kind::Float)?.f_unsqueeze(-2)?;
        let mut shape = weights.size();
        if let [.., rows, _] = shape.as_mut_slice() {
            *rows = size(tokens.weighted());
        }
        Ok(Reading::Weighted(weights.f_expand(shape, false)?))
    }

    fn features(
        &self,
        read: &Tensor,
        _: &Tokens<'_>,
        dropout: Option<&Dropout>,
    ) -> Result<Tensor, HeadError> {
        let scale = self.scale.f_unsqueeze(-1)?;
        self.common.dropped(read.f_mul(&scale)?, dropout)
    }
}
