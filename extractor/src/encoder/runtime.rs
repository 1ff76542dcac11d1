//! ONNX Runtime itself: found and loaded when the first encoder is, quiet, and told which device to
//! use.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use libloading::Library;
use ort::environment::Environment;
use ort::ep;
use ort::ep::cuda::AttentionBackend;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use shared::device::DeviceChoice;

use super::cuda::Cuda;
use super::error::EncoderError;
use super::options::{Device, EncoderOptions};
use super::placement;
use super::provider::Provider;

/// The library with ONNX Runtime's CUDA kernels; it lies beside `libonnxruntime.so`.
pub(crate) const CUDA_PROVIDER: &str = "libonnxruntime_providers_cuda.so";

/// Where a session runs, once `auto` is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The CPU.
    Cpu,
    /// The GPU of this number.
    Cuda(i32),
}

impl Target {
    /// The execution provider.
    pub(crate) const fn provider(self) -> Provider {
        match self {
            Self::Cpu => Provider::Cpu,
            Self::Cuda(_) => Provider::Cuda,
        }
    }
}

impl fmt::Display for Target {
    /// The device: `cpu`, `cuda:0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// The devices that a user's choice means: the first, and the GPUs beside it.
///
/// # Errors
/// When all GPUs are wanted and they cannot be counted, or there is none.
pub(crate) fn devices(choice: &DeviceChoice) -> Result<(Device, Vec<Device>), EncoderError> {
    let numbers = match choice {
        DeviceChoice::Auto => return Ok((Device::Auto, Vec::new())),
        DeviceChoice::Cpu => return Ok((Device::Cpu, Vec::new())),
        DeviceChoice::Gpus(numbers) => numbers.clone(),
        DeviceChoice::AllGpus => (0..gpus()?).collect(),
    };
    // One alone is looked for when it is opened.
    if numbers.len() > 1 {
        let there = gpus()?;
        if let Some(&number) = numbers.iter().find(|&&number| number >= there) {
            return Err(EncoderError::Device {
                device: Device::Cuda(number).to_string(),
                reason: no_such_gpu(there),
            });
        }
    }
    let mut devices = numbers.into_iter().map(Device::Cuda);
    Ok((devices.next().unwrap_or(Device::Cuda(0)), devices.collect()))
}

/// Decides where to run and tells what a user should know about the choice.
pub(crate) fn target(options: &EncoderOptions) -> Result<(Target, Vec<String>), EncoderError> {
    let mut notes = Vec::new();
    let target = match options.device {
        Device::Cpu => Target::Cpu,
        Device::Cuda(number) => cuda(number)?,
        Device::Auto if !shared::gpu::has_driver() => Target::Cpu,
        Device::Auto => cuda(0).unwrap_or_else(|error| {
            notes.push(format!("there is a GPU, but the CPU is used: {error}"));
            Target::Cpu
        }),
    };
    if target == Target::Cpu && options.dtype.needs_gpu() {
        let dtype = options.dtype;
        return Err(EncoderError::HalfOnCpu { dtype });
    }
    Ok((target, notes))
}

/// Makes something of a session builder where the options say. What a GPU turns out not to run,
/// `auto` makes for the CPU, with a note; a GPU that was asked for is an error.
pub(crate) fn on_device<T>(
    options: &EncoderOptions,
    mut make: impl FnMut(Target, SessionBuilder) -> Result<T, EncoderError>,
) -> Result<(T, Target, Vec<String>), EncoderError> {
    let (target, notes) = target(options)?;
    or_on_cpu(options, target, notes, |target| {
        let mut builder = session_builder(target, options.threads)?;
        if options.profile {
            let profiled = builder.with_profiling(placement::profile_path());
            builder = profiled.map_err(|error| EncoderError::Session {
                device: target.to_string(),
                source: error.into(),
            })?;
        }
        make(target, builder)
    })
}

fn or_on_cpu<T>(
    options: &EncoderOptions,
    target: Target,
    mut notes: Vec<String>,
    mut make: impl FnMut(Target) -> Result<T, EncoderError>,
) -> Result<(T, Target, Vec<String>), EncoderError> {
    let can_change =
        options.device == Device::Auto && target != Target::Cpu && !options.dtype.needs_gpu();
    match make(target) {
        Err(error @ EncoderError::Session { .. }) if can_change => {
            notes.push(format!("there is a GPU, but the CPU is used: {error}"));
            Ok((make(Target::Cpu)?, Target::Cpu, notes))
        }
        done => Ok((done?, target, notes)),
    }
}

/// Makes sure that a session on this GPU can be made, and that what it opens at its first run is
/// there.
fn cuda(number: usize) -> Result<Target, EncoderError> {
    let failed = |reason: String| EncoderError::Device {
        device: Device::Cuda(number).to_string(),
        reason,
    };
    let index = i32::try_from(number).map_err(|_| failed("there is no such GPU".to_owned()))?;
    // Where the library is not found under a name of ours, the provider tells what it misses.
    if let Some(cuda) = open_cuda().map_err(failed)? {
        let there = cuda.devices().map_err(failed)?;
        if number >= there {
            return Err(failed(no_such_gpu(there)));
        }
        if let Some(missing) = missing_libraries(&cuda) {
            return Err(failed(missing));
        }
    }
    let target = Target::Cuda(index);
    session_builder(target, 1).map_err(|error| failed(error.to_string()))?;
    Ok(target)
}

/// How many GPUs this process may use.
///
/// # Errors
/// When they cannot be counted, or none can be used at all.
pub(crate) fn gpus() -> Result<usize, EncoderError> {
    let count = || match open_cuda()? {
        Some(cuda) => cuda.devices(),
        None => Err("NVIDIA's runtime library is missing".to_owned()),
    };
    match count() {
        Ok(0) => Err(no_such_gpu(0)),
        counted => counted,
    }
    .map_err(|reason| EncoderError::Device {
        device: "cuda".to_owned(),
        reason,
    })
}

/// Free bytes on a GPU.
///
/// # Errors
/// When NVIDIA's library does not tell.
pub(crate) fn free_memory(number: i32) -> Result<u64, EncoderError> {
    let free = Cuda::open().and_then(|cuda| cuda.free_memory(number));
    free.map_err(|reason| EncoderError::Device {
        device: format!("cuda:{number}"),
        reason,
    })
}

/// NVIDIA's runtime library, after all CUDA libraries that lie beside ONNX Runtime were opened;
/// none where it is not found.
fn open_cuda() -> Result<Option<Cuda>, String> {
    let library = shared::native::onnxruntime().map_err(|error| error.to_string())?;
    if !library.with_file_name(CUDA_PROVIDER).exists() {
        let found = library.display();
        return Err(format!(
            "{found} has no CUDA kernels beside it; `cargo xtask setup --cuda` fetches them"
        ));
    }
    preload_cuda(&library);
    Ok(Cuda::open().ok())
}

/// The libraries that ONNX Runtime opens no earlier than at its first run, and without which that
/// run fails, in words; none if all are there.
fn missing_libraries(cuda: &Cuda) -> Option<String> {
    let missing: Vec<String> = cuda
        .opened_at_first_run()
        .into_iter()
        .filter_map(|(what, file)| {
            #[expect(unsafe_code, reason = "there is no other way to find out")]
            // SAFETY: the same library that ONNX Runtime opens when it runs, with the same
            // initialisers.
            let opened = unsafe { Library::new(file) };
            let error = opened.err()?;
            let reason = std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), ToString::to_string);
            Some(format!("{what} is missing: {reason}"))
        })
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "{}; `cargo xtask setup --cuda` fetches it, a folder in LD_LIBRARY_PATH may have it",
            missing.join("; ")
        )
    })
}

/// What CUDA libraries are found, in words, for `doctor`.
pub(crate) fn cuda_libraries() -> Result<String, String> {
    let cuda = open_cuda()?.ok_or_else(|| "NVIDIA's runtime library is missing".to_owned())?;
    match missing_libraries(&cuda) {
        Some(missing) => Err(missing),
        None => Ok(format!(
            "CUDA {}, cuDNN and cuFFT are found",
            cuda.version()
        )),
    }
}

fn no_such_gpu(there: usize) -> String {
    format!(
        "there is no such GPU; this process may use {there}, numbered from 0 (CUDA_VISIBLE_DEVICES counts)"
    )
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
pub(crate) fn session_builder(
    target: Target,
    threads: usize,
) -> Result<SessionBuilder, EncoderError> {
    configure(&environment()?, target, threads).map_err(|source| EncoderError::Session {
        device: target.to_string(),
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
    let provider = ep::CUDA::default()
        .with_device_id(number)
        // TensorFloat-32 keeps 10 bits of a product: hidden states would no longer be float32's.
        .with_tf32(false)
        // Float16 encoders have float32 layer norms and softmax. Softmax is so in every kernel that
        // `Attention` chooses among (contrib_ops/cuda/bert/attention_softmax.h; cuDNN's and the
        // flash kernels accumulate in float32, as cuBLAS does in matrix products).
        // `SkipLayerNormalization` added up in float16 unless it was told to be strict, until
        // https://github.com/microsoft/onnxruntime/pull/28682, since when this option is ignored.
        .with_skip_layer_norm_strict_mode(true)
        // On Hopper cuDNN's attention would be preferred, which builds a plan for each shape of a
        // batch: 55 to 440 ms each (https://github.com/microsoft/onnxruntime/issues/29717).
        .with_attention_backend(
            AttentionBackend::FLASH_ATTENTION
                | AttentionBackend::EFFICIENT_ATTENTION
                | AttentionBackend::MATH,
        )
        // The largest batch comes first, so what the arena takes then is all it needs.
        .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
        .build()
        .error_on_failure();
    // With it, ONNX Runtime takes one block for all activations when a shape comes for the second time, beside what the
    // arena has already: memory that the largest batch did not need.
    let builder = builder.with_memory_pattern(false)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ComputeDtype;

    /// What becomes of an encoder that the GPU does not run, and on which targets it was tried.
    fn without_gpu(options: &EncoderOptions) -> (Result<Vec<String>, EncoderError>, Vec<Target>) {
        // Its errors are strings of the library's.
        environment().unwrap();
        let mut tried = Vec::new();
        let made = or_on_cpu(options, Target::Cuda(0), Vec::new(), |target| {
            tried.push(target);
            if target == Target::Cpu {
                return Ok(());
            }
            Err(EncoderError::Session {
                device: target.to_string(),
                source: ort::Error::new("out of memory"),
            })
        });
        (made.map(|((), _, notes)| notes), tried)
    }

    #[test]
    fn auto_goes_on_without_the_gpu_and_says_so() {
        let (notes, tried) = without_gpu(&EncoderOptions::default());
        assert_eq!(tried, [Target::Cuda(0), Target::Cpu]);
        let notes = notes.unwrap();
        assert_eq!(notes.len(), 1);
        assert!(
            notes[0].contains("the CPU is used") && notes[0].contains("out of memory"),
            "{notes:?}"
        );
    }

    #[test]
    fn a_gpu_that_was_asked_for_is_never_replaced() {
        let asked = EncoderOptions {
            device: Device::Cuda(0),
            ..EncoderOptions::default()
        };
        let half = EncoderOptions {
            dtype: ComputeDtype::F16,
            ..EncoderOptions::default()
        };
        for options in [asked, half] {
            let (made, tried) = without_gpu(&options);
            assert!(made.unwrap_err().to_string().contains("out of memory"));
            assert_eq!(tried, [Target::Cuda(0)]);
        }
    }

    #[test]
    fn other_errors_are_not_tried_again() {
        let options = EncoderOptions::default();
        let mut tried = 0;
        let made: Result<((), _, _), _> = or_on_cpu(&options, Target::Cuda(0), Vec::new(), |_| {
            tried += 1;
            Err(EncoderError::HalfOnCpu {
                dtype: ComputeDtype::F16,
            })
        });
        assert!(made.is_err() && tried == 1);
    }
}
