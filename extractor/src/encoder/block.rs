//! A block of memory from one of ONNX Runtime's allocators, and tensors of ordinary memory that lie
//! in it.

use std::ops::Range;
use std::ptr::{self, NonNull};

use ort::AsPointer as _;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::value::{DynValue, Tensor, TensorElementType};

/// Bytes that the CPU can read, pinned or not.
pub(super) struct Block {
    memory: Tensor<u8>,
}

impl Block {
    pub(super) const fn new(memory: Tensor<u8>) -> Self {
        Self { memory }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.memory.extract_tensor().1
    }

    /// The bytes in `range` as a tensor of this shape and type, for an output to be written to. It
    /// must not be used after the block is gone; whoever asks for one keeps it to himself and lets
    /// it go first.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the shape: it needs more bytes than the range has.
    ///
    /// # Panics
    /// When the range is not inside the block.
    pub(super) fn view(
        &mut self,
        range: Range<usize>,
        shape: &[usize],
        element: TensorElementType,
    ) -> ort::Result<DynValue> {
        let bytes = &mut self.memory.extract_tensor_mut().1[range];
        let shape: Vec<i64> = shape
            .iter()
            .map(|&size| i64::try_from(size).unwrap_or(i64::MAX))
            .collect();
        let ordinary = MemoryInfo::new(
            AllocationDevice::CPU,
            0,
            AllocatorType::Device,
            MemoryType::Default,
        )?;
        let mut value = ptr::null_mut();
        #[expect(
            unsafe_code,
            reason = "the binding has no tensor over memory that it does not own"
        )]
        // SAFETY: the pointers are to a slice and a vector of the lengths given with them; ONNX
        // Runtime checks that the bytes are enough for the shape, copies the shape and does not own
        // the bytes.
        unsafe {
            let create = ort::api().CreateTensorWithDataAsOrtValue;
            let status = create(
                ordinary.ptr(),
                bytes.as_mut_ptr().cast(),
                bytes.len(),
                shape.as_ptr(),
                shape.len(),
                element.into(),
                &raw mut value,
            );
            ort::Error::result_from_status(status)?;
        }
        let value = NonNull::new(value).ok_or_else(|| ort::Error::new("a tensor is missing"))?;
        // SAFETY: the value was just made and nobody else has it; its memory is the block's, which
        // outlives it.
        #[expect(unsafe_code, reason = "as above")]
        Ok(unsafe { DynValue::from_ptr(value, Some(&Allocator::default())) })
    }
}
