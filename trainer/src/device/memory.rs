//! How much memory of a GPU is free, from the CUDA runtime that libtorch has loaded into the process;
//! libtorch itself has no function for it.

use std::ffi::{CStr, c_int, c_void};

use tch::Device;

/// `cudaGetDevice`, `cudaSetDevice` and `cudaMemGetInfo`, as the CUDA runtime's documentation gives them; 0 is success.
type GetDevice = unsafe extern "C" fn(*mut c_int) -> c_int;
type SetDevice = unsafe extern "C" fn(c_int) -> c_int;
type MemGetInfo = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;

/// Bytes that are free on `device`; other jobs on the same GPU may take them. The error says why the
/// number is not known.
///
/// # Errors
/// The device is not a GPU, or the CUDA runtime is not there or fails.
pub fn free(device: Device) -> Result<u64, String> {
    let Device::Cuda(number) = device else {
        return Err("the device is not a GPU".to_owned());
    };
    let number = c_int::try_from(number).map_err(|error| error.to_string())?;
    let get_device = symbol(c"cudaGetDevice")?;
    let set_device = symbol(c"cudaSetDevice")?;
    let mem_get_info = symbol(c"cudaMemGetInfo")?;
    let (mut before, mut free, mut total) = (0, 0, 0);
    #[expect(unsafe_code, reason = "functions of the CUDA runtime")]
    // SAFETY: the symbols are functions of these types since the first CUDA releases; the pointers
    // are to variables that outlive the calls. The device that was current in this thread is made
    // so again.
    let results = unsafe {
        let get_device = std::mem::transmute::<*mut c_void, GetDevice>(get_device);
        let set_device = std::mem::transmute::<*mut c_void, SetDevice>(set_device);
        let mem_get_info = std::mem::transmute::<*mut c_void, MemGetInfo>(mem_get_info);
        [
            get_device(&raw mut before),
            set_device(number),
            mem_get_info(&raw mut free, &raw mut total),
            set_device(before),
        ]
    };
    match results.into_iter().find(|&result| result != 0) {
        Some(code) => Err(format!("the CUDA runtime answers with error {code}")),
        None => Ok(free as u64),
    }
}

/// A function of a library that is in the process already.
fn symbol(name: &CStr) -> Result<*mut c_void, String> {
    #[expect(unsafe_code, reason = "there is no safe way to look up a symbol")]
    // SAFETY: `name` ends with a zero byte; looking up has no effect besides.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if found.is_null() {
        return Err(format!(
            "the CUDA runtime has no {}",
            name.to_string_lossy()
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_gpu_the_error_says_why() {
        assert!(free(Device::Cpu).is_err());
        if !std::path::Path::new("/dev/nvidiactl").exists() {
            let why = free(Device::Cuda(0)).unwrap_err();
            assert!(why.contains("CUDA runtime"), "{why}");
        }
    }
}
