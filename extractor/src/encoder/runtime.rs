//! ONNX Runtime itself: found and loaded when the first encoder is, quiet, and
//! told which processor to use.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::ep;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::{ComputeDtype, Device, EncoderError, EncoderOptions};

/// The library with ONNX Runtime's CUDA kernels; it lies beside `libonnxruntime.so`.
const CUDA_PROVIDER: &str = "libonnxruntime_providers_cuda.so";

/// Where a session runs, once `auto` is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The CPU.
    Cpu,
    /// The GPU of this number.
    Cuda(i32),
}

impl Target {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda(_) => "cuda",
        }
    }
}

/// Decides where to run and tells what a user should know about the choice.
pub(super) fn target(options: &EncoderOptions) -> Result<(Target, Vec<String>), EncoderError> {
    let mut notes = Vec::new();
    let target = match options.device {
        Device::Cpu => Target::Cpu,
        Device::Cuda(number) => cuda(number)?,
        Device::Auto if !has_gpu() => Target::Cpu,
        Device::Auto => cuda(0).unwrap_or_else(|error| {
            notes.push(format!("there is a GPU, but the CPU is used: {error}"));
            Target::Cpu
        }),
    };
    if target == Target::Cpu && options.dtype == ComputeDtype::F16 {
        return Err(EncoderError::HalfOnCpu);
    }
    Ok((target, notes))
}

/// Whether the kernel has an NVIDIA driver loaded.
fn has_gpu() -> bool {
    Path::new("/proc/driver/nvidia/version").exists()
}

/// Makes sure that a session on this GPU can be made.
fn cuda(number: usize) -> Result<Target, EncoderError> {
    let failed = |reason: String| EncoderError::Device {
        device: Device::Cuda(number).to_string(),
        reason,
    };
    let index = i32::try_from(number).map_err(|_| failed("there is no such GPU".to_owned()))?;
    let library = shared::native::onnxruntime()?;
    let provider = library.with_file_name(CUDA_PROVIDER);
    if !provider.exists() {
        let found = library.display();
        return Err(failed(format!(
            "{found} has no CUDA kernels beside it; `cargo xtask setup --cuda` fetches them"
        )));
    }
    preload_cuda(&library);
    let target = Target::Cuda(index);
    session_builder(target, 1).map_err(|error| failed(error.to_string()))?;
    Ok(target)
}

/// Opens the CUDA libraries that the wheels put beside ONNX Runtime's, so that no search path has
/// to be set. What is missing here may be installed in the system: the provider itself tells.
fn preload_cuda(onnxruntime: &Path) {
    let folder = |name: &str| -> Option<PathBuf> {
        let folder = onnxruntime
            .parent()?
            .parent()?
            .parent()?
            .join("nvidia")
            .join(name)
            .join("lib");
        folder.is_dir().then_some(folder)
    };
    for (cuda, cudnn) in [(folder("cu13"), None), (None, folder("cudnn"))] {
        let _ = ep::cuda::preload_dylibs(cuda.as_deref(), cudnn.as_deref());
    }
}

/// A session on `target`, not yet given its graph.
pub(super) fn session_builder(
    target: Target,
    threads: usize,
) -> Result<SessionBuilder, EncoderError> {
    configure(&environment()?, target, threads).map_err(|source| EncoderError::Session {
        provider: target.name(),
        source,
    })
}

fn configure(
    environment: &Environment,
    target: Target,
    threads: usize,
) -> ort::Result<SessionBuilder> {
    let builder = Session::builder(environment)?
        .with_log_level(LogLevel::Error)?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?;
    let Target::Cuda(number) = target else {
        return Ok(builder);
    };
    // TensorFloat-32 keeps 10 bits of a product: hidden states would no longer be float32's.
    let provider = ep::CUDA::default()
        .with_device_id(number)
        .with_tf32(false)
        .build()
        .error_on_failure();
    Ok(builder.with_execution_providers([provider])?)
}

/// ONNX Runtime allows one environment a process; it lives as long as that.
fn environment() -> Result<Environment, EncoderError> {
    static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);
    let mut slot = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*slot {
        return Ok(environment.clone());
    }
    let path = shared::native::onnxruntime()?;
    let builder = ort::init_from(&path).map_err(|error| EncoderError::Load {
        reason: error.to_string(),
    })?;
    let environment = builder
        .with_name("extractor")
        .with_telemetry(false)
        .build()
        .map_err(|error| EncoderError::Load {
            reason: error.to_string(),
        })?;
    environment.set_log_level(LogLevel::Error);
    Ok(slot.insert(environment).clone())
}
