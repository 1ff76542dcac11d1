//! Attention on a device: one operation for all tokens of a batch, as few as can be, since each costs the time to launch it.
//! The heads of the attention come apart in a product with a constant matrix, which also scales the queries; every product
//! then finds its matrices as they lie, without a copy.

use tch::{Device, Kind, TchError, Tensor};

use super::Attention;
use crate::activations::device::Layout;
use crate::head::parameters::linear;
use crate::head::sizes::size;

/// Takes queries `[.., size]` to those of each head, `[.., heads * size]`: scaled, and zeros where other heads have theirs.
pub(super) fn apart(width: usize, heads: usize, device: Device) -> Result<Tensor, TchError> {
    let own = width / heads.max(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a few numbers a head"
    )]
    let scale = (1.0 / (own as f64).sqrt()) as f32;
    let mut matrix = vec![0_f32; width * heads * width];
    for column in 0..width {
        let head = column / own.max(1);
        matrix[(column * heads + head) * width + column] = scale;
    }
    let matrix = Tensor::f_from_slice(&matrix)?.f_view([size(width), size(heads * width)])?;
    matrix.f_to_device(device)
}

impl Attention {
    /// What [`Self::over_groups`] gives, of `query [.., tokens, size]` and `key [.., sequences * keys, size]`: `[.., tokens,
    /// keys]`.
    pub(crate) fn over_sequences(
        &self,
        query: &Tensor,
        key: &Tensor,
        layout: &Layout,
        keys: i64,
    ) -> Result<Tensor, TchError> {
        let rows = [self.size; 3];
        let weights = self.in_weight.f_split_with_sizes(rows, -2)?;
        let biases = self.in_bias.f_split_with_sizes(rows, -1)?;
        let ([of_query, of_key, _], [query_bias, key_bias, _]) =
            (weights.as_slice(), biases.as_slice())
        else {
            return Err(TchError::Shape("three blocks of rows".to_owned()));
        };
        let query = linear(query, of_query, query_bias)?.f_matmul(&self.apart)?;
        let query = query.f_unflatten(-1, [self.heads, self.size])?;
        let key = linear(key, of_key, key_bias)?;
        let key = key.f_unflatten(-2, [layout.sequences(), keys])?;
        let key = layout.of_sequence(&key.f_flatten(-2, -1)?)?;
        let key = key.f_unflatten(-1, [keys, self.size])?;
        // The keys come first, so that their gradient lies as they do.
        key.f_matmul(&query.f_transpose(-2, -1)?)?
            .f_softmax(-2, Kind::Float)?
            .f_mean_dim([-1].as_slice(), false, Kind::Float)
    }

    /// The weights of the tokens of each sequence over each other, `[.., sequences, longest, longest]`, from their padded values
    /// `[.., sequences * longest, size]`; 0 where the second place is padding.
    pub(crate) fn over_padded(&self, values: &Tensor, layout: &Layout) -> Result<Tensor, TchError> {
        let (sequences, longest) = (layout.sequences(), layout.longest());
        let rows = [2 * self.size, self.size];
        let weights = self.in_weight.f_split_with_sizes(rows, -2)?;
        let biases = self.in_bias.f_split_with_sizes(rows, -1)?;
        let both = linear(values, &weights[0], &biases[0])?;
        let both = both.f_unflatten(-1, [2, self.size])?.f_unbind(-2)?;
        let [query, key] = both.as_slice() else {
            return Err(TchError::Shape("queries and keys".to_owned()));
        };
        let query = query.f_matmul(&self.apart)?;
        let query = query.f_unflatten(-2, [sequences, longest])?;
        let query = query.f_unflatten(-1, [self.heads, self.size])?;
        let query = query.f_flatten(-3, -2)?;
        let key = key.f_unflatten(-2, [sequences, longest])?;
        let scores = query.f_matmul(&key.f_transpose(-2, -1)?)?;
        scores
            .f_add(&layout.mask())?
            .f_softmax(-1, Kind::Float)?
            .f_unflatten(-2, [longest, self.heads])?
            .f_mean_dim([-2].as_slice(), false, Kind::Float)
    }
}
