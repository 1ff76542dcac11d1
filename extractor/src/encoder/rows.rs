//! Rows of a store that the graph made: in memory that a GPU copies to by itself, and in the
//! store's number format, so that the CPU passes them on as they are.
//!
//! ONNX Runtime counts memory of its `CUDA_PINNED` allocator as GPU memory (since 1.23) and would
//! copy an output that is bound there onto itself. So the pinned memory of a batch is one block of
//! bytes, and the outputs are tensors of ordinary memory that lie in it: copies then go from the
//! GPU straight into pinned memory.

use cache::{PartStatistics, StoreDtype};
use ndarray::{ArrayView3, Axis};
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{OutputSelector, Session};
use ort::value::{Tensor, TensorElementType};

use super::block::Block;
use super::error::EncoderError;
use super::runtime::Target;
use crate::graph::{ROWS, STATISTICS};

/// What is known of each vector: minimum, maximum, sum of absolute values.
const KNOWN: usize = 3;
/// Statistics begin at a multiple of this many bytes.
const EVEN: usize = 64;

/// What an encoder needs to have its graph make rows.
pub(super) struct RowMaker {
    pub(super) format: StoreDtype,
    /// Of pinned memory on CUDA, which is never paged out, so that the GPU copies to it without a
    /// detour.
    allocator: Allocator,
    /// Whether it is.
    pub(super) pinned: bool,
}

impl RowMaker {
    pub(super) fn new(session: &Session, target: Target, format: StoreDtype) -> Self {
        let pinned = match target {
            Target::Cpu => None,
            // ONNX Runtime before 1.23 had one for all GPUs, number 0.
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
    layers: usize,
    tokens: usize,
    /// The rows, then from the next even place on minimum, maximum and sum of absolute values of
    /// each vector, float32 `[3, tokens, layers]`.
    block: Block,
}

impl GraphRows {
    /// The rows, little-endian, as the store keeps them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.block.bytes()[..self.row_bytes()]
    }

    fn row_bytes(&self) -> usize {
        self.tokens * self.layers * self.hidden * self.format.bytes()
    }

    /// Statistics of the values before they were rounded; none if one of them is not finite or does
    /// not fit the format.
    #[must_use]
    pub fn statistics(&self) -> Option<PartStatistics> {
        let vectors = self.tokens * self.layers;
        let first = self.row_bytes().next_multiple_of(EVEN);
        let bytes = &self.block.bytes()[first..first + KNOWN * vectors * size_of::<f32>()];
        let shape = (KNOWN, self.tokens, self.layers);
        let known = ArrayView3::<f32>::from_shape(shape, bytemuck::cast_slice(bytes)).ok()?;
        let mut statistics = PartStatistics::new(self.layers);
        for vectors in known.axis_iter(Axis(1)) {
            for (known, layer) in vectors.columns().into_iter().zip(&mut statistics.layers) {
                let (range, absolute) = ([known[0], known[1]], known[2]);
                if !cache::rows::count(self.format, self.hidden, range, absolute, layer) {
                    return None;
                }
            }
        }
        Some(statistics)
    }
}

impl RowMaker {
    /// Memory for the rows of so many tokens and their statistics.
    pub(super) fn room(
        &self,
        tokens: usize,
        layers: usize,
        hidden: usize,
    ) -> Result<GraphRows, EncoderError> {
        let rows = tokens * layers * hidden * self.format.bytes();
        let statistics = KNOWN * tokens * layers * size_of::<f32>();
        let bytes = rows.next_multiple_of(EVEN) + statistics;
        let memory = Tensor::<u8>::new(&self.allocator, [bytes]);
        let memory = memory.map_err(|source| EncoderError::Memory {
            rows: tokens,
            source,
        })?;
        Ok(GraphRows {
            format: self.format,
            hidden,
            layers,
            tokens,
            block: Block::new(memory),
        })
    }
}

impl GraphRows {
    /// The graph's outputs, to be written to where they belong in the block.
    pub(super) fn outputs(&mut self) -> ort::Result<OutputSelector> {
        let element = match self.format {
            StoreDtype::F16 => TensorElementType::Float16,
            StoreDtype::Bf16 => TensorElementType::Bfloat16,
            StoreDtype::F32 | StoreDtype::I8 | StoreDtype::I4 => TensorElementType::Float32,
        };
        let (rows, vectors) = (self.row_bytes(), self.tokens * self.layers);
        let row = [self.tokens, self.layers * self.hidden];
        let known = [KNOWN * vectors];
        let first = rows.next_multiple_of(EVEN);
        let last = first + KNOWN * vectors * size_of::<f32>();
        let values = self.block.view(0..rows, &row, element)?;
        let statistics = self
            .block
            .view(first..last, &known, TensorElementType::Float32)?;
        Ok(OutputSelector::no_default()
            .with(ROWS)
            .preallocate(ROWS, values)
            .with(STATISTICS)
            .preallocate(STATISTICS, statistics))
    }
}
