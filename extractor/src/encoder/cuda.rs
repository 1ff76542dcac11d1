//! The few questions to NVIDIA's runtime library that ONNX Runtime does not answer: how many GPUs
//! this process may use, and how much memory is free on one.

use std::error::Error;
use std::ffi::{CStr, c_char, c_int};

use libloading::Library;

/// The library, as ONNX Runtime's CUDA kernels load it: for CUDA 13, or 12 in an ONNX Runtime of
/// the user's own.
const LIBRARIES: [&str; 2] = ["libcudart.so.13", "libcudart.so.12"];

/// The versions of CUDA that these are of, and the cuFFT that belongs to each.
const VERSIONS: [u32; 2] = [13, 12];
const CUFFT: [&str; 2] = ["libcufft.so.12", "libcufft.so.11"];
/// cuDNN 9 is for both.
const CUDNN: &str = "libcudnn.so.9";

type GetDeviceCount = unsafe extern "C" fn(*mut c_int) -> c_int;
type SetDevice = unsafe extern "C" fn(c_int) -> c_int;
type MemGetInfo = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;
type GetErrorString = unsafe extern "C" fn(c_int) -> *const c_char;

/// NVIDIA's runtime library, opened.
pub(crate) struct Cuda {
    get_device_count: GetDeviceCount,
    set_device: SetDevice,
    mem_get_info: MemGetInfo,
    get_error_string: GetErrorString,
    /// Its place in [`LIBRARIES`].
    index: usize,
    /// What the functions are from.
    _library: Library,
}

impl Cuda {
    /// Opens the library; best after [`super::runtime::target`], which has opened it from where the
    /// CUDA libraries lie.
    pub(crate) fn open() -> Result<Self, String> {
        let mut reason = String::new();
        for (index, name) in LIBRARIES.into_iter().enumerate() {
            match Self::open_as(name, index) {
                Ok(cuda) => return Ok(cuda),
                // What it says itself is only that it failed.
                Err(error) => {
                    reason = error
                        .source()
                        .map_or_else(|| error.to_string(), ToString::to_string);
                }
            }
        }
        Err(format!("NVIDIA's runtime library is missing: {reason}"))
    }

    fn open_as(name: &str, index: usize) -> Result<Self, libloading::Error> {
        #[expect(
            unsafe_code,
            reason = "a library that may not be there cannot be linked"
        )]
        // SAFETY: its initialisers are those that ONNX Runtime's CUDA kernels run as well; the
        // types are those of cuda_runtime_api.h, unchanged from CUDA 10 to 13, and the functions
        // are kept with the library they are from.
        unsafe {
            let library = Library::new(name)?;
            Ok(Self {
                get_device_count: *library.get(b"cudaGetDeviceCount\0")?,
                set_device: *library.get(b"cudaSetDevice\0")?,
                mem_get_info: *library.get(b"cudaMemGetInfo\0")?,
                get_error_string: *library.get(b"cudaGetErrorString\0")?,
                index,
                _library: library,
            })
        }
    }

    /// The major version of CUDA that the library is of.
    pub(crate) const fn version(&self) -> u32 {
        VERSIONS[self.index]
    }

    /// The libraries that ONNX Runtime's CUDA kernels open when they first run: what each is, and
    /// its file.
    pub(crate) const fn opened_at_first_run(&self) -> [(&'static str, &'static str); 2] {
        [("cuDNN", CUDNN), ("cuFFT", CUFFT[self.index])]
    }

    /// How many GPUs this process may use.
    pub(crate) fn devices(&self) -> Result<usize, String> {
        let mut count = 0;
        // SAFETY: writes one int to where it is told.
        #[expect(unsafe_code, reason = "a C function")]
        let status = unsafe { (self.get_device_count)(&raw mut count) };
        self.check(status)?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Free bytes on a GPU.
    pub(crate) fn free_memory(&self, device: i32) -> Result<u64, String> {
        // SAFETY: takes a number and checks it; concerns this thread alone.
        #[expect(unsafe_code, reason = "a C function")]
        let status = unsafe { (self.set_device)(device) };
        self.check(status)?;
        let (mut free, mut total) = (0_usize, 0_usize);
        // SAFETY: writes two sizes to where it is told.
        #[expect(unsafe_code, reason = "a C function")]
        let status = unsafe { (self.mem_get_info)(&raw mut free, &raw mut total) };
        self.check(status)?;
        Ok(free as u64)
    }

    fn check(&self, status: c_int) -> Result<(), String> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: gives a string constant of the library for any number, which is copied while the
        // library is open.
        #[expect(unsafe_code, reason = "a C function and a C string")]
        let reason = unsafe {
            let reason = (self.get_error_string)(status);
            if reason.is_null() {
                String::new()
            } else {
                CStr::from_ptr(reason).to_string_lossy().into_owned()
            }
        };
        Err(format!("CUDA error {status}: {reason}"))
    }
}

#[cfg(test)]
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
mod tests {
    use std::path::Path;

    use super::Cuda;

    /// The library alone does not make a GPU: every question has an answer in words.
    #[test]
    fn a_machine_without_a_gpu_is_told_so() {
        let library = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../lib/nvidia/cu13/lib")
            .join(super::LIBRARIES[0]);
        if !library.exists() || shared::gpu::has_driver() {
            println!("skipped: no NVIDIA library here, or a GPU as well");
            return;
        }
        let cuda = Cuda::open_as(library.to_str().unwrap(), 0).unwrap();
        for answer in [
            cuda.devices().map(|count| count as u64),
            cuda.free_memory(0),
        ] {
            let error = answer.unwrap_err();
            assert!(
                error.starts_with("CUDA error") && error.len() > 20,
                "{error}"
            );
        }
    }

    #[test]
    fn a_missing_library_is_named() {
        // Where there is one in the system's path, nothing is missing.
        if let Err(error) = Cuda::open() {
            assert!(
                error.contains(super::LIBRARIES[1]) && error.contains("cannot open"),
                "{error}"
            );
        }
    }
}
