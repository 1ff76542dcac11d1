//! The tailor of the adapter: a residual feed-forward layer and attention among the tokens of a
//! sentence.

use shared::heads::kind::adapter::{self, EPSILON};
use tch::{Kind, TchError, Tensor};

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
    /// A zero on the device, `[1]`.
    slope: Tensor,
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
                attention: Attention::new(builder, true, &own.attention)?,
            });
        }
        Ok(Self {
            norm,
            dense,
            attention,
            slope: Tensor::f_zeros([1], (Kind::Float, builder.device()))?,
        })
    }

    pub(super) const fn mixes_tokens(&self) -> bool {
        self.attention.is_some()
    }

    /// `read [tokens, hidden]` to what is added to it, of the same shape; in main memory.
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
        Ok(attention.mix(&dropped, tokens.offsets())?)
    }

    /// `read [.., tokens, hidden]` with what is added to it, of the same shape; with attention
    /// among tokens in the padded places of their sequences, `[.., sequences * longest, hidden]`.
    /// On a device.
    pub(super) fn forward_on_device(
        &self,
        common: &Common,
        read: &Tensor,
        layout: &Layout,
        dropout: Option<&Dropout>,
    ) -> Result<Tensor, HeadError> {
        let hidden = [size(common.options.hidden)];
        let Linear { weight, bias } = &self.norm;
        let normal = normalised(read, &hidden, weight, bias, EPSILON)?;
        let dense = self.dense.forward(&normal)?;
        let places = 1 + u64::from(self.mixes_tokens());
        let masks = common.masks(&dense, dropout, places)?;
        let adjusted = match masks.first() {
            Some(mask) => {
                // The mask where ReLU lets a number pass, else 0: one operation for both, and one
                // for their gradient. It is the gradient of a ReLU with a slope below 0, if that
                // slope is 0.
                let dense_values = dense.f_detach()?;
                let (gate, _) = dense_values.f_internal_prelu_kernel_backward(mask, &self.slope)?;
                read.f_addcmul(&dense, &gate)?
            }
            None => read.f_add(&dense.f_relu()?)?,
        };
        let Some(attention) = &self.attention else {
            return Ok(read.f_add(&adjusted)?);
        };
        let dropped = match masks.get(1) {
            Some(mask) => adjusted.f_mul(mask)?,
            None => adjusted,
        };
        Ok(attention.mix_padded(read, &dropped, layout)?)
    }
}

impl TokenAttention {
    /// Each token's mixture of the tokens of its sequence, `[tokens, hidden]`. A product for every
    /// sequence: on a CPU a call costs nothing, and padding three times the work.
    fn mix(&self, values: &Tensor, offsets: &[usize]) -> Result<Tensor, TchError> {
        let projected = self
            .attention
            .project_both(&self.reducer.forward(values)?)?;
        let lengths: Vec<i64> = offsets
            .windows(2)
            .map(|pair| size(pair[1] - pair[0]))
            .collect();
        let values = values.f_split_with_sizes(&lengths, 0)?;
        let mut mixed: Vec<Tensor> = values.iter().map(Tensor::shallow_clone).collect();
        for group in Padding::by_length(offsets, projected.device())? {
            let padded = group.pad(&projected)?;
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

    /// The same, added to what was `read`, in padded places. One product for all sequences: on a GPU
    /// a call costs more than the padding.
    fn mix_padded(
        &self,
        read: &Tensor,
        values: &Tensor,
        layout: &Layout,
    ) -> Result<Tensor, TchError> {
        let (longest, hidden) = (layout.longest(), read.size()[read.dim() - 1]);
        let [read, values] = layout.pad_two(read, values)?;
        let weights = self
            .attention
            .over_padded(&self.reducer.forward(&values)?, layout)?;
        // Nobody else has the padded rows: the mixtures are added in place.
        let several = |rows: &Tensor, width| rows.f_internal_unsafe_view([-1, longest, width]);
        several(&read, hidden)?
            .f_baddbmm_(&several(&weights, longest)?, &several(&values, hidden)?)?
            .f_view_as(&read)
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
        let parameters = adapter::Parameters::new(options.hidden, &options.adapter);
        let mut builder = Builder::new(1, Device::Cpu);
        let tailor = Tailor::new(&mut builder, &parameters.tailor.unwrap()).unwrap();
        let attention = tailor.attention.as_ref().unwrap();
        let rows = Tensor::zeros([30, 1, 8], (tch::Kind::Float, Device::Cpu));
        let batch = Batch::on_device(rows, &offsets, cache::StoreDtype::F32).unwrap();
        let tokens = Tokens::new(&batch, batch.whole(), None, &options, Device::Cpu).unwrap();
        let values: Vec<f32> = (0..240)
            .map(|place| ((place * 29 % 83) as f32 - 41.0) / 20.0)
            .collect();
        let values = Tensor::from_slice(&values).view([30, 8]);
        let one = attention.mix(&values, tokens.offsets()).unwrap();
        let layout = tokens.layout().unwrap();
        let zeros = values.zeros_like();
        let other = attention.mix_padded(&zeros, &values, layout).unwrap();
        let other = layout.pack(&other).unwrap();
        assert!((one - other).abs().max().double_value(&[]) < 1e-6);
    }
}
