//! The rotation of int4 vectors. A vector has a few values far larger than the others, which would set the
//! steps for all of them; rotated, each number is a sum of many values, and all are of about one size. The
//! rotation is fixed signs, then an orthonormal Walsh-Hadamard transform, which costs additions only.
//! `docs/format.md` (5.5) is the normative text.

use shared::vectorised;

/// Seed of the generator of the signs, and its increment (`SplitMix64`).
const SEED: u64 = 0;
const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

/// Numbers that are transformed within registers.
const WIDTH: usize = 16;

/// Numbers of a block that is transformed by itself: the largest power of two that divides `hidden`.
#[must_use]
pub const fn block(hidden: usize) -> usize {
    if hidden == 0 {
        1
    } else {
        1 << hidden.trailing_zeros()
    }
}

/// The signs of a vector `[hidden]`, 1 or -1.
#[must_use]
pub fn signs(hidden: usize) -> Vec<f32> {
    let mut signs = vec![1.0; hidden];
    change_signs(&mut signs);
    signs
}

/// Rotates `values [hidden]`: signs, then the transform.
pub fn rotate(values: &mut [f32]) {
    change_signs(values);
    transform(values);
}

/// Turns rotated numbers `[hidden]` back: the transform, which is its own inverse, then signs.
pub fn unrotate(values: &mut [f32]) {
    transform(values);
    change_signs(values);
}

/// Output `index` of the generator.
const fn random(index: u64) -> u64 {
    let state = SEED.wrapping_add(INCREMENT.wrapping_mul(index + 1));
    let state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ state >> 31
}

vectorised! {
    /// Number i changes its sign where bit `i % 64` of output `i / 64` of the generator is 1.
    fn change_signs(values: &mut [f32]) {
        for (index, values) in (0..).zip(values.chunks_mut(64)) {
            let bits = random(index);
            for (half, values) in values.chunks_mut(32).enumerate() {
                #[expect(clippy::cast_possible_truncation, reason = "a half at a time")]
                let bits = (bits >> (32 * half)) as u32;
                if let Ok(values) = <&mut [f32; 32]>::try_from(&mut *values) {
                    // Its address is hidden as in `transform`.
                    let values = std::hint::black_box(values);
                    for (place, value) in values.iter_mut().enumerate() {
                        *value = changed(*value, bits >> place);
                    }
                    continue;
                }
                for (place, value) in values.iter_mut().enumerate() {
                    *value = changed(*value, bits >> place);
                }
            }
        }
    }
}

/// The number with another sign where the lowest bit is 1.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "compiled with the CPU features of its caller"
)]
const fn changed(value: f32, bit: u32) -> f32 {
    f32::from_bits(value.to_bits() ^ bit << 31)
}

vectorised! {
    /// The orthonormal transform of each block, strides from the smallest to the largest.
    fn transform(values: &mut [f32]) {
        let size = block(values.len());
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a power of two")]
        let factor = (1.0 / (size as f64).sqrt()) as f32;
        for values in values.chunks_exact_mut(size) {
            let mut stride = 1;
            if size >= WIDTH {
                for values in values.as_chunks_mut::<WIDTH>().0 {
                    // With the address hidden, the compiler works on these numbers in registers, and not
                    // on places of many blocks by gathering and scattering, which takes twice as long.
                    let values = std::hint::black_box(values);
                    *values = pairs::<8>(pairs::<4>(pairs::<2>(pairs::<1>(*values))));
                }
                stride = WIDTH;
            }
            while stride < size {
                for values in values.chunks_exact_mut(2 * stride) {
                    let (ones, others) = values.split_at_mut(stride);
                    let ((ones, few), (others, others_few)) =
                        (ones.as_chunks_mut::<WIDTH>(), others.as_chunks_mut::<WIDTH>());
                    for (one, other) in ones.iter_mut().zip(others) {
                        let (first, second) = (*one, *other);
                        for place in 0..WIDTH {
                            one[place] = first[place] + second[place];
                        }
                        for place in 0..WIDTH {
                            other[place] = first[place] - second[place];
                        }
                    }
                    for (one, other) in few.iter_mut().zip(others_few) {
                        (*one, *other) = (*one + *other, *one - *other);
                    }
                }
                stride *= 2;
            }
            for value in values {
                *value *= factor;
            }
        }
    }
}

/// Sums and differences of the numbers that are `STRIDE` places apart.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "compiled with the CPU features of its caller"
)]
fn pairs<const STRIDE: usize>(values: [f32; WIDTH]) -> [f32; WIDTH] {
    let signed: [f32; WIDTH] = std::array::from_fn(|place| {
        f32::from_bits(values[place].to_bits() ^ minus(place & STRIDE))
    });
    std::array::from_fn(|place| values[place ^ STRIDE] + signed[place])
}

/// The sign of second numbers of pairs.
const fn minus(second: usize) -> u32 {
    if second == 0 { 0 } else { 1 << 31 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The first outputs of SplitMix64 (Steele, Lea and Flood 2014) with seed 0.
        let known = [
            0xe220_a839_7b1d_cdaf,
            0x6e78_9e6a_a1b9_65f4,
            0x06c4_5d18_8009_454f,
        ];
        assert_eq!([0, 1, 2].map(random), known);
        let signs = signs(130);
        // 0xaf is 10101111 in binary, and 0x4f is 01001111; bits count from the lowest.
        let minus: Vec<usize> = (0..8).filter(|&place| signs[place] < 0.0).collect();
        assert_eq!(minus, [0, 1, 2, 3, 5, 7]);
        assert_eq!(signs[128..], [-1.0, -1.0]);
    }

    #[test]
    fn blocks_are_powers_of_two_that_divide() {
        let sizes = [1, 2, 6, 7, 384, 768, 1024, 1600].map(block);
        assert_eq!(sizes, [1, 2, 2, 1, 128, 256, 1024, 64]);
    }

    /// Row i, column j of the Walsh-Hadamard matrix is -1 to the number of bits that i and j share.
    fn plainly(values: &[f32]) -> Vec<f64> {
        let (size, signs) = (block(values.len()), signs(values.len()));
        let number = |block: usize, row: usize| -> f64 {
            let terms = (0..size).map(|column| {
                let place = block * size + column;
                let odd = (row & column).count_ones() % 2 == 1;
                let value = f64::from(values[place] * signs[place]);
                if odd { -value } else { value }
            });
            terms.sum::<f64>() / (f64::from(u32::try_from(size).unwrap())).sqrt()
        };
        (0..values.len())
            .map(|place| number(place / size, place % size))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn numbers_are_those_of_the_matrix_and_come_back(
            exponent in 0_u32..8,
            odd in 0_usize..4,
            seed in any::<u32>(),
        ) {
            let hidden = (1 << exponent) * (2 * odd + 1);
            let mut state = seed;
            let values: Vec<f32> = (0..hidden).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                f32::from(u16::try_from(state >> 16).unwrap()) / 32768.0 - 1.0
            }).collect();
            let mut rotated = values.clone();
            rotate(&mut rotated);
            for (number, expected) in rotated.iter().zip(plainly(&values)) {
                prop_assert!((f64::from(*number) - expected).abs() < 2e-5, "{} {}", number, expected);
            }
            unrotate(&mut rotated);
            for (back, value) in rotated.iter().zip(&values) {
                prop_assert!((back - value).abs() < 2e-6, "{} {}", back, value);
            }
        }
    }
}
