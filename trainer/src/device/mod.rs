//! Where a head is computed. CUDA that was asked for is used or the program ends: a job that quietly trains on
//! the CPU of a GPU node wastes a day before somebody looks.

pub mod memory;

use std::path::Path;

use shared::exit::ExitStatus;
use tch::{Cuda, Device};

/// The device that a user names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU with this number.
    Cuda(usize),
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", number)) => number
                .parse()
                .map(Self::Cuda)
                .map_err(|_| format!("no number of a GPU: {number}")),
            _ => Err("expected auto, cpu, cuda or cuda:N".to_owned()),
        }
    }
}

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

impl DeviceError {
    /// A GPU that is not there is a matter of the machine.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        ExitStatus::Machine
    }
}

/// A device that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// It.
    pub device: Device,
    /// Why it is not the GPU that the machine seems to have.
    pub note: Option<String>,
}

/// Turns a choice into a device. Call this before the first tensor is made: only then does libtorch notice a
/// CUDA library, `cuda_library`, that it was not linked with.
///
/// # Errors
/// When a GPU was asked for and cannot be used.
pub fn open(choice: DeviceChoice, cuda_library: Option<&Path>) -> Result<Opened, DeviceError> {
    let on = |device| Ok(Opened { device, note: None });
    if choice == DeviceChoice::Cpu {
        return on(Device::Cpu);
    }
    let driver = driver();
    let has_driver = driver.is_ok();
    let found = driver
        .and_then(|()| load(cuda_library))
        .and_then(|()| gpus());
    match (choice, found) {
        (DeviceChoice::Cuda(wanted), Ok(there)) if wanted >= there => {
            Err(DeviceError::NoSuchGpu { wanted, there })
        }
        (DeviceChoice::Cuda(number), Ok(_)) => on(Device::Cuda(number)),
        (DeviceChoice::Cuda(_), Err(why)) => Err(DeviceError::NoCuda { why }),
        (_, Ok(_)) => on(Device::Cuda(0)),
        // A laptop without a GPU needs no word; a GPU node on whose CPU a job would run for a day does.
        (_, Err(why)) => Ok(Opened {
            device: Device::Cpu,
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

/// How a device is written: `cpu`, `cuda:0`.
#[must_use]
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(number) => format!("cuda:{number}"),
        _ => "cpu".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names() {
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert_eq!("cpu".parse(), Ok(DeviceChoice::Cpu));
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(3)));
        for wrong in ["", "gpu", "cuda:", "cuda:x", "cpu:0"] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_missing_cuda_library_is_no_reason_to_fall_back_when_cuda_was_asked_for() {
        let error = open(DeviceChoice::Cuda(0), None).unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Machine);
        assert!(error.to_string().contains("--device cpu"), "{error}");
        let error = load(Some(Path::new("nowhere/libtorch_cuda.so"))).unwrap_err();
        assert!(error.contains("nowhere/libtorch_cuda.so"), "{error}");
        let opened = open(DeviceChoice::Auto, None).unwrap();
        assert_eq!(opened.device, Device::Cpu);
        assert_eq!(opened.note.is_some(), driver().is_ok());
    }
}
