//! int4 vectors on a device: two numbers a byte are taken apart and turned back by a few operations of libtorch for
//! all vectors of a batch. The transform of a block is a product with a matrix that is itself a product of two small
//! ones (a block of 1024 is 32 times 32), so that a number takes 64 multiplications and not 1024.

use cache::rotation;
use tch::{Device, Kind, TchError, Tensor};

use crate::activations::memory::{Shared, single, upload};

/// Levels are half-integers from minus this to this.
const LARGEST_LEVEL: f32 = 7.5;

/// What turns vectors of one hidden size back, on a device.
#[derive(Debug)]
pub(super) struct Rotation {
    /// `[hidden]`
    signs: Shared,
    /// `[order, order]` each; the product of their orders is a block.
    matrices: [Shared; 2],
}

impl Rotation {
    pub(super) fn new(hidden: usize, device: Device) -> Result<Self, TchError> {
        let exponent = rotation::block(hidden).trailing_zeros();
        let shared = |tensor: Result<Tensor, TchError>| -> Result<Shared, TchError> {
            Ok(Shared::new(upload(&tensor?, device)?))
        };
        Ok(Self {
            signs: shared(Tensor::f_from_slice(&rotation::signs(hidden)))?,
            matrices: [
                shared(matrix(1 << (exponent / 2)))?,
                shared(matrix(1 << (exponent - exponent / 2)))?,
            ],
        })
    }

    /// Stored vectors, uint8 `[tokens, layers, bytes]`, as float32 `[tokens, layers, hidden]`.
    pub(super) fn values(&self, stored: &Tensor) -> Result<Tensor, TchError> {
        let signs = self.signs.get();
        let (tokens, layers, bytes) = stored.size3()?;
        let packed = bytes - 4;
        let scales = stored.f_narrow(2, packed, 4)?.f_contiguous()?;
        let scales = scales.f_view_dtype(Kind::Float)?;
        let pairs = stored.f_narrow(2, 0, packed)?;
        let low = pairs.f_bitwise_and_tensor(&single(15_u8)?)?;
        let high = pairs.f_bitwise_right_shift(&single(4_u8)?)?;
        let numbers = Tensor::f_stack(&[low, high], -1)?;
        let numbers = numbers.f_view([tokens, layers, 2 * packed])?;
        let numbers = numbers.f_narrow(2, 0, signs.size()[0])?;
        let mut levels = numbers.f_to_kind(Kind::Float)?;
        levels = levels.f_sub_(&single(LARGEST_LEVEL)?)?;
        levels = levels.f_mul_(&scales)?;
        self.transformed(&levels)?.f_mul_(&signs)
    }

    /// The Walsh-Hadamard transform of each block of `levels [tokens, layers, hidden]`.
    fn transformed(&self, levels: &Tensor) -> Result<Tensor, TchError> {
        let [rows, columns] = [0, 1].map(|which: usize| self.matrices[which].get());
        let blocks = levels.f_reshape([-1, rows.size()[0], columns.size()[0]])?;
        rows.f_matmul(&blocks.f_matmul(&columns)?)?
            .f_view_as(levels)
    }
}

/// The orthonormal Walsh-Hadamard matrix `[order, order]`: row i, column j is -1 to the number of bits that i and j
/// share, over the root of the order.
fn matrix(order: i64) -> Result<Tensor, TchError> {
    let sign = |row: i64, column: i64| match (row & column).count_ones() % 2 {
        0 => 1.0,
        _ => -1.0,
    };
    let rows = (0..order).flat_map(|row| (0..order).map(move |column| (row, column)));
    let numbers: Vec<f64> = rows.map(|(row, column)| sign(row, column)).collect();
    #[expect(clippy::cast_precision_loss, reason = "a power of two")]
    let factor = 1.0 / (order as f64).sqrt();
    let matrix = Tensor::f_from_slice(&numbers)?.f_mul(&single(factor)?)?;
    matrix.f_to_kind(Kind::Float)?.f_view([order, order])
}

#[cfg(test)]
mod tests {
    use cache::StoreDtype;

    use super::*;
    use crate::activations::device::{Format, size, stored_kind};
    use crate::activations::{kernels, memory};

    /// Three tokens of two layers of any bytes, against the kernels that read the same bytes.
    #[test]
    fn stored_numbers_become_the_same_numbers() {
        for hidden in [1, 5, 6, 24, 96, 384, 1024] {
            let vector = StoreDtype::I4.vector_bytes(hidden);
            let mut bytes = Vec::new();
            for place in 0..6_u16 {
                let numbers =
                    (0..vector - 4).map(|byte| (byte * 91 + byte / 7 + usize::from(place)) % 256);
                bytes.extend(numbers.map(|byte| u8::try_from(byte).unwrap()));
                bytes.extend((0.01 + 0.003 * f32::from(place)).to_le_bytes());
            }
            let rows: Vec<&[u8]> = bytes.chunks_exact(2 * vector).collect();
            let mut expected = vec![0.0; 6 * hidden];
            kernels::gather(&rows, StoreDtype::I4, &[0, 1], &mut expected);

            let (kind, numbers) = stored_kind(StoreDtype::I4, hidden);
            let stored = Tensor::from_data_size(&bytes, &[3, 2, size(numbers)], kind);
            let widened = Format::new(StoreDtype::I4, hidden)
                .widened(&stored)
                .unwrap();
            assert_eq!(widened.size(), [3, 2, size(hidden)]);
            let got = memory::with_values(&widened, <[f32]>::to_vec).unwrap();
            for (got, expected) in got.iter().zip(&expected) {
                assert!((got - expected).abs() < 2e-6, "{hidden}: {got} {expected}");
            }
        }
    }
}
