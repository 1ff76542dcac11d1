//! Sums over layers and tokens, read from the stored rows where they lie. An activation is touched once a sum and
//! never copied, which is what makes training on a CPU fast: a token of BERT-base is 20 kB in float16.
//!
//! Every number of a result is added up by one thread in one order, so that results do not depend on the number
//! of threads or their timing.

use cache::StoreDtype;
use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::lanes::HalfHardware;
use super::lanes::{Brain, HalfPortable, LANES, Single, Stored};

/// Tokens a thread takes at once.
const TOKENS_AT_ONCE: usize = 8;

/// Generates, for a kernel over one row (or a few), the version for each number format and processor.
macro_rules! dispatched {
    ($(#[$meta:meta])* fn $name:ident = $body:ident($($argument:ident: $type:ty),*)) => {
        $(#[$meta])*
        fn $name(dtype: StoreDtype, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,f16c")]
                fn wide<S: Stored>($($argument: $type),*) {
                    $body::<S>($($argument),*);
                }
                #[target_feature(enable = "avx2,f16c")]
                fn medium<S: Stored>($($argument: $type),*) {
                    $body::<S>($($argument),*);
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c") {
                    let is_wide = is_x86_feature_detected!("avx512f")
                        && is_x86_feature_detected!("avx512bw")
                        && is_x86_feature_detected!("avx512vl")
                        && is_x86_feature_detected!("avx512dq");
                    #[expect(unsafe_code, reason = "code for processor features must be called as unsafe")]
                    // SAFETY: the features that each version is compiled for have just been found on this processor.
                    unsafe {
                        match (dtype, is_wide) {
                            (StoreDtype::F16, true) => wide::<HalfHardware>($($argument),*),
                            (StoreDtype::F32, true) => wide::<Single>($($argument),*),
                            (StoreDtype::Bf16, true) => wide::<Brain>($($argument),*),
                            (StoreDtype::F16, false) => medium::<HalfHardware>($($argument),*),
                            (StoreDtype::F32, false) => medium::<Single>($($argument),*),
                            (StoreDtype::Bf16, false) => medium::<Brain>($($argument),*),
                        }
                    }
                    return;
                }
            }
            match dtype {
                StoreDtype::F16 => $body::<HalfPortable>($($argument),*),
                StoreDtype::F32 => $body::<Single>($($argument),*),
                StoreDtype::Bf16 => $body::<Brain>($($argument),*),
            }
        }
    };
}

dispatched! {
    /// `token_mean [hidden]` = mean over layers of `row`; `layer_sums [layers, hidden]` += `row`.
    fn add_row = add_row_body(row: &[u8], token_mean: &mut [f32], layer_sums: &mut [f32])
}
dispatched! {
    /// `sum [hidden]` = sum over layers of `weights [layers]` times `row [layers, hidden]`.
    fn weigh_row = weigh_row_body(row: &[u8], weights: &[f32], sum: &mut [f32])
}
dispatched! {
    /// `products [layers]` = products of each layer of `row [layers, hidden]` with `vector [hidden]`.
    fn project_row = project_row_body(row: &[u8], vector: &[f32], products: &mut [f32])
}
dispatched! {
    /// `values` = the numbers of `bytes`.
    fn widen = widen_body(bytes: &[u8], values: &mut [f32])
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "compiled once for each set of processor features")]
#[expect(clippy::cast_precision_loss, reason = "a model has a few dozen layers")]
fn add_row_body<S: Stored>(row: &[u8], token_mean: &mut [f32], layer_sums: &mut [f32]) {
    let hidden = token_mean.len();
    let layers = layer_sums.len() / hidden;
    let scale = 1.0 / layers as f32;
    let whole = hidden - hidden % LANES;
    for start in (0..whole).step_by(LANES) {
        let mut sum = [0.0; LANES];
        for layer in 0..layers {
            let first = layer * hidden + start;
            let values = S::lanes(&row[first * S::BYTES..]);
            let sums = &mut layer_sums[first..first + LANES];
            for lane in 0..LANES {
                sum[lane] += values[lane];
                sums[lane] += values[lane];
            }
        }
        let mean = &mut token_mean[start..start + LANES];
        for lane in 0..LANES {
            mean[lane] = sum[lane] * scale;
        }
    }
    for column in whole..hidden {
        let mut sum = 0.0;
        for layer in 0..layers {
            let value = S::one(&row[(layer * hidden + column) * S::BYTES..]);
            sum += value;
            layer_sums[layer * hidden + column] += value;
        }
        token_mean[column] = sum * scale;
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "compiled once for each set of processor features")]
fn weigh_row_body<S: Stored>(row: &[u8], weights: &[f32], sum: &mut [f32]) {
    let hidden = sum.len();
    let whole = hidden - hidden % LANES;
    for start in (0..whole).step_by(LANES) {
        let mut partial = [0.0; LANES];
        for (layer, &weight) in weights.iter().enumerate() {
            let values = S::lanes(&row[(layer * hidden + start) * S::BYTES..]);
            for lane in 0..LANES {
                partial[lane] += weight * values[lane];
            }
        }
        sum[start..start + LANES].copy_from_slice(&partial);
    }
    for column in whole..hidden {
        sum[column] = 0.0;
        for (layer, &weight) in weights.iter().enumerate() {
            sum[column] += weight * S::one(&row[(layer * hidden + column) * S::BYTES..]);
        }
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "compiled once for each set of processor features")]
fn project_row_body<S: Stored>(row: &[u8], vector: &[f32], products: &mut [f32]) {
    let hidden = vector.len();
    let whole = hidden - hidden % LANES;
    for (layer, product) in products.iter_mut().enumerate() {
        let row = &row[layer * hidden * S::BYTES..(layer + 1) * hidden * S::BYTES];
        // Two sums that do not wait for one another.
        let (mut even, mut odd) = ([0.0; LANES], [0.0; LANES]);
        let pairs = hidden - hidden % (2 * LANES);
        for start in (0..pairs).step_by(2 * LANES) {
            multiply_add::<S>(&row[start * S::BYTES..], &vector[start..], &mut even);
            multiply_add::<S>(&row[(start + LANES) * S::BYTES..], &vector[start + LANES..], &mut odd);
        }
        if pairs < whole {
            multiply_add::<S>(&row[pairs * S::BYTES..], &vector[pairs..], &mut even);
        }
        let mut sum: f32 = (0..LANES).map(|lane| even[lane] + odd[lane]).sum();
        for column in whole..hidden {
            sum += S::one(&row[column * S::BYTES..]) * vector[column];
        }
        *product = sum;
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "compiled once for each set of processor features")]
fn multiply_add<S: Stored>(bytes: &[u8], vector: &[f32], sum: &mut [f32; LANES]) {
    let (values, others) = (S::lanes(bytes), &vector[..LANES]);
    for lane in 0..LANES {
        sum[lane] += values[lane] * others[lane];
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "compiled once for each set of processor features")]
fn widen_body<S: Stored>(bytes: &[u8], values: &mut [f32]) {
    let whole = values.len() - values.len() % LANES;
    for start in (0..whole).step_by(LANES) {
        values[start..start + LANES].copy_from_slice(&S::lanes(&bytes[start * S::BYTES..]));
    }
    for column in whole..values.len() {
        values[column] = S::one(&bytes[column * S::BYTES..]);
    }
}

/// Means in one pass over the rows: `over_layers [tokens, hidden]` for every token, and `over_tokens
/// [sequences, layers, hidden]` for every sequence, whose tokens are `offsets[i]..offsets[i + 1]`.
///
/// # Panics
/// The slices do not fit one another.
pub fn means(rows: &[&[u8]], offsets: &[usize], dtype: StoreDtype, over_layers: &mut [f32], over_tokens: &mut [f32]) {
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
            let (own, others) = std::mem::take(&mut rest).split_at_mut((pair[1] - pair[0]) * hidden);
            rest = others;
            (&rows[pair[0]..pair[1]], own)
        })
        .collect();
    by_sequence.into_par_iter().zip(over_tokens.par_chunks_mut(size)).for_each(|((rows, token_means), layer_means)| {
        layer_means.fill(0.0);
        for (row, token_mean) in rows.iter().zip(token_means.chunks_exact_mut(hidden)) {
            add_row(dtype, row, token_mean, layer_means);
        }
        #[expect(clippy::cast_precision_loss, reason = "a sequence has a few hundred tokens")]
        let scale = 1.0 / rows.len().max(1) as f32;
        for value in layer_means {
            *value *= scale;
        }
    });
}

/// `sums [tokens, hidden]` = sum over layers of `weights [tokens, layers]` times the rows `[layers, hidden]`.
///
/// # Panics
/// The slices do not fit one another.
pub fn weighted_sums(rows: &[&[u8]], dtype: StoreDtype, weights: &[f32], sums: &mut [f32]) {
    let (layers, hidden) = (weights.len() / rows.len().max(1), sums.len() / rows.len().max(1));
    if layers == 0 || hidden == 0 {
        sums.fill(0.0);
        return;
    }
    rows.par_iter()
        .with_min_len(TOKENS_AT_ONCE)
        .zip(weights.par_chunks_exact(layers))
        .zip(sums.par_chunks_exact_mut(hidden))
        .for_each(|((row, weights), sum)| weigh_row(dtype, row, weights, sum));
}

/// The gradient of [`weighted_sums`] by its weights: `gradient [tokens, layers]` = products of the gradient by the
/// sums `[tokens, hidden]` with each layer of the rows.
///
/// # Panics
/// The slices do not fit one another.
pub fn weight_gradients(rows: &[&[u8]], dtype: StoreDtype, by_sums: &[f32], gradient: &mut [f32]) {
    let (layers, hidden) = (gradient.len() / rows.len().max(1), by_sums.len() / rows.len().max(1));
    if layers == 0 || hidden == 0 {
        gradient.fill(0.0);
        return;
    }
    rows.par_iter()
        .with_min_len(TOKENS_AT_ONCE)
        .zip(by_sums.par_chunks_exact(hidden))
        .zip(gradient.par_chunks_exact_mut(layers))
        .for_each(|((row, by_sum), gradient)| project_row(dtype, row, by_sum, gradient));
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
    let layer_bytes = hidden * dtype.bytes();
    rows.par_iter()
        .with_min_len(TOKENS_AT_ONCE)
        .zip(values.par_chunks_exact_mut(chosen.len() * hidden))
        .for_each(|(row, values)| {
            for (layer, values) in chosen.iter().zip(values.chunks_exact_mut(hidden)) {
                widen(dtype, &row[layer * layer_bytes..(layer + 1) * layer_bytes], values);
            }
        });
}

#[cfg(test)]
mod tests;
