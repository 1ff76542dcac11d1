//! Rows of a store that the graph made: in memory that a GPU writes to by itself, and in the store's number format, so that
//! the processor passes them on as they are.

use cache::{PartStatistics, StoreDtype};
use half::{bf16, f16};
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{OutputSelector, RunOptions, Session};
use ort::value::{DynValue, PrimitiveTensorElementType, Tensor, TensorValueType};

use super::batch::tensor;
use super::runtime::Target;
use super::{Batch, Encoder, EncoderError};
use crate::graph::{ABSOLUTE, KEPT, MAXIMUM, MINIMUM, ROWS};

/// What an encoder needs to have its graph make rows.
pub(super) struct RowMaker {
    pub(super) format: StoreDtype,
    /// Of pinned memory on CUDA, which the card writes to without a detour; it is never paged out.
    allocator: Allocator,
    /// Whether it is.
    pub(super) pinned: bool,
}

impl RowMaker {
    pub(super) fn new(session: &Session, target: Target, format: StoreDtype) -> Self {
        let pinned = match target {
            Target::Cpu => None,
            // ONNX Runtime before 1.23 had one for all cards, number 0.
            Target::Cuda(number) => [number, 0]
                .into_iter()
                .find_map(|number| pinned(session, number)),
        };
        Self {
            format,
            pinned: pinned.is_some(),
            allocator: pinned.unwrap_or_default(),
        }
    }
}

fn pinned(session: &Session, number: i32) -> Option<Allocator> {
    let memory = MemoryInfo::new(
        AllocationDevice::CUDA_PINNED,
        number,
        AllocatorType::Device,
        MemoryType::CPUOutput,
    );
    Allocator::new(session, memory.ok()?).ok()
}

/// Rows of one batch, `[tokens, layers, hidden]`.
pub struct GraphRows {
    format: StoreDtype,
    hidden: usize,
    values: Values,
    /// Smallest, largest and sum of the absolute values of each vector, each `[tokens, layers]`.
    known: [Tensor<f32>; 3],
}

impl GraphRows {
    /// The rows, little-endian, as the store keeps them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.values {
            Values::F16(tensor) => bytemuck::cast_slice(tensor.extract_tensor().1),
            Values::Bf16(tensor) => bytemuck::cast_slice(tensor.extract_tensor().1),
            Values::F32(tensor) => bytemuck::cast_slice(tensor.extract_tensor().1),
        }
    }

    /// Statistics of the values before they were rounded; none if one of them is not finite or does not fit the format.
    #[must_use]
    pub fn statistics(&self) -> Option<PartStatistics> {
        let [minimum, maximum, absolute] =
            [0, 1, 2].map(|index| self.known[index].extract_tensor());
        let layers = usize::try_from(minimum.0[1]).unwrap_or(0);
        let mut statistics = PartStatistics::new(layers);
        for (at, ((&minimum, &maximum), &absolute)) in
            minimum.1.iter().zip(maximum.1).zip(absolute.1).enumerate()
        {
            let layer = &mut statistics.layers[at % layers];
            let range = [minimum, maximum];
            if !cache::rows::count(self.format, self.hidden, range, absolute, layer) {
                return None;
            }
        }
        Some(statistics)
    }
}

impl Encoder {
    /// The number format of rows that the graph makes; none if it makes none.
    #[must_use]
    pub fn row_format(&self) -> Option<StoreDtype> {
        self.rows.as_ref().map(|rows| rows.format)
    }

    /// Whether rows come in pinned memory.
    #[must_use]
    pub fn rows_are_pinned(&self) -> bool {
        self.rows.as_ref().is_some_and(|rows| rows.pinned)
    }

    /// Encodes a batch and gives the rows of the tokens in `kept`, each `row * width + position`, in that order.
    ///
    /// # Errors
    /// As [`Encoder::encode`]; when this encoder's graph makes no rows, or a kept token is padding or outside the batch.
    pub fn encode_rows(&mut self, batch: &Batch, kept: &[i32]) -> Result<GraphRows, EncoderError> {
        batch.check(self.shape.vocabulary, self.shape.max_positions)?;
        batch.check_kept(kept)?;
        let Some(maker) = &self.rows else {
            let problem = "its graph makes no rows".to_owned();
            return Err(EncoderError::Batch { problem });
        };
        let (format, hidden, layers) = (maker.format, self.shape.hidden, self.layers.len());
        let failed = |source| EncoderError::Runtime { source };
        let mut inputs = self.feeds.inputs(batch)?;
        inputs.push((KEPT.into(), tensor([kept.len()], kept.to_vec())?));
        let counts = [kept.len(), layers];
        let mut selected = OutputSelector::no_default()
            .with(ROWS)
            .preallocate(ROWS, maker.values([kept.len(), layers * hidden])?);
        for name in [MINIMUM, MAXIMUM, ABSOLUTE] {
            let known = Tensor::<f32>::new(&maker.allocator, counts).map_err(failed)?;
            selected = selected.with(name).preallocate(name, known);
        }
        // Not an `IoBinding`: binding inputs would wait for everything that runs on the card, other sessions included.
        let options = RunOptions::new().map_err(failed)?.with_outputs(selected);
        let run = self.session.run_with_options(inputs, &options);
        let mut outputs = run.map_err(|source| EncoderError::Run {
            rows: batch.rows,
            width: batch.width,
            source,
        })?;
        let mut output = |name: &str| {
            let missing = || EncoderError::Runtime {
                source: ort::Error::new(format!("there is no output {name}")),
            };
            outputs.remove(name).ok_or_else(missing)
        };
        Ok(GraphRows {
            format,
            hidden,
            values: Values::of(format, output(ROWS)?).map_err(failed)?,
            known: [
                output(MINIMUM)?.downcast().map_err(failed)?,
                output(MAXIMUM)?.downcast().map_err(failed)?,
                output(ABSOLUTE)?.downcast().map_err(failed)?,
            ],
        })
    }
}

/// A tensor of one of the formats that graphs make.
enum Values {
    F16(Tensor<f16>),
    Bf16(Tensor<bf16>),
    F32(Tensor<f32>),
}

impl Values {
    fn of(format: StoreDtype, value: DynValue) -> ort::Result<Self> {
        Ok(match format {
            StoreDtype::F16 => Self::F16(value.downcast::<TensorValueType<f16>>()?),
            StoreDtype::Bf16 => Self::Bf16(value.downcast::<TensorValueType<bf16>>()?),
            StoreDtype::F32 | StoreDtype::I8 => {
                Self::F32(value.downcast::<TensorValueType<f32>>()?)
            }
        })
    }
}

impl RowMaker {
    /// Memory for rows of this shape.
    fn values(&self, shape: [usize; 2]) -> Result<DynValue, EncoderError> {
        match self.format {
            StoreDtype::F16 => self.memory::<f16>(shape),
            StoreDtype::Bf16 => self.memory::<bf16>(shape),
            StoreDtype::F32 | StoreDtype::I8 => self.memory::<f32>(shape),
        }
    }

    fn memory<T>(&self, shape: [usize; 2]) -> Result<DynValue, EncoderError>
    where
        T: PrimitiveTensorElementType + std::fmt::Debug,
    {
        let memory = Tensor::<T>::new(&self.allocator, shape);
        Ok(memory
            .map_err(|source| EncoderError::Memory {
                rows: shape[0],
                source,
            })?
            .into_dyn())
    }
}
