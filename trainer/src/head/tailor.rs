//! The tailor of the adapter: a residual feed-forward layer and attention among the tokens of a
//! sentence.

use shared::heads::adapter::{self, EPSILON};
use tch::{TchError, Tensor};

use super::attention::{Attention, Padding};
use super::parameters::{Builder, Linear, normalised};
use super::sizes::size;
use super::{Common, Dropout, HeadError, Tokens};
use crate::activations::device::Layout;

/// See the module.
pub(super) struct Tailor {
    norm: Linear,
    dense: Linear,
    attention: Option<TokenAttention>,
}

/// Attention among tokens.
struct TokenAttention {
    reducer: Linear,
    attention: Attention,
}

impl Tailor {
    pub(super) fn new(
        builder: &mut Builder,
        parameters: &adapter::Tailor,
    ) -> Result<Self, TchError> {
        let norm = Linear {
            weight: builder.add(&parameters.norm.weight())?,
            bias: builder.add(&parameters.norm.bias())?,
        };
        let dense = builder.linear(&parameters.dense)?;
        let mut attention = None;
        if let Some(own) = &parameters.attention {
            attention = Some(TokenAttention {
                reducer: builder.linear(&own.reducer)?,
                attention: Attention::new(builder, &own.attention)?,
            });
        }
        Ok(Self {
            norm,
            dense,
            attention,
        })
    }

    pub(super) const fn mixes_tokens(&self) -> bool {
        self.attention.is_some()
    }

    /// `read [tokens, hidden]` to what is added to it, of the same shape.
    pub(super) fn forward(
        &self,
        common: &Common,
        read: &Tensor,
        tokens: &Tokens<'_>,
        dropout: Option<&Dropout>,
    ) -> Result<Tensor, HeadError> {
        let hidden = [size(common.options.hidden)];
        let Linear { weight, bias } = &self.norm;
        let normal = normalised(read, &hidden, weight, bias, EPSILON)?;
        // Dropped numbers are zero and kept ones grow, so that it makes no difference whether ReLU
        // comes before or after.
        let dense = self.dense.forward(&normal)?.f_relu()?;
        let places = 1 + u64::from(self.mixes_tokens());
        let masks = common.masks(&dense, dropout, places)?;
        let adjusted = match masks.first() {
            Some(mask) => read.f_addcmul(&dense, mask)?,
            None => read.f_add(&dense)?,
        };
        let Some(attention) = &self.attention else {
            return Ok(adjusted);
        };
        let dropped = match masks.get(1) {
            Some(mask) => adjusted.f_mul(mask)?,
            None => adjusted,
        };
        attention.mix(&dropped, tokens)
    }
}

impl TokenAttention {
    /// Each token's mixture of the tokens of its sequence, `[tokens, hidden]`.
    fn mix(&self, values: &Tensor, tokens: &Tokens<'_>) -> Result<Tensor, HeadError> {
        let projected = self
            .attention
            .project_both(&self.reducer.forward(values)?)?;
        Ok(match tokens.layout() {
            Some(layout) => self.mix_padded(&projected, values, layout)?,
            None => self.mix_by_sequence(&projected, values, tokens.offsets())?,
        })
    }

    /// A product for every sequence: on a CPU a call costs nothing, and padding three times the
    /// work.
    fn mix_by_sequence(
        &self,
        projected: &Tensor,
        values: &Tensor,
        offsets: &[usize],
    ) -> Result<Tensor, TchError> {
        let lengths: Vec<i64> = offsets
            .windows(2)
            .map(|pair| size(pair[1] - pair[0]))
            .collect();
        let values = values.f_split_with_sizes(&lengths, 0)?;
        let mut mixed: Vec<Tensor> = values.iter().map(Tensor::shallow_clone).collect();
        for group in Padding::by_length(offsets, projected.device())? {
            let padded = group.pad(projected)?;
            let weights = self.attention.over_itself(&padded, &group.mask)?;
            let weights = weights.f_unbind(0)?;
            for (weights, &sequence) in weights.iter().zip(&group.members) {
                let length = lengths[sequence];
                let weights = weights.f_narrow(0, 0, length)?.f_narrow(1, 0, length)?;
                mixed[sequence] = weights.f_mm(&values[sequence])?;
            }
        }
        Tensor::f_cat(&mixed, 0)
    }

    /// One product for all sequences, padded: on a GPU a call costs more than the padding.
    fn mix_padded(
        &self,
        projected: &Tensor,
        values: &Tensor,
        layout: &Layout,
    ) -> Result<Tensor, TchError> {
        let padded = layout.pad(projected)?;
        let weights = self.attention.over_itself(&padded, &layout.mask())?;
        layout.pack(&weights.f_matmul(&layout.pad(values)?)?)
    }
}

#[cfg(test)]
#[allow(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "the numbers are small"
)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::activations::Batch;
    use crate::head::{HeadKind, HeadOptions};

    /// What is done on a GPU, done on the CPU, gives the same.
    #[test]
    fn padded_and_by_sequence_agree() {
        let offsets = vec![0, 5, 6, 6, 19, 22, 30];
        let options = HeadOptions::new(HeadKind::Adapter, vec![0], 8, 2);
        let parameters = adapter::Parameters::new(&options);
        let mut builder = Builder::new(1, Device::Cpu);
        let tailor = Tailor::new(&mut builder, &parameters.tailor.unwrap()).unwrap();
        let attention = tailor.attention.as_ref().unwrap();
        let rows = Tensor::zeros([30, 1, 8], (tch::Kind::Float, Device::Cpu));
        let batch = Batch::on_device(rows, &offsets, cache::StoreDtype::F32).unwrap();
        let tokens = Tokens::of(&batch, batch.whole(), None, &options, Device::Cpu).unwrap();
        let values: Vec<f32> = (0..240)
            .map(|place| ((place * 29 % 83) as f32 - 41.0) / 20.0)
            .collect();
        let values = Tensor::from_slice(&values).view([30, 8]);
        let projected = attention
            .attention
            .project_both(&attention.reducer.forward(&values).unwrap())
            .unwrap();
        let one = attention
            .mix_by_sequence(&projected, &values, tokens.offsets())
            .unwrap();
        let layout = tokens.layout().unwrap();
        let other = attention.mix_padded(&projected, &values, layout).unwrap();
        assert!((one - other).abs().max().double_value(&[]) < 1e-6);
    }
}
