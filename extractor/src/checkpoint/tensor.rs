//! One tensor of a checkpoint and the two ways to copy it out: as it is, or transposed, each
//! converted to the number format that the graph computes in.

use half::{bf16, f16};
use ndarray::{ArrayView2, ArrayViewMut2, Axis, Zip, s};
use rayon::prelude::*;

use super::file::{MappedFile, Stored};
use super::random::Filling;

/// Rows and columns that are transposed at a time: a block of float32 fits the first-level cache.
const BLOCK: usize = 32;
/// Elements below which copying is not worth a second thread.
const PARALLEL_ABOVE: usize = 1 << 16;

/// A number type that graphs compute in.
pub trait Element: Copy + Send + Sync {
    /// The nearest value of this type.
    fn from_f32(value: f32) -> Self;
    /// Back again.
    fn to_f32(self) -> f32;
}

impl Element for f32 {
    fn from_f32(value: f32) -> Self {
        value
    }
    fn to_f32(self) -> f32 {
        self
    }
}

impl Element for f16 {
    fn from_f32(value: f32) -> Self {
        Self::from_f32(value)
    }
    fn to_f32(self) -> f32 {
        Self::to_f32(self)
    }
}

impl Element for bf16 {
    fn from_f32(value: f32) -> Self {
        Self::from_f32(value)
    }
    fn to_f32(self) -> f32 {
        Self::to_f32(self)
    }
}

/// Where numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A file, mapped at this address.
    File(usize),
    /// A generator, from this place of its numbers on.
    Random((u64, u64)),
}

/// A view of a tensor in a mapped file. Its pages are given back when it is dropped.
pub struct Tensor<'checkpoint> {
    shape: Vec<usize>,
    numbers: Numbers<'checkpoint>,
}

/// Where a tensor's numbers are.
enum Numbers<'checkpoint> {
    /// In a part of a mapped file.
    Mapped {
        file: &'checkpoint MappedFile,
        stored: Stored,
        bytes: &'checkpoint [u8],
    },
    /// In memory.
    Computed(Vec<f32>),
    /// In no file.
    Made(Filling),
}

impl<'checkpoint> Tensor<'checkpoint> {
    /// `bytes` holds exactly the elements of `shape`.
    pub(super) fn new(
        file: &'checkpoint MappedFile,
        stored: Stored,
        shape: &[usize],
        bytes: &'checkpoint [u8],
    ) -> Self {
        Self {
            shape: shape.to_vec(),
            numbers: Numbers::Mapped {
                file,
                stored,
                bytes,
            },
        }
    }

    /// A tensor that is in no file.
    pub(super) fn made(shape: &[usize], filling: Filling) -> Self {
        Self {
            shape: shape.to_vec(),
            numbers: Numbers::Made(filling),
        }
    }

    /// A tensor of numbers that were computed, from other tensors or from nothing.
    ///
    /// # Panics
    /// When these are not as many as its shape has.
    #[must_use]
    pub fn computed(shape: &[usize], values: Vec<f32>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{shape:?}");
        Self {
            shape: shape.to_vec(),
            numbers: Numbers::Computed(values),
        }
    }

    /// The shape, row-major.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What two tensors of one shape have in common that are the same one; none where that is not
    /// known.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        match &self.numbers {
            Numbers::Mapped { bytes, .. } => Some(Origin::File(bytes.as_ptr().addr())),
            Numbers::Made(Filling::Normal(normal)) => Some(Origin::Random(normal.place())),
            Numbers::Made(Filling::One(_)) | Numbers::Computed(_) => None,
        }
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// These rows of a matrix, or elements of a vector.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn rows(&self, range: std::ops::Range<usize>) -> Self {
        let all = self.shape[0];
        assert!(range.end <= all, "rows {range:?} of {all}");
        let mut shape = self.shape.clone();
        shape[0] = range.len();
        let numbers = match &self.numbers {
            &Numbers::Mapped {
                file,
                stored,
                bytes,
            } => {
                let row_bytes = bytes.len() / all.max(1);
                Numbers::Mapped {
                    file,
                    stored,
                    bytes: &bytes[range.start * row_bytes..range.end * row_bytes],
                }
            }
            Numbers::Computed(values) => {
                let row = values.len() / all.max(1);
                Numbers::Computed(values[range.start * row..range.end * row].to_vec())
            }
            Numbers::Made(Filling::Normal(normal)) => {
                let row = self.len() / all.max(1);
                Numbers::Made(Filling::Normal(normal.skip(range.start * row)))
            }
            Numbers::Made(one) => Numbers::Made(*one),
        };
        Self { shape, numbers }
    }

    /// Copies all elements to `out`, in order.
    ///
    /// # Panics
    /// When `out` has another length.
    pub fn copy_to<T: Element>(&self, out: &mut [T]) {
        assert_eq!(out.len(), self.len(), "room for every element");
        let (stored, bytes) = match &self.numbers {
            Numbers::Mapped { stored, bytes, .. } => (stored, bytes),
            Numbers::Computed(values) => {
                let pairs = out.iter_mut().zip(values);
                return pairs.for_each(|(to, from)| *to = T::from_f32(*from));
            }
            Numbers::Made(Filling::One(value)) => return out.fill(T::from_f32(*value)),
            Numbers::Made(Filling::Normal(normal)) => {
                let numbered = out.par_iter_mut().with_min_len(PARALLEL_ABOVE).enumerate();
                return numbered.for_each(|(index, to)| *to = T::from_f32(normal.number(index)));
            }
        };
        match stored {
            Stored::F64 => copy(bytes, out, narrowed),
            Stored::F32 => copy(bytes, out, f32::from_le_bytes),
            Stored::F16 => copy(bytes, out, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Stored::Bf16 => copy(bytes, out, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        }
    }

    /// Copies a matrix `[rows, columns]` transposed into `out`, `[columns, rows]`.
    ///
    /// # Panics
    /// When this is not a matrix, or `out` has another shape.
    pub fn transpose_to<T: Element>(&self, mut out: ArrayViewMut2<'_, T>) {
        let (columns, rows) = out.dim();
        assert_eq!(self.shape, [rows, columns], "room for every element");
        let (stored, bytes) = match &self.numbers {
            Numbers::Mapped { stored, bytes, .. } => (stored, bytes),
            Numbers::Computed(values) => {
                let places = out.indexed_iter_mut();
                return places.for_each(|((column, row), to)| {
                    *to = T::from_f32(values[row * columns + column]);
                });
            }
            Numbers::Made(Filling::One(value)) => return out.fill(T::from_f32(*value)),
            Numbers::Made(Filling::Normal(normal)) => {
                return by_columns(out, |row, column| normal.number(row * columns + column));
            }
        };
        match stored {
            Stored::F64 => transpose(bytes, out, narrowed),
            Stored::F32 => transpose(bytes, out, f32::from_le_bytes),
            Stored::F16 => transpose(bytes, out, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Stored::Bf16 => transpose(bytes, out, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        }
    }
}

impl Drop for Tensor<'_> {
    fn drop(&mut self) {
        if let Numbers::Mapped { file, bytes, .. } = self.numbers {
            file.forget(bytes);
        }
    }
}

/// The float32 nearest to a stored float64.
#[expect(
    clippy::cast_possible_truncation,
    reason = "graphs compute in float32 at most"
)]
fn narrowed(bytes: [u8; 8]) -> f32 {
    f64::from_le_bytes(bytes) as f32
}

fn copy<const N: usize, T: Element>(
    bytes: &[u8],
    out: &mut [T],
    read: impl Fn([u8; N]) -> f32 + Sync,
) {
    let (elements, _) = bytes.as_chunks::<N>();
    out.par_iter_mut()
        .with_min_len(PARALLEL_ABOVE)
        .zip(elements)
        .for_each(|(to, from)| *to = T::from_f32(read(*from)));
}

/// Fills `out`, `[columns, rows]`, with the numbers of a matrix `[rows, columns]`.
fn by_columns<T: Element>(
    mut out: ArrayViewMut2<'_, T>,
    number: impl Fn(usize, usize) -> f32 + Sync,
) {
    let columns: Vec<_> = out.rows_mut().into_iter().collect();
    let columns = columns.into_par_iter().enumerate();
    columns.for_each(|(column, mut out)| {
        for (row, to) in out.iter_mut().enumerate() {
            *to = T::from_f32(number(row, column));
        }
    });
}

/// Copies the matrix `[rows, columns]` in `bytes` transposed into `out`, `[columns, rows]`, square
/// by square, so that neither is read or written far apart.
fn transpose<const N: usize, T: Element>(
    bytes: &[u8],
    mut out: ArrayViewMut2<'_, T>,
    read: impl Fn([u8; N]) -> f32 + Sync,
) {
    let shape = (out.ncols(), out.nrows());
    #[expect(
        clippy::expect_used,
        reason = "a tensor has exactly the bytes of its shape"
    )]
    let matrix = ArrayView2::from_shape(shape, bytes.as_chunks::<N>().0).expect("a matrix");
    // Each thread writes whole rows of `out`, that is, columns of the matrix.
    let bands: Vec<_> = out.axis_chunks_iter_mut(Axis(0), BLOCK).collect();
    bands
        .into_par_iter()
        .enumerate()
        .for_each(|(number, mut band)| {
            let first = number * BLOCK;
            let columns = matrix.slice(s![.., first..first + band.nrows()]);
            let blocks = columns.axis_chunks_iter(Axis(0), BLOCK);
            for (from, to) in blocks.zip(band.axis_chunks_iter_mut(Axis(1), BLOCK)) {
                Zip::from(to)
                    .and(from.t())
                    .for_each(|to, from| *to = T::from_f32(read(*from)));
            }
        });
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

    use super::*;
    use crate::checkpoint::{Checkpoint, RandomWeights};

    const ROWS: usize = 70;
    const COLUMNS: usize = 2 * PARALLEL_ABOVE / ROWS;

    /// A number that is exact in every type, and different for near places.
    fn value(row: usize, column: usize) -> f32 {
        f32::from(u8::try_from((31 * row + column) % 251).unwrap()) - 125.0
    }

    /// A checkpoint with one large matrix, `[ROWS, COLUMNS]`.
    fn checkpoint(dtype: Dtype, bytes_of: impl Fn(f32) -> Vec<u8>) -> Checkpoint {
        let places = (0..ROWS).flat_map(|row| (0..COLUMNS).map(move |column| value(row, column)));
        let bytes: Vec<u8> = places.flat_map(bytes_of).collect();
        let view = TensorView::new(dtype, vec![ROWS, COLUMNS], &bytes).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        serialize_to_file([("matrix", view)], None, &path).unwrap();
        Checkpoint::open(&[path]).unwrap()
    }

    #[test]
    fn random_matrices_are_the_same_in_one_piece_in_rows_and_transposed() {
        let checkpoint = Checkpoint::random(RandomWeights {
            seed: 3,
            deviation: 1.0,
            norm: 1.0,
        });
        let shape = [ROWS, COLUMNS];
        let matrix = checkpoint.tensor(&[""], "matrix.weight", &shape).unwrap();
        let mut whole = vec![0.0_f32; ROWS * COLUMNS];
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        alone.unwrap().install(|| matrix.copy_to(&mut whole));
        let mut rows = vec![0.0_f32; 3 * COLUMNS];
        matrix.rows(7..10).copy_to(&mut rows);
        assert_eq!(rows, whole[7 * COLUMNS..10 * COLUMNS]);
        let mut transposed = Array2::from_elem((COLUMNS, ROWS), 0.0_f32);
        matrix.transpose_to(transposed.view_mut());
        let whole = ArrayView2::from_shape((ROWS, COLUMNS), &whole).unwrap();
        assert_eq!(transposed.t(), whole);
        assert_ne!(whole[[0, 0]].to_bits(), whole[[0, 1]].to_bits());
    }

    #[test]
    fn large_matrices_are_copied_and_transposed_from_every_type() {
        let checkpoints = [
            checkpoint(Dtype::F64, |value| f64::from(value).to_le_bytes().to_vec()),
            checkpoint(Dtype::F32, |value| value.to_le_bytes().to_vec()),
            checkpoint(Dtype::F16, |value| {
                f16::from_f32(value).to_le_bytes().to_vec()
            }),
            checkpoint(Dtype::BF16, |value| {
                bf16::from_f32(value).to_le_bytes().to_vec()
            }),
        ];
        let (width, at) = (ROWS + 9, 5);
        for checkpoint in checkpoints {
            let matrix = checkpoint
                .tensor(&[""], "matrix", &[ROWS, COLUMNS])
                .unwrap();
            let mut copy = vec![0.0_f32; ROWS * COLUMNS];
            matrix.copy_to(&mut copy);
            let mut transposed = Array2::from_elem((COLUMNS, width), f16::NAN);
            matrix.transpose_to(transposed.slice_mut(s![.., at..at + ROWS]));
            for row in 0..ROWS {
                for column in 0..COLUMNS {
                    let expected = value(row, column).to_bits();
                    assert_eq!(copy[row * COLUMNS + column].to_bits(), expected);
                    assert_eq!(transposed[[column, at + row]].to_f32().to_bits(), expected);
                }
            }
            let untouched = transposed.iter().filter(|value| value.is_nan()).count();
            assert_eq!(
                untouched,
                COLUMNS * (width - ROWS),
                "other columns stay as they are"
            );
        }
    }
}
