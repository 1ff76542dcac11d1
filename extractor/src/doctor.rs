//! What the extractor finds on this machine and what it would do with it.
//!
//! Half of all trouble on a cluster is a library of another version, a GPU that the job did not
//! get, or a job that has less memory than its node. This prints all of it in one go, for people to
//! read and to mail.

use std::path::Path;

use shared::exit::ExitStatus;
use shared::native;
use shared::resources;
use shared::size::format_bytes;
use shared::terminal::Terminal;

use crate::encoder::runtime;

/// Prints libraries, devices, threads, memory and file system on stdout; fails when ONNX Runtime is
/// not usable.
#[must_use]
pub fn run(out: Option<&Path>, terminal: &Terminal) -> ExitStatus {
    let line = |what: &str, text: String| terminal.result(format!("{what:<14} {text}"));
    line("extractor", env!("CARGO_PKG_VERSION").to_owned());
    let usable = match native::onnxruntime() {
        Ok(library) => {
            line("ONNX Runtime", onnxruntime(&library));
            line("CUDA kernels", cuda_kernels(&library));
            if library.with_file_name(runtime::CUDA_PROVIDER).exists() {
                line("CUDA libraries", cuda_libraries());
            }
            true
        }
        Err(error) => {
            terminal.error(error.to_string(), &[]);
            false
        }
    };
    line("GPU", gpu());
    line("threads", threads());
    line("memory", memory());
    line(
        "file system",
        file_system(out.unwrap_or_else(|| Path::new("."))),
    );
    if usable {
        ExitStatus::Success
    } else {
        ExitStatus::User
    }
}

fn onnxruntime(library: &Path) -> String {
    let version =
        native::onnxruntime_version(library).unwrap_or_else(|| "unknown version".to_owned());
    let tested = native::ONNXRUNTIME_VERSION;
    let note = if version == tested {
        String::new()
    } else {
        format!(" (tested with {tested})")
    };
    format!("{version}{note} at {}", library.display())
}

fn cuda_kernels(library: &Path) -> String {
    let provider = library.with_file_name(runtime::CUDA_PROVIDER);
    if provider.exists() {
        return format!("at {}", provider.display());
    }
    "none beside ONNX Runtime: --device auto is the CPU; `cargo xtask setup --cuda` fetches them"
        .to_owned()
}

/// What ONNX Runtime opens on a GPU, some of it no earlier than at its first run.
fn cuda_libraries() -> String {
    match runtime::cuda_libraries() {
        Ok(found) => found,
        Err(missing) => format!("{missing}: --device auto is the CPU"),
    }
}

fn gpu() -> String {
    shared::gpu::description()
        .unwrap_or_else(|| "no NVIDIA driver is loaded: --device auto is the CPU".to_owned())
}

fn threads() -> String {
    let slurm = std::env::var("SLURM_CPUS_PER_TASK").map_or_else(
        |_| String::new(),
        |share| format!(", SLURM_CPUS_PER_TASK={share}"),
    );
    let machine = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    format!(
        "{} ({machine} allowed to this process{slurm})",
        resources::threads()
    )
}

fn memory() -> String {
    let known = |bytes_or_none: Option<u64>, none: &str| {
        bytes_or_none.map_or_else(|| none.to_owned(), format_bytes)
    };
    let available = known(resources::memory_available(), "unknown");
    format!(
        "{available} available, limit of the job: {}",
        known(resources::memory_limit(), "none")
    )
}

fn file_system(path: &Path) -> String {
    let kind = resources::file_system(path)
        .map_or_else(|error| error.to_string(), |kind| kind.to_string());
    let free = resources::free_space(path).map_or_else(|error| error.to_string(), format_bytes);
    format!("{kind}, {free} free at {}", path.display())
}
