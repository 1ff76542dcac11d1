//! Access to the memory of libtorch's tensors from Rust, all in one place, so that kernels write what
//! libtorch reads without a copy in between.

use std::sync::{Mutex, PoisonError};

use tch::kind::Element;
use tch::{Device, Kind, TchError, Tensor};

/// A tensor that several threads read and none writes: a handle itself is for one thread at a time.
#[derive(Debug)]
pub(crate) struct Shared(Mutex<Tensor>);

impl Shared {
    pub(crate) fn new(tensor: Tensor) -> Self {
        Self(Mutex::new(tensor))
    }

    /// Another handle to the same memory.
    pub(crate) fn get(&self) -> Tensor {
        let tensor = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tensor.shallow_clone()
    }
}

/// Copies a tensor of the CPU to `device`. To a GPU it goes through pinned memory, so that the CPU does
/// not wait for what the GPU is still computing; libtorch keeps that memory until it has been read.
pub(crate) fn upload(tensor: &Tensor, device: Device) -> Result<Tensor, TchError> {
    match device {
        Device::Cuda(_) => {
            pinned(tensor, device)?.f_to_device_(device, tensor.f_kind()?, true, false)
        }
        _ => tensor.f_to_device(device),
    }
}

/// A number as a tensor without dimensions, which operations on a device take as a number. The
/// numbers of tch itself panic when the operation that they are given to fails, as it does when
/// memory is not enough.
pub(crate) fn single<T: Element>(number: T) -> Result<Tensor, TchError> {
    Tensor::f_from_slice(&[number])?.f_squeeze()
}

/// A copy in pinned memory, which a GPU reads without the CPU; for the CPU the tensor itself.
pub(crate) fn pinned(tensor: &Tensor, device: Device) -> Result<Tensor, TchError> {
    match device {
        Device::Cuda(_) => tensor.f_internal_pin_memory(device),
        _ => Ok(tensor.shallow_clone()),
    }
}

/// A float32 tensor `shape` on `device` that `fill` writes, row-major. It finds whatever was in memory before.
///
/// # Errors
/// libtorch has no memory, or cannot copy to the device.
pub fn filled(
    shape: &[i64],
    device: Device,
    fill: impl FnOnce(&mut [f32]),
) -> Result<Tensor, TchError> {
    let tensor = Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?;
    let values = tensor.numel();
    if values > 0 {
        #[expect(
            unsafe_code,
            reason = "libtorch offers its memory as a bare pointer only"
        )]
        // SAFETY: the tensor was made just now: float32, contiguous, on the CPU, with `values` elements, owned by
        // nobody else; it outlives the slice. Any bit pattern is an f32, so that old contents are no matter.
        let slice =
            unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), values) };
        fill(slice);
    }
    tensor.f_to_device(device)
}

/// Calls `read` with the values of a tensor, row-major; they are copied only if they are on another
/// device, of another type or not contiguous.
///
/// # Errors
/// libtorch cannot copy the tensor to the CPU.
pub fn with_values<T>(tensor: &Tensor, read: impl FnOnce(&[f32]) -> T) -> Result<T, TchError> {
    let tensor = tensor
        .f_detach()?
        .f_to_device(Device::Cpu)?
        .f_to_kind(Kind::Float)?
        .f_contiguous()?;
    let values = tensor.numel();
    if values == 0 {
        return Ok(read(&[]));
    }
    #[expect(
        unsafe_code,
        reason = "libtorch offers its memory as a bare pointer only"
    )]
    // SAFETY: float32, contiguous and on the CPU by the line above, `values` elements; `tensor` keeps the memory
    // until `read` is done, and nothing writes to it meanwhile: the caller holds the only thread of this head.
    let slice = unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<f32>(), values) };
    Ok(read(slice))
}

/// Calls `change` with the values of a contiguous float32 tensor on the CPU; `None` where it is not one.
pub(crate) fn with_values_mut<T>(
    tensor: &mut Tensor,
    change: impl FnOnce(&mut [f32]) -> T,
) -> Option<T> {
    let values = tensor.numel();
    let fits = tensor.device() == Device::Cpu
        && tensor.f_kind().is_ok_and(|kind| kind == Kind::Float)
        && tensor.is_contiguous();
    if !fits {
        return None;
    }
    if values == 0 {
        return Some(change(&mut []));
    }
    #[expect(
        unsafe_code,
        reason = "libtorch offers its memory as a bare pointer only"
    )]
    // SAFETY: float32, contiguous and on the CPU by the check above, `values` elements; the exclusive borrow and
    // the one thread that trains a head keep others away.
    let slice = unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), values) };
    Some(change(slice))
}

/// Calls `change` with the bytes of a contiguous tensor on the CPU, of any type; `None` where it is not
/// one.
pub(crate) fn with_bytes_mut<T>(
    tensor: &mut Tensor,
    change: impl FnOnce(&mut [u8]) -> T,
) -> Option<T> {
    let kind = tensor.f_kind().ok()?;
    if tensor.device() != Device::Cpu || !tensor.is_contiguous() {
        return None;
    }
    let bytes = tensor.numel() * kind.elt_size_in_bytes();
    if bytes == 0 {
        return Some(change(&mut []));
    }
    #[expect(
        unsafe_code,
        reason = "libtorch offers its memory as a bare pointer only"
    )]
    // SAFETY: contiguous and on the CPU by the check above, so many bytes; any bytes make numbers, and numbers can be
    // looked at as bytes. The exclusive borrow keeps others away.
    let slice = unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<u8>(), bytes) };
    Some(change(slice))
}
