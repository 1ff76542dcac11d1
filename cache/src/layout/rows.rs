//! From the encoder's float32 to the bytes of a row, with the statistics that show a broken encoder at a glance.

use std::fmt;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::int4;
pub use super::int4::unpack as unpack_int4;
use crate::{LayerStatistics, StoreDtype};

/// A value that the store cannot keep: too large for its number format, or not finite at all.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub struct Overflow {
    /// Position of the layer in the manifest's list of layers.
    pub layer: usize,
    /// The value the encoder gave.
    pub value: f32,
    /// The number format of the store.
    pub dtype: StoreDtype,
}

impl fmt::Display for Overflow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            layer,
            value,
            dtype,
        } = self;
        if value.is_finite() {
            let remedy = "store bfloat16 or float32 instead (--store-dtype bf16|f32)";
            write!(
                formatter,
                "{value} in layer {layer} is too large for {dtype}: {remedy}"
            )
        } else {
            write!(
                formatter,
                "the encoder gave {value} in layer {layer}: its weights or its input are broken"
            )
        }
    }
}

/// Converts the values `[hidden]` of one layer of one token into the bytes of a row and counts them.
///
/// `layer` is the position in the manifest's list of layers, for the message; `out` has room for exactly the
/// values in `dtype`.
///
/// # Errors
/// [`Overflow`] for a value that is not finite, or that would become infinite in `dtype`.
///
/// # Panics
/// If `out` has another length than `dtype.vector_bytes(values.len())`.
pub fn encode(
    dtype: StoreDtype,
    layer: usize,
    values: &[f32],
    out: &mut [u8],
    stats: &mut LayerStatistics,
) -> Result<(), Overflow> {
    assert_eq!(
        out.len(),
        dtype.vector_bytes(values.len()),
        "room for {} values in {dtype}",
        values.len()
    );
    if let Some(value) = stats.add(values, limit(dtype)) {
        return Err(Overflow {
            layer,
            value,
            dtype,
        });
    }
    match dtype {
        StoreDtype::F32 => out.copy_from_slice(bytemuck::cast_slice(values)),
        StoreDtype::F16 => match bytemuck::try_cast_slice_mut::<u8, f16>(out) {
            Ok(out) => out.convert_from_f32_slice(values),
            Err(_) => put(out, values, |value| f16::from_f32(value).to_le_bytes()),
        },
        StoreDtype::Bf16 => match bytemuck::try_cast_slice_mut::<u8, bf16>(out) {
            Ok(out) => out.convert_from_f32_slice(values),
            Err(_) => put(out, values, |value| bf16::from_f32(value).to_le_bytes()),
        },
        StoreDtype::I8 => quantise(values, out),
        StoreDtype::I4 => stats.add_error(int4::encode(values, out)),
    }
    Ok(())
}

/// Counts the values `[hidden]` of one layer of one token that were converted elsewhere, by what is
/// known of them before they were rounded: smallest and largest, and the sum of their sizes. False,
/// and nothing is counted, if one of them is not finite or does not fit into `dtype`: [`encode`]
/// tells which.
#[must_use]
pub fn count(
    dtype: StoreDtype,
    hidden: usize,
    range: [f32; 2],
    absolute: f32,
    stats: &mut LayerStatistics,
) -> bool {
    // A comparison with NaN is false.
    let fits = absolute.is_finite() && range.iter().all(|value| value.abs() < limit(dtype));
    if fits && hidden > 0 {
        stats.add_known(hidden as u64, range, f64::from(absolute));
    }
    fits
}

/// The largest size becomes 127, and everything else the nearest of the 255 steps.
fn quantise(values: &[f32], out: &mut [u8]) {
    let largest = values
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let scale = largest / STEPS;
    let (numbers, rest) = out.split_at_mut(values.len());
    for (number, value) in numbers.iter_mut().zip(values) {
        // A vector of zeros, or of numbers so small that the scale is one.
        let steps = if scale > 0.0 { value / scale } else { 0.0 };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "between -127 and 127, and `as` would stay in bounds"
        )]
        let step = steps.round_ties_even().clamp(-STEPS, STEPS) as i8;
        *number = step.to_le_bytes()[0];
    }
    rest.copy_from_slice(&scale.to_le_bytes());
}

/// Brings stored vectors from one number format into another.
#[derive(Debug)]
pub struct Recoder {
    from: StoreDtype,
    to: StoreDtype,
    /// `[hidden]`
    values: Vec<f32>,
}

impl Recoder {
    /// For vectors of `hidden` values.
    #[must_use]
    pub fn new(from: StoreDtype, to: StoreDtype, hidden: usize) -> Self {
        Self {
            from,
            to,
            values: vec![0.0; hidden],
        }
    }

    /// Converts the stored vector of one layer of one token and counts its values; bytes of the same
    /// format stay as they are. `error` is what is known of the rounding of such vectors of the
    /// source, and is kept with these.
    ///
    /// # Errors
    /// [`Overflow`] as for [`encode`].
    ///
    /// # Panics
    /// If `stored` or `out` are not of the length of a vector.
    pub fn recode(
        &mut self,
        layer: usize,
        stored: &[u8],
        out: &mut [u8],
        error: Option<f64>,
        stats: &mut LayerStatistics,
    ) -> Result<(), Overflow> {
        decode(self.from, self.values.len(), stored, &mut self.values);
        if self.from != self.to {
            return encode(self.to, layer, &self.values, out, stats);
        }
        out.copy_from_slice(stored);
        stats.add(&self.values, f32::INFINITY);
        if let Some(error) = error {
            stats.add_error(error * error);
        }
        Ok(())
    }
}

/// Steps on each side of zero of an int8 vector.
pub(crate) const STEPS: f32 = 127.0;

/// Converts stored vectors `[hidden]` to float32; `out` has room for exactly them.
pub(crate) fn decode(dtype: StoreDtype, hidden: usize, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        StoreDtype::F32 => bytemuck::cast_slice_mut::<f32, u8>(out).copy_from_slice(bytes),
        StoreDtype::F16 => match bytemuck::try_cast_slice::<u8, f16>(bytes) {
            Ok(values) => values.convert_to_f32_slice(out),
            Err(_) => get(bytes, out, |pair| f16::from_le_bytes(pair).to_f32()),
        },
        StoreDtype::Bf16 => match bytemuck::try_cast_slice::<u8, bf16>(bytes) {
            Ok(values) => values.convert_to_f32_slice(out),
            Err(_) => get(bytes, out, |pair| bf16::from_le_bytes(pair).to_f32()),
        },
        StoreDtype::I8 => {
            let vectors = bytes.chunks_exact(dtype.vector_bytes(hidden));
            for (vector, out) in vectors.zip(out.chunks_exact_mut(hidden)) {
                let (numbers, scale) = vector.split_at(hidden);
                let scale = scale.try_into().map_or(0.0, f32::from_le_bytes);
                for (out, &number) in out.iter_mut().zip(numbers) {
                    *out = f32::from(i8::from_le_bytes([number])) * scale;
                }
            }
        }
        StoreDtype::I4 => {
            let vectors = bytes.chunks_exact(dtype.vector_bytes(hidden));
            for (vector, out) in vectors.zip(out.chunks_exact_mut(hidden)) {
                int4::decode(vector, out);
            }
        }
    }
}

/// The value as it comes back from the store; of an int8 or int4 vector, whose other values decide, the value itself.
pub(crate) fn rounded(dtype: StoreDtype, value: f32) -> f32 {
    match dtype {
        StoreDtype::F32 | StoreDtype::I8 | StoreDtype::I4 => value,
        StoreDtype::F16 => f16::from_f32(value).to_f32(),
        StoreDtype::Bf16 => bf16::from_f32(value).to_f32(),
    }
}

/// The smallest size that rounds to infinity.
fn limit(dtype: StoreDtype) -> f32 {
    match dtype {
        // Half a unit in the last place above the largest value, 65504.
        StoreDtype::F16 => 65520.0,
        StoreDtype::Bf16 => f32::from_bits(0x7f7f_8000),
        StoreDtype::F32 | StoreDtype::I8 => f32::INFINITY,
        StoreDtype::I4 => int4::LIMIT,
    }
}

fn put(out: &mut [u8], values: &[f32], convert: impl Fn(f32) -> [u8; 2]) {
    for (out, &value) in out.chunks_exact_mut(2).zip(values) {
        out.copy_from_slice(&convert(value));
    }
}

fn get(bytes: &[u8], out: &mut [f32], convert: impl Fn([u8; 2]) -> f32) {
    for (pair, out) in bytes.chunks_exact(2).zip(out) {
        *out = convert([pair[0], pair[1]]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(dtype: StoreDtype, values: &[f32]) -> Result<Vec<u8>, Overflow> {
        let mut out = vec![0; dtype.vector_bytes(values.len())];
        encode(dtype, 3, values, &mut out, &mut LayerStatistics::default())?;
        Ok(out)
    }

    #[test]
    fn known_values_have_their_known_bits() {
        // IEEE 754: 1 is 0x3c00, -2 is 0xc000, 65504 is 0x7bff, the smallest subnormal 2^-24 is 1.
        let values = [1.0, -2.0, 65504.0, 2.0_f32.powi(-24), 0.0];
        let halves: Vec<u8> = [0x3c00_u16, 0xc000, 0x7bff, 1, 0]
            .into_iter()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(bytes_of(StoreDtype::F16, &values).unwrap(), halves);
        let brains: Vec<u8> = [0x3f80_u16, 0xc000]
            .into_iter()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(bytes_of(StoreDtype::Bf16, &values[..2]).unwrap(), brains);
    }

    #[test]
    fn the_smallest_value_that_becomes_infinite_is_an_overflow() {
        let below = f32::from_bits(65520.0_f32.to_bits() - 1);
        assert!(bytes_of(StoreDtype::F16, &[below, -below]).is_ok());
        let error = bytes_of(StoreDtype::F16, &[0.5, -65520.0]).unwrap_err();
        assert_eq!((error.layer, error.value), (3, -65520.0));
        assert!(
            error.to_string().contains("--store-dtype bf16|f32"),
            "{error}"
        );
        assert!(bytes_of(StoreDtype::Bf16, &[65520.0]).is_ok());
        assert!(bytes_of(StoreDtype::Bf16, &[f32::MAX]).is_err());
        assert!(bytes_of(StoreDtype::F32, &[f32::MAX]).is_ok());
    }

    #[test]
    fn what_was_converted_elsewhere_counts_the_same() {
        let values: Vec<f32> = (0..64_u8).map(|step| f32::from(step) - 20.25).collect();
        let (mut own, mut elsewhere) = (LayerStatistics::default(), LayerStatistics::default());
        let mut out = vec![0; 128];
        encode(StoreDtype::F16, 0, &values, &mut out, &mut own).unwrap();
        let absolute = values.iter().map(|value| value.abs()).sum();
        let range = [-20.25, 42.75];
        assert!(count(StoreDtype::F16, 64, range, absolute, &mut elsewhere));
        assert_eq!(own, elsewhere);
        for (range, absolute) in [
            ([f32::NAN, 1.0], 1.0),
            ([0.0, f32::NAN], 1.0),
            ([0.0, 1.0], f32::NAN),
            ([0.0, 1.0], f32::INFINITY),
            ([-65520.0, 1.0], 65521.0),
        ] {
            assert!(!count(StoreDtype::F16, 2, range, absolute, &mut elsewhere));
        }
        assert_eq!(own, elsewhere);
        assert!(count(
            StoreDtype::Bf16,
            2,
            [-65520.0, 1.0],
            65521.0,
            &mut elsewhere
        ));
    }

    #[test]
    fn an_int8_vector_is_its_steps_and_their_size() {
        let bytes = bytes_of(StoreDtype::I8, &[254.0, -127.0, 1.0, 3.0, -0.9, 0.0]).unwrap();
        // The step is 2; 1 and 3 are halfway and go to the even step.
        assert_eq!(bytes[..6], [127_i8, -64, 0, 2, 0, 0].map(i8::cast_unsigned));
        assert_eq!(bytes[6..], 2.0_f32.to_le_bytes());
        assert_eq!(bytes_of(StoreDtype::I8, &[0.0, -0.0]).unwrap(), [0; 6]);
        // What is smaller than any step.
        assert_eq!(bytes_of(StoreDtype::I8, &[1e-45]).unwrap(), [0; 5]);
        assert!(bytes_of(StoreDtype::I8, &[f32::MAX, f32::MIN]).is_ok());
    }

    #[test]
    fn an_int8_value_comes_back_within_half_a_step() {
        let vectors: Vec<f32> = (0..300_u16)
            .map(|value| f32::from(value).sin() * 7.0)
            .collect();
        let (mut bytes, mut back) = (Vec::new(), vec![0.0; 300]);
        for vector in vectors.chunks(100) {
            bytes.extend(bytes_of(StoreDtype::I8, vector).unwrap());
        }
        decode(StoreDtype::I8, 100, &bytes, &mut back);
        for (value, back) in vectors.iter().zip(&back) {
            assert!(
                (value - back).abs() <= 7.0 / 254.0 * 1.000_01,
                "{value} {back}"
            );
        }
    }

    #[test]
    fn values_that_are_not_finite_are_an_error_in_every_format() {
        for dtype in [
            StoreDtype::F16,
            StoreDtype::F32,
            StoreDtype::Bf16,
            StoreDtype::I8,
            StoreDtype::I4,
        ] {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut values = vec![0.25; 37];
                values[20] = value;
                let error = bytes_of(dtype, &values).unwrap_err();
                assert_eq!(error.value.to_bits(), value.to_bits());
            }
        }
    }
}
