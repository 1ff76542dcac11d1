//! Attention on a device, in as few operations for a whole batch as possible, since each costs the time
//! to launch it. The attention heads are separated by a product with a constant matrix, which also
//! scales the queries; every later product finds its matrices in place, without a copy.

use tch::{Device, Kind, TchError, Tensor};

use super::Attention;
use crate::activations::device::Layout;
use crate::head::parameters::linear;
use crate::head::sizes::size;

/// The memory layout of the queries of the heads after [`apart`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// `[heads, size]`
    Heads,
    /// `[size, heads]`
    Numbers,
}

/// Takes queries `[.., size]` to those of each head, scaled, and zeros where other heads have theirs.
pub(super) fn apart(
    width: usize,
    heads: usize,
    order: Order,
    device: Device,
) -> Result<Tensor, TchError> {
    let own = (width / heads.max(1)).max(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a few numbers a head"
    )]
    let scale = (1.0 / (own as f64).sqrt()) as f32;
    let mut matrix = vec![0_f32; width * heads * width];
    for number in 0..width {
        let head = number / own;
        let column = match order {
            Order::Heads => head * width + number,
            Order::Numbers => number * heads + head,
        };
        matrix[number * heads * width + column] = scale;
    }
    let matrix = Tensor::f_from_slice(&matrix)?.f_view([size(width), size(heads * width)])?;
    matrix.f_to_device(device)
}

impl Attention {
    /// [`Self::project`] with blocks that have gradients of their own, where there are some.
    fn projected(&self, input: &Tensor, first: usize, blocks: i64) -> Result<Tensor, TchError> {
        match self.blocks.as_ref().and_then(|own| own.get(first)) {
            Some((weight, bias)) => linear(input, weight, bias),
            None => self.project(input, size(first), blocks),
        }
    }

    /// What [`Self::over_groups`] gives, of `query [.., tokens, size]` and `key [.., sequences *
    /// keys, size]`: `[.., tokens, keys]`.
    pub(crate) fn over_sequences(
        &self,
        query: &Tensor,
        key: &Tensor,
        layout: &Layout,
        keys: i64,
    ) -> Result<Tensor, TchError> {
        let query = self.projected(query, 0, 1)?.f_matmul(&self.apart)?;
        let query = query.f_unflatten(-1, [self.size, self.heads])?;
        let key = self.projected(key, 1, 1)?;
        let key = key.f_unflatten(-2, [layout.sequences(), keys])?;
        let key = layout.broadcast_to_tokens(&key.f_flatten(-2, -1)?)?;
        let key = key.f_unflatten(-1, [keys, self.size])?;
        // In this order the gradients of keys and queries have the memory layout of their tensors.
        key.f_matmul(&query)?
            .f_softmax(-2, Kind::Float)?
            .f_mean_dim([-1].as_slice(), false, Kind::Float)
    }

    /// The weights of the tokens of each sequence over each other, `[.., sequences, longest,
    /// longest]`, from their padded values `[.., sequences * longest, size]`; 0 where the second
    /// place is padding.
    pub(crate) fn over_padded(&self, values: &Tensor, layout: &Layout) -> Result<Tensor, TchError> {
        let (sequences, longest) = (layout.sequences(), layout.longest());
        let both = self.projected(values, 0, 2)?;
        let both = both.f_unflatten(-2, [sequences, longest])?;
        let both = both.f_unflatten(-1, [2, self.size])?.f_unbind(-2)?;
        let [query, key] = both.as_slice() else {
            return Err(TchError::Shape("queries and keys".to_owned()));
        };
        let query = query.f_matmul(&self.apart)?;
        let query = query.f_unflatten(-1, [self.heads, self.size])?;
        let query = query.f_flatten(-3, -2)?;
        let scores = query.f_matmul(&key.f_transpose(-2, -1)?)?;
        scores
            .f_add(&layout.mask())?
            .f_softmax(-1, Kind::Float)?
            .f_unflatten(-2, [longest, self.heads])?
            .f_mean_dim([-2].as_slice(), false, Kind::Float)
    }
}
