//! Vectors against bytes of an independent implementation, and the bounds of the error.

#![allow(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "the numbers are small"
)]

use proptest::prelude::*;

use super::*;
use crate::StoreDtype;

fn encoded(values: &[f32]) -> (Vec<u8>, f64) {
    let mut bytes = vec![0xff; StoreDtype::I4.vector_bytes(values.len())];
    let error = encode(values, &mut bytes);
    (bytes, error)
}

fn decoded(bytes: &[u8], hidden: usize) -> Vec<f32> {
    let mut values = vec![f32::NAN; hidden];
    decode(bytes, &mut values);
    values
}

/// Eighths from -6.25 to 6.25, one of them nine times as large; exact in float32.
fn sample(hidden: u16, square: u16) -> Vec<f32> {
    (0..hidden)
        .map(|place| {
            let number =
                (u32::from(place) * 37 + u32::from(place).pow(2) * u32::from(square)) % 101;
            let value = (f32::from(u16::try_from(number).unwrap()) - 50.0) / 8.0;
            if place == 3 { value * 9.0 } else { value }
        })
        .collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from_digit(digit.into(), 16).unwrap())
        .collect()
}

/// What numpy gives, written from `docs/format.md` alone.
#[test]
fn bytes_are_those_of_another_implementation() {
    for (hidden, expected, error) in [
        (5, "89f7070000c040", 0.007_873_298_733_242_074),
        (6, "890e87c2d09040", 0.001_827_326_182_573_973_2),
        (8, "2df32fd33b223340", 0.001_219_301_973_362_877_8),
        (
            24,
            "2df32fd368766696757996663b223340",
            0.004_468_759_269_932_215,
        ),
        (
            40,
            "2df32fd3687666967579966676797857a77775873b223340",
            0.006_339_506_691_938_015_5,
        ),
    ] {
        let (bytes, found) = encoded(&sample(hidden, 0));
        assert_eq!(hexadecimal(&bytes), expected, "{hidden}");
        assert!((found - error).abs() < 1e-15, "{hidden}: {found} {error}");
    }
    let (bytes, found) = encoded(&sample(384, 11));
    assert_eq!(hexadecimal(&bytes[..8]), "29b448d35ee97d76");
    assert_eq!(hexadecimal(&bytes[192..]), "30c0c33f");
    assert!((found - 0.013_833_930_252_912_954).abs() < 1e-15);
}

#[test]
fn zeros_and_what_is_as_small_are_zeros() {
    for values in [[0.0; 6], [-0.0; 6], [1e-31; 6], [f32::from_bits(1); 6]] {
        let (bytes, error) = encoded(&values);
        assert_eq!((bytes.as_slice(), error), ([0; 7].as_slice(), 0.0));
        assert!(decoded(&bytes, 6).iter().all(|&value| value == 0.0));
    }
    assert_ne!(encoded(&[1e-29; 6]).0, [0; 7]);
}

#[test]
fn the_largest_values_fit_and_larger_ones_do_not() {
    let below = f32::from_bits(LIMIT.to_bits() - 1);
    let values = [below; 1024];
    let (bytes, error) = encoded(&values);
    assert!(error.is_finite());
    let back = decoded(&bytes, 1024);
    assert!(back.iter().all(|value| (value / below - 1.0).abs() < 1.5));
    let mut out = vec![0; 6];
    let mut count = |values: &[f32]| {
        let mut statistics = crate::LayerStatistics::default();
        crate::rows::encode(StoreDtype::I4, 0, values, &mut out, &mut statistics)
    };
    assert!(count(&[below, 0.0, 0.0]).is_ok());
    let error = count(&[0.0, -LIMIT, 0.0]).unwrap_err();
    assert!(error.to_string().contains("too large for int4"), "{error}");
}

/// About normal numbers, with a few far larger ones, as hidden states have them.
#[test]
fn the_error_of_normal_numbers_is_that_of_sixteen_levels() {
    let mut state = 1_u32;
    let mut uniform = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 24)
    };
    for hidden in [384_u16, 768, 1024] {
        let (mut sum, vectors) = (0.0, 40);
        for _ in 0..vectors {
            let values: Vec<f32> = (0..hidden)
                .map(|place| {
                    let normal = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
                    #[expect(clippy::cast_possible_truncation, reason = "about 1")]
                    let value = normal as f32;
                    if place % 191 == 7 {
                        value * 20.0
                    } else {
                        value
                    }
                })
                .collect();
            let (bytes, squared) = encoded(&values);
            let back = decoded(&bytes, hidden.into());
            assert!((squared - relative(&values, &back)).abs() < 1e-5);
            sum += squared;
        }
        let error = (sum / f64::from(vectors)).sqrt();
        assert!((0.09..0.12).contains(&error), "{hidden}: {error}");
    }
}

/// The square of the length of the difference over that of the vector.
fn relative(values: &[f32], back: &[f32]) -> f64 {
    let squares =
        |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let apart = values.iter().zip(back);
    let apart = squares(&mut apart.map(|(&one, &other)| f64::from(one) - f64::from(other)));
    apart / squares(&mut values.iter().map(|&value| f64::from(value)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// No number is further away than half a step of the widest scale, all together.
    #[test]
    fn the_error_is_the_stated_one_and_within_its_bound(
        values in prop::collection::vec(-1e3_f32..1e3, 1..200),
        exponent in -60_i32..60,
    ) {
        let factor = 2.0_f32.powi(exponent);
        let values: Vec<f32> = values.iter().map(|value| value * factor).collect();
        let (bytes, squared) = encoded(&values);
        let back = decoded(&bytes, values.len());
        if bytes.iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        prop_assert!((squared - relative(&values, &back)).abs() < 1e-4 * squared.max(1e-6), "{}", squared);
        let mut rotated = values.clone();
        rotate(&mut rotated);
        let most = f64::from(largest(&rotated));
        let squares: f64 = rotated.iter().map(|&number| f64::from(number).powi(2)).sum();
        let bound = (most / 15.0).powi(2) * rotated.len() as f64 / squares;
        prop_assert!(squared <= bound * 1.000_1, "{} {}", squared, bound);
    }

    #[test]
    fn numbers_are_unpacked_low_half_first(
        numbers in prop::collection::vec(0_u8..16, 1..70),
        scale in 0.01_f32..100.0,
    ) {
        let hidden = numbers.len();
        let mut bytes: Vec<u8> = numbers.chunks(2).map(|pair| pair[0] | pair.get(1).unwrap_or(&0) << 4).collect();
        bytes.extend(scale.to_le_bytes());
        let mut out = vec![f32::NAN; hidden];
        unpack(&bytes, &mut out);
        for (&number, value) in numbers.iter().zip(out) {
            prop_assert_eq!(value, (f32::from(number) - 7.5) * scale);
        }
    }
}
