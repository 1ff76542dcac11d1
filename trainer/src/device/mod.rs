//! The devices that heads are computed on. With `--device cuda` a GPU is used or the program ends: a job
//! that silently trains on the CPU of a GPU node wastes a day before somebody looks.

pub mod memory;

use std::path::Path;

use shared::device::DeviceChoice;
use shared::exit::{ExitStatus, HasExitStatus};
use tch::{Cuda, Device};

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No GPU can be used.
    #[error(
        "--device cuda: {why}; use --device cpu to train without a GPU, `trainer doctor` shows what is found"
    )]
    NoCuda {
        /// What is missing.
        why: String,
    },
    /// There are fewer GPUs.
    #[error(
        "--device cuda:{wanted}: there is no such GPU, {there} can be seen (CUDA_VISIBLE_DEVICES counts), numbered from 0"
    )]
    NoSuchGpu {
        /// The number asked for.
        wanted: usize,
        /// How many there are.
        there: usize,
    },
}

impl HasExitStatus for DeviceError {
    fn exit_status(&self) -> ExitStatus {
        ExitStatus::Machine
    }
}

/// Devices that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// They, at least one.
    pub devices: Vec<Device>,
    /// Why it is not the GPU that the machine seems to have.
    pub note: Option<String>,
}

/// Turns a choice into devices. Call this before the first tensor is made: only then does libtorch notice a
/// CUDA library, `cuda_library`, that it was not linked with.
///
/// # Errors
/// When a GPU was asked for and cannot be used.
pub fn open(choice: &DeviceChoice, cuda_library: Option<&Path>) -> Result<Opened, DeviceError> {
    let on = |devices| {
        Ok(Opened {
            devices,
            note: None,
        })
    };
    if *choice == DeviceChoice::Cpu {
        return on(vec![Device::Cpu]);
    }
    let driver = driver();
    let has_driver = driver.is_ok();
    let found = driver
        .and_then(|()| load(cuda_library))
        .and_then(|()| gpus());
    match (choice, found) {
        (DeviceChoice::Gpus(numbers), Ok(there)) => {
            if let Some(&wanted) = numbers.iter().find(|&&number| number >= there) {
                return Err(DeviceError::NoSuchGpu { wanted, there });
            }
            on(numbers.iter().copied().map(Device::Cuda).collect())
        }
        (DeviceChoice::AllGpus, Ok(there)) => on((0..there).map(Device::Cuda).collect()),
        (DeviceChoice::Gpus(_) | DeviceChoice::AllGpus, Err(why)) => {
            Err(DeviceError::NoCuda { why })
        }
        (DeviceChoice::Auto | DeviceChoice::Cpu, Ok(_)) => on(vec![Device::Cuda(0)]),
        // On a laptop without a GPU nothing needs to be said; on a GPU node, where the job would run
        // on the CPU for a day, it does.
        (DeviceChoice::Auto | DeviceChoice::Cpu, Err(why)) => Ok(Opened {
            devices: vec![Device::Cpu],
            note: has_driver.then_some(why),
        }),
    }
}

/// Looks for a driver first: opening two gigabytes of CUDA libraries in vain takes seconds.
fn driver() -> Result<(), String> {
    if shared::gpu::has_driver() {
        Ok(())
    } else {
        Err("this machine has no NVIDIA driver".to_owned())
    }
}

/// How many GPUs can be used, or why none can. Needs [`load`] first.
fn gpus() -> Result<usize, String> {
    match usize::try_from(Cuda::device_count()) {
        Ok(count) if count > 0 && Cuda::is_available() => Ok(count),
        _ => Err(match std::env::var("CUDA_VISIBLE_DEVICES") {
            Ok(visible) => format!(
                "libtorch finds no usable GPU among those of CUDA_VISIBLE_DEVICES={visible:?} (is the driver new enough for CUDA 13?)"
            ),
            Err(_) => {
                "libtorch finds no usable GPU (is the driver new enough for CUDA 13?)".to_owned()
            }
        }),
    }
}

/// Opens libtorch's CUDA part, which registers itself.
fn load(library: Option<&Path>) -> Result<(), String> {
    use std::ffi::{CStr, CString};
    use std::os::unix::ffi::OsStrExt;

    let missing =
        "libtorch is here without its CUDA libraries (`cargo xtask setup --cuda` brings them)";
    let library = library.ok_or(missing)?;
    let name = CString::new(library.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: `name` ends with a zero byte and lives through the call; the library's initialisers are those of
    // the libtorch that this program is linked with, of the same version, and it is never closed.
    #[expect(unsafe_code, reason = "there is no safe way to open a shared library")]
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if !handle.is_null() {
        return Ok(());
    }
    // SAFETY: after a failed dlopen, dlerror returns a string that stays valid until the next call in this thread.
    #[expect(unsafe_code, reason = "the reason comes as a C string")]
    let why = unsafe {
        let error = libc::dlerror();
        if error.is_null() {
            None
        } else {
            Some(CStr::from_ptr(error).to_string_lossy().into_owned())
        }
    };
    Err(format!(
        "{} cannot be loaded: {}",
        library.display(),
        why.unwrap_or_default()
    ))
}

/// The names of devices, as `--device` takes them: `cpu`, `cuda:0,2`.
#[must_use]
pub fn names(devices: &[Device]) -> String {
    let number = |device: &Device| match device {
        Device::Cuda(number) => Some(number.to_string()),
        Device::Cpu | Device::Mps | Device::Vulkan => None,
    };
    let numbers: Vec<String> = devices.iter().filter_map(number).collect();
    if numbers.is_empty() {
        return "cpu".to_owned();
    }
    format!("cuda:{}", numbers.join(","))
}

/// The name of a device, as `--device` takes it: `cpu`, `cuda:0`.
#[must_use]
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(number) => format!("cuda:{number}"),
        // Nothing else is ever opened.
        Device::Cpu | Device::Mps | Device::Vulkan => "cpu".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names() {
        assert_eq!(names(&[Device::Cuda(2), Device::Cuda(0)]), "cuda:2,0");
        assert_eq!(names(&[Device::Cpu]), "cpu");
    }

    #[test]
    fn a_missing_cuda_library_is_no_reason_to_fall_back_when_cuda_was_asked_for() {
        for choice in ["cuda", "cuda:0,1", "cuda:all"] {
            let error = open(&choice.parse().unwrap(), None).unwrap_err();
            assert_eq!(error.exit_status(), ExitStatus::Machine);
            assert!(error.to_string().contains("--device cpu"), "{error}");
        }
        let error = load(Some(Path::new("nowhere/libtorch_cuda.so"))).unwrap_err();
        assert!(error.contains("nowhere/libtorch_cuda.so"), "{error}");
        let opened = open(&DeviceChoice::Auto, None).unwrap();
        assert_eq!(opened.devices, [Device::Cpu]);
        assert_eq!(opened.note.is_some(), driver().is_ok());
    }
}
