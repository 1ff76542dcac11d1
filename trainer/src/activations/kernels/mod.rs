//! Sums over layers and tokens, computed from the stored rows without a copy: each activation is read
//! once a sum, straight from the mapped file. That makes training on a CPU fast, since a token of
//! BERT-base is 20 kB in float16.
//!
//! Vectors that are stored rotated (int4) are added up as they are, and each sum is turned back once: a rotation
//! is linear. Their products are taken with the other factor rotated.
//!
//! Every number of a result is added up by one thread in one order, so that results do not depend on
//! the number of threads or their timing.

use cache::{StoreDtype, rotation};
use rayon::prelude::*;
use shared::vectorised;

use super::widening::{is_rotated, widen, widen_as_stored};

/// Tokens a thread takes at once.
const TOKENS_AT_ONCE: usize = 8;

/// Partial sums of a product of vectors, which do not wait for one another.
const PARTIAL_SUMS: usize = 32;

vectorised! {
    /// Adds `values` to both sums.
    fn add_to_both(values: &[f32], one: &mut [f32], other: &mut [f32]) {
        for ((value, one), other) in values.iter().zip(one).zip(other) {
            *one += value;
            *other += value;
        }
    }
}

vectorised! {
    /// Adds `weight` times `values` to `sum`.
    fn add_weighted(weight: f32, values: &[f32], sum: &mut [f32]) {
        for (value, sum) in values.iter().zip(sum) {
            *sum += weight * value;
        }
    }
}

vectorised! {
    /// Multiplies all by `factor`.
    fn scale(factor: f32, values: &mut [f32]) {
        for value in values {
            *value *= factor;
        }
    }
}

vectorised! {
    /// The sum of the products, in an order that depends on the length alone.
    fn product(one: &[f32], other: &[f32]) -> f32 {
        let ((blocks, rest), (others, other_rest)) = (one.as_chunks::<PARTIAL_SUMS>(), other.as_chunks::<PARTIAL_SUMS>());
        let mut sums = [0.0; PARTIAL_SUMS];
        for (block, other) in blocks.iter().zip(others) {
            for place in 0..PARTIAL_SUMS {
                sums[place] += block[place] * other[place];
            }
        }
        let mut half = PARTIAL_SUMS / 2;
        while half > 0 {
            for place in 0..half {
                sums[place] += sums[place + half];
            }
            half /= 2;
        }
        sums[0] + rest.iter().zip(other_rest).map(|(one, other)| one * other).sum::<f32>()
    }
}

/// Calls `each` with every layer of a row, as float32 and rotated where it is stored so, and its number.
fn each_layer(
    dtype: StoreDtype,
    row: &[u8],
    layer: &mut [f32],
    mut each: impl FnMut(usize, &[f32]),
) {
    for (number, bytes) in row
        .chunks_exact(dtype.vector_bytes(layer.len()))
        .enumerate()
    {
        widen_as_stored(dtype, bytes, layer);
        each(number, layer);
    }
}

/// Turns sums of vectors `[hidden]` back where these are stored rotated.
fn turn_back(dtype: StoreDtype, hidden: usize, sums: &mut [f32]) {
    if is_rotated(dtype) {
        sums.chunks_exact_mut(hidden).for_each(rotation::unrotate);
    }
}

/// Means in one pass over the rows: `over_layers [tokens, hidden]` for every token, and `over_tokens
/// [sequences, layers, hidden]` for every sequence, whose tokens are `offsets[i]..offsets[i + 1]`.
///
/// # Panics
/// The slices do not fit one another.
pub fn means(
    rows: &[&[u8]],
    offsets: &[usize],
    dtype: StoreDtype,
    over_layers: &mut [f32],
    over_tokens: &mut [f32],
) {
    let sequences = offsets.len() - 1;
    let hidden = over_layers.len() / rows.len().max(1);
    if sequences == 0 || hidden == 0 {
        over_tokens.fill(0.0);
        return;
    }
    let size = over_tokens.len() / sequences;
    let mut rest = over_layers;
    let by_sequence: Vec<_> = offsets
        .windows(2)
        .map(|pair| {
            let (own, others) =
                std::mem::take(&mut rest).split_at_mut((pair[1] - pair[0]) * hidden);
            rest = others;
            (&rows[pair[0]..pair[1]], own)
        })
        .collect();
    by_sequence
        .into_par_iter()
        .zip(over_tokens.par_chunks_mut(size))
        .for_each(|((rows, token_means), layer_means)| {
            let mut layer = vec![0.0; hidden];
            layer_means.fill(0.0);
            for (row, token_mean) in rows.iter().zip(token_means.chunks_exact_mut(hidden)) {
                token_mean.fill(0.0);
                each_layer(dtype, row, &mut layer, |number, values| {
                    add_to_both(
                        values,
                        token_mean,
                        &mut layer_means[number * hidden..(number + 1) * hidden],
                    );
                });
                scale(one_over(size / hidden), token_mean);
                turn_back(dtype, hidden, token_mean);
            }
            scale(one_over(rows.len()), layer_means);
            turn_back(dtype, hidden, layer_means);
        });
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a few dozen layers, a few hundred tokens"
)]
fn one_over(count: usize) -> f32 {
    1.0 / count.max(1) as f32
}

/// `sums [tokens, hidden]` = sum over layers of `weights [tokens, layers]` times the rows `[layers, hidden]`.
///
/// # Panics
/// The slices do not fit one another.
pub fn weighted_sums(rows: &[&[u8]], dtype: StoreDtype, weights: &[f32], sums: &mut [f32]) {
    let (layers, hidden) = (
        weights.len() / rows.len().max(1),
        sums.len() / rows.len().max(1),
    );
    if layers == 0 || hidden == 0 {
        sums.fill(0.0);
        return;
    }
    rows.par_iter()
        .with_min_len(TOKENS_AT_ONCE)
        .zip(weights.par_chunks_exact(layers))
        .zip(sums.par_chunks_exact_mut(hidden))
        .for_each_init(
            || vec![0.0; hidden],
            |layer, ((row, weights), sum)| {
                sum.fill(0.0);
                each_layer(dtype, row, layer, |number, values| {
                    add_weighted(weights[number], values, sum);
                });
                turn_back(dtype, hidden, sum);
            },
        );
}

/// The gradient of [`weighted_sums`] by its weights: `gradient [tokens, layers]` = products of the gradient by the
/// sums `[tokens, hidden]` with each layer of the rows.
///
/// # Panics
/// The slices do not fit one another.
pub fn weight_gradients(rows: &[&[u8]], dtype: StoreDtype, by_sums: &[f32], gradient: &mut [f32]) {
    let (layers, hidden) = (
        gradient.len() / rows.len().max(1),
        by_sums.len() / rows.len().max(1),
    );
    if layers == 0 || hidden == 0 {
        gradient.fill(0.0);
        return;
    }
    rows.par_iter()
        .with_min_len(TOKENS_AT_ONCE)
        .zip(by_sums.par_chunks_exact(hidden))
        .zip(gradient.par_chunks_exact_mut(layers))
        .for_each_init(
            || (vec![0.0; hidden], Vec::new()),
            |(layer, rotated), ((row, by_sum), gradient)| {
                let by_sum = if is_rotated(dtype) {
                    rotated.clear();
                    rotated.extend_from_slice(by_sum);
                    rotation::rotate(rotated);
                    rotated
                } else {
                    by_sum
                };
                each_layer(dtype, row, layer, |number, values| {
                    gradient[number] = product(values, by_sum);
                });
            },
        );
}

/// `values [tokens, chosen, hidden]` = the chosen layers of every row, as float32.
///
/// # Panics
/// The slices do not fit one another, or a layer is not in the rows.
pub fn gather(rows: &[&[u8]], dtype: StoreDtype, chosen: &[usize], values: &mut [f32]) {
    let hidden = values.len() / (rows.len() * chosen.len()).max(1);
    if hidden == 0 {
        return;
    }
    let layer_bytes = dtype.vector_bytes(hidden);
    rows.par_iter()
        .with_min_len(TOKENS_AT_ONCE)
        .zip(values.par_chunks_exact_mut(chosen.len() * hidden))
        .for_each(|(row, values)| {
            for (layer, values) in chosen.iter().zip(values.chunks_exact_mut(hidden)) {
                widen(
                    dtype,
                    &row[layer * layer_bytes..(layer + 1) * layer_bytes],
                    values,
                );
            }
        });
}

#[cfg(test)]
mod tests;
