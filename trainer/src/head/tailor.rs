//! The tailor of the adapter: a residual feed-forward layer and attention among the tokens of a sentence.

use tch::{TchError, Tensor};

use super::attention::{Attention, Padding};
use super::parameters::{Builder, Linear, Start};
use super::{Common, Dropout, HeadError, HeadOptions, Tokens};

/// Of the layer norm.
const EPSILON: f64 = 1e-12;

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
    pub(super) fn new(builder: &mut Builder, options: &HeadOptions) -> Result<Self, TchError> {
        let (hidden, size) = (options.hidden, options.attention_size);
        let norm = Linear {
            weight: builder.add("adapter.tailor.FF.0.weight", &[hidden], Start::Constant(1.0))?,
            bias: builder.add("adapter.tailor.FF.0.bias", &[hidden], Start::Constant(0.0))?,
        };
        let dense = builder.linear("adapter.tailor.FF.1", hidden, hidden)?;
        let mut attention = None;
        if options.tailor_attention {
            let name = "adapter.tailor.tailor_query_dim_reducer";
            let reducer = Linear {
                weight: builder.add(&format!("{name}.weight"), &[size, hidden], Start::Xavier)?,
                bias: builder.add(&format!("{name}.bias"), &[size], Start::Linear { inputs: hidden })?,
            };
            let own = Attention::new(builder, "adapter.tailor.self_attention", options)?;
            attention = Some(TokenAttention { reducer, attention: own });
        }
        Ok(Self { norm, dense, attention })
    }

    pub(super) const fn mixes_tokens(&self) -> bool {
        self.attention.is_some()
    }

    /// `read [tokens, hidden]` to what is added to it, `[tokens, hidden]` or `[wanted, hidden]`.
    pub(super) fn forward(
        &self,
        common: &Common,
        read: &Tensor,
        tokens: &Tokens<'_>,
        wanted: Option<&[usize]>,
        dropout: Option<Dropout>,
    ) -> Result<Tensor, HeadError> {
        let (_, hidden) = read.size2()?;
        let normal = read.f_layer_norm([hidden], Some(&self.norm.weight), Some(&self.norm.bias), EPSILON, false)?;
        let dense = common.dropped(self.dense.forward(&normal)?, dropout, 0)?;
        let adjusted = read.f_add(&dense.f_relu()?)?;
        let Some(TokenAttention { reducer, attention }) = &self.attention else { return Ok(adjusted) };

        let adjusted = common.dropped(adjusted, dropout, 1)?;
        let padding = Padding::of(tokens.offsets(), tokens.device())?;
        let weights = attention.over_itself(&reducer.forward(&adjusted)?, &padding)?;
        let padded = padding.pad(&adjusted)?.f_view([padding.sequences, padding.longest, hidden])?;
        let mixed = weights.f_bmm(&padded)?.f_view([-1, hidden])?;
        Ok(padding.pack(&mixed, wanted)?)
    }
}
