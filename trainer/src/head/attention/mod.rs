//! Multi-head attention weights (Vaswani et al. 2017), averaged over the heads. The value and
//! output projections of the PyTorch module are kept, so that weights move both ways, but the
//! weights do not depend on them.

mod device;

use std::collections::BTreeMap;

use shared::heads::parameters;
use tch::{Device, Kind, TchError, Tensor};

use super::parameters::{Builder, linear};
use super::sizes::size;
use super::tokens::indices;
use crate::activations::device::MASKED;
use device::Order;

/// The query and key projections of an attention block; of several heads where a dimension stands
/// in front.
pub(crate) struct Attention {
    /// Query, key and value rows, `[3 * size, size]`.
    in_weight: Tensor,
    /// `[3 * size]`
    in_bias: Tensor,
    /// Weights and biases of the blocks of rows that are used, where these have gradients of their own.
    blocks: Option<Vec<(Tensor, Tensor)>>,
    /// See [`device::apart`].
    apart: Tensor,
    size: i64,
    heads: i64,
}

impl Attention {
    /// Adds the parameters of an attention block; `one_input` where queries and keys are
    /// projected from the same values, by [`Self::project_both`].
    pub(crate) fn new(
        builder: &mut Builder,
        one_input: bool,
        parameters: &parameters::Attention,
    ) -> Result<Self, TchError> {
        let width = parameters.size;
        let (rows, order): (&[usize], Order) = if one_input {
            (&[2 * width], Order::Heads)
        } else {
            (&[width, width], Order::Numbers)
        };
        let (in_weight, weights) = builder.add_in_blocks(&parameters.in_weight(), rows)?;
        let (in_bias, biases) = builder.add_in_blocks(&parameters.in_bias(), rows)?;
        for idle in parameters.out_projection() {
            drop(builder.add(&idle)?);
        }
        Ok(Self {
            in_weight,
            in_bias,
            blocks: weights
                .zip(biases)
                .map(|(weights, biases)| weights.into_iter().zip(biases).collect()),
            apart: device::apart(width, parameters.heads, order, builder.device())?,
            size: size(width),
            heads: size(parameters.heads),
        })
    }

    /// The rows of the input projection from `first` on, `blocks` times the size of them.
    fn project(&self, input: &Tensor, first: i64, blocks: i64) -> Result<Tensor, TchError> {
        let (first, rows) = (first * self.size, blocks * self.size);
        linear(
            input,
            &self.in_weight.f_narrow(-2, first, rows)?,
            &self.in_bias.f_narrow(-1, first, rows)?,
        )
    }

    #[expect(clippy::cast_precision_loss, reason = "a few numbers a head")]
    fn scale(&self) -> f64 {
        1.0 / ((self.size / self.heads) as f64).sqrt()
    }

    /// Each query's weights over the keys of its own group: `query [tokens, size]`,
    /// `key [groups * keys, size]`, `group_of [tokens]` to `[tokens, keys]`. Groups have the same
    /// number of keys, so nothing is padded.
    pub(crate) fn over_groups(
        &self,
        query: &Tensor,
        key: &Tensor,
        group_of: &Tensor,
        keys: i64,
    ) -> Result<Tensor, TchError> {
        let query = (self.project(query, 0, 1)? * self.scale()).f_unsqueeze(1)?;
        let key = self.project(key, 1, 1)?.f_view([-1, keys * self.size])?;
        let key = key
            .f_index_select(0, group_of)?
            .f_view([-1, keys, self.size])?;
        let products = query
            .f_mul(&key)?
            .f_view([-1, keys, self.heads, self.size / self.heads])?;
        let scores = products.f_sum_dim_intlist([3].as_slice(), false, Kind::Float)?;
        scores
            .f_softmax(1, Kind::Float)?
            .f_mean_dim([2].as_slice(), false, Kind::Float)
    }

    /// `[.., places, size]` to `[.., heads, places, size / heads]`.
    fn by_head(&self, values: &Tensor) -> Result<Tensor, TchError> {
        values
            .f_unflatten(-1, [self.heads, self.size / self.heads])?
            .f_transpose(-3, -2)
    }

    /// Queries and keys of tokens that attend to each other, `[.., tokens, 2 * size]`, for
    /// [`Self::over_itself`].
    pub(crate) fn project_both(&self, tokens: &Tensor) -> Result<Tensor, TchError> {
        self.project(tokens, 0, 2)
    }

    /// The weights of the tokens of each sequence over each other,
    /// `[.., sequences, longest, longest]`, from what [`Self::project_both`] gave of them, padded:
    /// `[.., sequences, longest, 2 * size]`. They are 0 where the second place is padding, of which
    /// the `mask [sequences, 1, 1, longest]` tells.
    pub(crate) fn over_itself(&self, padded: &Tensor, mask: &Tensor) -> Result<Tensor, TchError> {
        let query = padded.f_narrow(-1, 0, self.size)?;
        let key = padded.f_narrow(-1, self.size, self.size)?;
        let query = self.by_head(&query)? * self.scale();
        let key = self.by_head(&key)?.f_transpose(-2, -1)?;
        let scores = query.f_matmul(&key)?.f_add(mask)?;
        scores
            .f_softmax(-1, Kind::Float)?
            .f_mean_dim([-3].as_slice(), false, Kind::Float)
    }
}

/// How some packed sequences are laid out with padding, where a matrix product wants them of one
/// length.
pub(crate) struct Padding {
    /// Which sequences.
    pub(crate) members: Vec<usize>,
    /// Tokens of the longest.
    pub(crate) longest: i64,
    /// The packed token at each padded place (the first token where there is none),
    /// `[members * longest]`.
    places: Tensor,
    /// 0 where there is a token, very low where there is none, `[members, 1, 1, longest]`.
    pub(crate) mask: Tensor,
}

impl Padding {
    /// The padding of some of the sequences whose tokens are `offsets[i]..offsets[i + 1]`.
    pub(crate) fn new(
        members: Vec<usize>,
        offsets: &[usize],
        device: Device,
    ) -> Result<Self, TchError> {
        let range = |member: usize| offsets[member]..offsets[member + 1];
        let longest = members
            .iter()
            .map(|&member| range(member).len())
            .max()
            .unwrap_or(0);
        let mut places = vec![0; members.len() * longest];
        let mut mask = vec![MASKED; members.len() * longest];
        for (row, &member) in members.iter().enumerate() {
            for (column, token) in range(member).enumerate() {
                places[row * longest + column] = token;
                mask[row * longest + column] = 0.0;
            }
        }
        let mask = Tensor::f_from_slice(&mask)?
            .f_to_kind(Kind::Float)?
            .f_to_device(device)?;
        let mask = mask.f_view([size(members.len()), 1, 1, size(longest)])?;
        Ok(Self {
            members,
            longest: size(longest),
            places: indices(&places, device)?,
            mask,
        })
    }

    /// Sequences with tokens, in groups of less than twice the same length, so that one long
    /// sequence does not cost as much as a batch of them.
    pub(crate) fn by_length(offsets: &[usize], device: Device) -> Result<Vec<Self>, TchError> {
        let mut groups = BTreeMap::<u32, Vec<usize>>::new();
        for (sequence, pair) in offsets.windows(2).enumerate() {
            if let Some(class) = (pair[1] - pair[0]).checked_ilog2() {
                groups.entry(class).or_default().push(sequence);
            }
        }
        groups
            .into_values()
            .map(|members| Self::new(members, offsets, device))
            .collect()
    }

    /// `[tokens, width]` to `[members, longest, width]`.
    pub(crate) fn pad(&self, packed: &Tensor) -> Result<Tensor, TchError> {
        let padded = packed.f_index_select(0, &self.places)?;
        padded.f_unflatten(0, [size(self.members.len()), self.longest])
    }
}
