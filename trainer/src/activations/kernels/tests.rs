//! The kernels against plain loops in float64.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "the numbers are small"
)]

use half::{bf16, f16};
use proptest::prelude::*;

use super::*;

/// Sequences of any lengths, sizes that fill vectors and that do not, in every number format.
#[derive(Debug, Clone)]
struct Case {
    dtype: StoreDtype,
    offsets: Vec<usize>,
    layers: usize,
    hidden: usize,
    bytes: Vec<u8>,
    /// What `bytes` say.
    values: Vec<f64>,
}

impl Case {
    fn new(
        dtype: StoreDtype,
        lengths: &[usize],
        (layers, hidden): (usize, usize),
        seed: u32,
    ) -> Self {
        let mut offsets = vec![0];
        for length in lengths {
            offsets.push(offsets[offsets.len() - 1] + length);
        }
        let (mut bytes, mut values, mut state) = (Vec::new(), Vec::new(), seed);
        let mut vector = Vec::new();
        for _ in 0..offsets[lengths.len()] * layers * hidden {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Mostly about 1, a few huge, tiny (subnormal in float16) and zero.
            let value = (f64::from(state >> 8) / f64::from(1_u32 << 23) - 1.0) as f32;
            let value = value * [1.0, 1.0, 1.0, 1000.0, 1e-6, 0.0][(state >> 4) as usize % 6];
            match dtype {
                StoreDtype::F32 => {
                    bytes.extend(value.to_le_bytes());
                    values.push(f64::from(value));
                }
                StoreDtype::F16 => {
                    bytes.extend(f16::from_f32(value).to_le_bytes());
                    values.push(f16::from_f32(value).to_f64());
                }
                StoreDtype::I8 => {
                    let step = (value * 100.0) as i8;
                    bytes.extend(step.to_le_bytes());
                    values.push(f64::from(f32::from(step) * 0.01));
                    if values.len() % hidden == 0 {
                        bytes.extend(0.01_f32.to_le_bytes());
                    }
                }
                StoreDtype::I4 => {
                    vector.push(value);
                    if vector.len() == hidden {
                        let mut stored = vec![0; dtype.vector_bytes(hidden)];
                        let mut statistics = cache::LayerStatistics::default();
                        cache::rows::encode(dtype, 0, &vector, &mut stored, &mut statistics)
                            .unwrap();
                        values.extend(turned_back(&stored, hidden));
                        bytes.append(&mut stored);
                        vector.clear();
                    }
                }
                StoreDtype::Bf16 => {
                    bytes.extend(bf16::from_f32(value).to_le_bytes());
                    values.push(bf16::from_f32(value).to_f64());
                }
            }
        }
        Self {
            dtype,
            offsets,
            layers,
            hidden,
            bytes,
            values,
        }
    }

    fn tokens(&self) -> usize {
        self.offsets[self.offsets.len() - 1]
    }

    fn rows(&self) -> Vec<&[u8]> {
        self.bytes
            .chunks_exact(self.layers * self.dtype.vector_bytes(self.hidden))
            .collect()
    }

    fn value(&self, token: usize, layer: usize, column: usize) -> f64 {
        self.values[(token * self.layers + layer) * self.hidden + column]
    }

    /// The length of a vector that is stored rotated, and is rounded as a whole; 0 for the others.
    fn length(&self, token: usize, layer: usize) -> f64 {
        if self.dtype != StoreDtype::I4 {
            return 0.0;
        }
        let values = (0..self.hidden).map(|column| self.value(token, layer, column).powi(2));
        values.sum::<f64>().sqrt()
    }

    /// Numbers between -1 and 1.
    fn numbers(count: usize) -> Vec<f32> {
        (0..count)
            .map(|place| ((place * 37 % 101) as f32 - 50.0) / 50.0)
            .collect()
    }

    fn check(&self) {
        self.check_means();
        self.check_sums();
        self.check_gradients();
        self.check_gather();
    }

    fn check_means(&self) {
        let mut over_layers = vec![f32::NAN; self.tokens() * self.hidden];
        let mut over_tokens = vec![f32::NAN; (self.offsets.len() - 1) * self.layers * self.hidden];
        means(
            &self.rows(),
            &self.offsets,
            self.dtype,
            &mut over_layers,
            &mut over_tokens,
        );
        for token in 0..self.tokens() {
            for column in 0..self.hidden {
                let terms = (0..self.layers).map(|layer| self.value(token, layer, column));
                let lengths = (0..self.layers).map(|layer| self.length(token, layer));
                close(
                    over_layers[token * self.hidden + column],
                    terms,
                    1.0 / self.layers as f64,
                    lengths.sum(),
                );
            }
        }
        for (sequence, pair) in self.offsets.windows(2).enumerate() {
            for layer in 0..self.layers {
                for column in 0..self.hidden {
                    let got = over_tokens[(sequence * self.layers + layer) * self.hidden + column];
                    let terms = (pair[0]..pair[1]).map(|token| self.value(token, layer, column));
                    let lengths = (pair[0]..pair[1]).map(|token| self.length(token, layer));
                    let share = 1.0 / (pair[1] - pair[0]).max(1) as f64;
                    close(got, terms, share, lengths.sum());
                }
            }
        }
    }

    fn check_sums(&self) {
        let weights = Self::numbers(self.tokens() * self.layers);
        let mut sums = vec![f32::NAN; self.tokens() * self.hidden];
        weighted_sums(&self.rows(), self.dtype, &weights, &mut sums);
        for token in 0..self.tokens() {
            for column in 0..self.hidden {
                let terms = (0..self.layers).map(|layer| {
                    f64::from(weights[token * self.layers + layer])
                        * self.value(token, layer, column)
                });
                let lengths = (0..self.layers).map(|layer| self.length(token, layer));
                close(
                    sums[token * self.hidden + column],
                    terms,
                    1.0,
                    lengths.sum(),
                );
            }
        }
    }

    fn check_gradients(&self) {
        let by_sums = Self::numbers(self.tokens() * self.hidden);
        let mut gradient = vec![f32::NAN; self.tokens() * self.layers];
        weight_gradients(&self.rows(), self.dtype, &by_sums, &mut gradient);
        for token in 0..self.tokens() {
            for layer in 0..self.layers {
                let terms = (0..self.hidden).map(|column| {
                    f64::from(by_sums[token * self.hidden + column])
                        * self.value(token, layer, column)
                });
                let own = &by_sums[token * self.hidden..(token + 1) * self.hidden];
                let squares = own.iter().map(|number| f64::from(*number).powi(2));
                let lengths = squares.sum::<f64>().sqrt() * self.length(token, layer);
                close(gradient[token * self.layers + layer], terms, 1.0, lengths);
            }
        }
    }

    fn check_gather(&self) {
        let chosen: Vec<usize> = (0..self.layers).rev().step_by(2).collect();
        let mut values = vec![f32::NAN; self.tokens() * chosen.len() * self.hidden];
        gather(&self.rows(), self.dtype, &chosen, &mut values);
        for token in 0..self.tokens() {
            for (place, &layer) in chosen.iter().enumerate() {
                for column in 0..self.hidden {
                    let got = values[(token * chosen.len() + place) * self.hidden + column];
                    let value = self.value(token, layer, column);
                    if self.dtype == StoreDtype::I4 {
                        let length = self.length(token, layer);
                        close(got, std::iter::once(value), 1.0, length);
                    } else {
                        assert_eq!(f64::from(got), value);
                    }
                }
            }
        }
    }
}

/// The values of an int4 vector, by the matrix of the transform in float64.
fn turned_back(stored: &[u8], hidden: usize) -> Vec<f64> {
    let (packed, scale) = stored.split_at(hidden.div_ceil(2));
    let scale = f64::from(f32::from_le_bytes(scale.try_into().unwrap()));
    let level = |place: usize| {
        let number = packed[place / 2] >> (4 * (place % 2)) & 15;
        (f64::from(number) - 7.5) * scale
    };
    let (block, signs) = (rotation::block(hidden), rotation::signs(hidden));
    let value = |place: usize| {
        let (first, row) = (place / block * block, place % block);
        let terms = (0..block).map(|column| match (row & column).count_ones() % 2 {
            0 => level(first + column),
            _ => -level(first + column),
        });
        terms.sum::<f64>() / (block as f64).sqrt() * f64::from(signs[place])
    };
    (0..hidden).map(value).collect()
}

/// Equal up to float32's rounding of a sum of these terms, and of rotations of vectors of these `lengths`.
fn close(got: f32, terms: impl Iterator<Item = f64>, scale: f64, lengths: f64) {
    let (mut sum, mut size, mut count) = (0.0, 0.0, 0.0);
    for term in terms {
        sum += term;
        size += term.abs();
        count += 1.0;
    }
    let allowed = scale * (size + lengths) * f64::from(f32::EPSILON) * (count + 2.0)
        + 8.0 * scale * lengths * f64::from(f32::EPSILON);
    let difference = (f64::from(got) - scale * sum).abs();
    assert!(
        difference <= allowed,
        "{got} for {}: {difference} > {allowed}",
        scale * sum
    );
}

const DTYPES: [StoreDtype; 5] = [
    StoreDtype::F16,
    StoreDtype::F32,
    StoreDtype::Bf16,
    StoreDtype::I8,
    StoreDtype::I4,
];

#[test]
fn sums_of_a_real_size_are_right() {
    for dtype in DTYPES {
        Case::new(dtype, &[3, 1, 17, 0, 5], (13, 768), 1).check();
    }
}

#[test]
fn nothing_gives_nothing() {
    for dtype in DTYPES {
        Case::new(dtype, &[0], (3, 32), 1).check();
        Case::new(dtype, &[0, 0, 2, 0], (3, 32), 1).check();
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for dtype in DTYPES {
        same_on_any_threads(&Case::new(dtype, &[40, 1, 25, 33, 7], (7, 100), 3));
    }
}

fn same_on_any_threads(case: &Case) {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let mut over_layers = vec![0.0; case.tokens() * case.hidden];
            let mut over_tokens = vec![0.0; 5 * case.layers * case.hidden];
            means(
                &case.rows(),
                &case.offsets,
                case.dtype,
                &mut over_layers,
                &mut over_tokens,
            );
            let mut gradient = vec![0.0; case.tokens() * case.layers];
            weight_gradients(&case.rows(), case.dtype, &over_layers, &mut gradient);
            let mut sums = vec![0.0; case.tokens() * case.hidden];
            weighted_sums(&case.rows(), case.dtype, &gradient, &mut sums);
            let mut values = vec![0.0; case.tokens() * 2 * case.hidden];
            gather(&case.rows(), case.dtype, &[6, 1], &mut values);
            [over_layers, over_tokens, gradient, sums, values]
                .concat()
                .iter()
                .map(|value| value.to_bits())
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(5));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sums_of_any_shape_are_right(
        lengths in prop::collection::vec(0_usize..12, 1..6),
        layers in 1_usize..6,
        hidden in 1_usize..70,
        dtype in prop::sample::select(DTYPES.to_vec()),
        seed in any::<u32>(),
    ) {
        Case::new(dtype, &lengths, (layers, hidden), seed).check();
    }
}
