//! What a set-up consists of: which wheels, and which files of them. The CPU set leaves out libtorch's CUDA half,
//! everything Python, static libraries and the profilers' helpers, which takes 1.5 GB down to 0.6 GB.

use std::env;
use std::path::Path;

use anyhow::{Context, Result};
use fs_err as fs;

use crate::project::Project;
use crate::wheels::{ONNXRUNTIME, ONNXRUNTIME_GPU, TORCH, TORCH_CUDA_NEEDS, TORCH_NEEDS, Wheel};

/// The wanted libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Runtimes {
    /// With the CUDA halves of what is wanted.
    pub(crate) cuda: bool,
    pub(crate) torch: bool,
    pub(crate) onnxruntime: bool,
}

impl Runtimes {
    /// What this set needs, the largest first.
    pub(crate) fn wheels(self) -> Vec<Wheel> {
        let mut wheels = Vec::new();
        if self.torch {
            wheels.push(TORCH);
            wheels.extend(TORCH_NEEDS);
        }
        // ONNX Runtime's CUDA provider opens the same CUDA libraries as libtorch.
        if self.cuda {
            wheels.extend(TORCH_CUDA_NEEDS);
            if !self.torch {
                wheels.extend(TORCH_NEEDS);
            }
        }
        if self.onnxruntime {
            wheels.push(if self.cuda {
                ONNXRUNTIME_GPU
            } else {
                ONNXRUNTIME
            });
        }
        wheels
    }

    /// Whether the file at `path` inside a wheel is needed to compile or run the programs, or is its licence.
    pub(crate) fn keeps(self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        if path.contains(".dist-info/licenses/")
            || path == "onnxruntime/LICENSE"
            || path == "nvidia/cusparselt/LICENSE.txt"
        {
            return !name.is_empty();
        }
        if path.starts_with("torch/include/") {
            return !name.is_empty();
        }
        // The programs tell a wheel's libtorch by it, and `write_build_version` reads it.
        if path == TORCH_VERSION_FILE {
            return true;
        }
        let library = name.starts_with("lib") && name.split('.').any(|part| part == "so");
        if !library {
            return false;
        }
        if let Some(library) = path.strip_prefix("torch/lib/") {
            return self.keeps_torch(library);
        }
        match path {
            _ if path.starts_with("onnxruntime/capi/") => !name.contains("tensorrt"),
            "nvidia/cu13/lib/libcudart.so.13" | "nvidia/cu13/lib/libcupti.so.13" => true,
            _ => {
                self.cuda
                    && path.starts_with("nvidia/")
                    && !UNUSED_CUDA.iter().any(|unused| name.starts_with(unused))
            }
        }
    }

    fn keeps_torch(self, library: &str) -> bool {
        match library {
            "libc10.so" | "libgomp.so.1" | "libtorch.so" | "libtorch_cpu.so" => true,
            "libc10_cuda.so"
            | "libcaffe2_nvrtc.so"
            | "libtorch_cuda.so"
            | "libtorch_cuda_linalg.so"
            | "libtorch_nvshmem.so" => self.cuda,
            _ => false,
        }
    }
}

const TORCH_VERSION_FILE: &str = "torch/version.py";

/// Writes `torch/build-version`, by which `tch` and the programs check the version: libtorch's own archives have the
/// file, the wheel has not.
pub(crate) fn write_build_version(lib: &Path) -> Result<()> {
    let path = lib.join(TORCH_VERSION_FILE);
    if !path.exists() {
        return Ok(());
    }
    let text = fs::read_to_string(&path)?;
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("__version__ = "))
        .map(|version| version.trim_matches(['\'', '"']))
        .with_context(|| format!("{} tells no __version__", path.display()))?;
    Ok(fs::write(
        lib.join("torch/build-version"),
        format!("{version}\n"),
    )?)
}

/// Libraries in the CUDA wheels that neither libtorch nor ONNX Runtime opens: alternatives, multi-GPU solvers and the
/// profilers' helpers.
const UNUSED_CUDA: [&str; 8] = [
    "libcheckpoint.",
    "libcufftw.",
    "libcusolverMg.",
    "libnvblas.",
    "libnvperf_",
    "libnvrtc-builtins.alt.",
    "libnvrtc.alt.",
    "libpcsamplingutil.",
];

impl Project {
    /// Both libraries, less those that the user brings.
    pub(crate) fn wanted_runtimes(&self, cuda: bool) -> Runtimes {
        Runtimes {
            cuda,
            torch: self.own_torch.is_none(),
            onnxruntime: self.own_onnxruntime.is_none(),
        }
    }
}

/// Whether this machine has an NVIDIA driver.
pub(crate) fn has_nvidia_driver() -> bool {
    const FOLDERS: [&str; 5] = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/nvidia/lib64",
        "/usr/lib/wsl/lib",
    ];
    let searched = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    Path::new("/dev/nvidiactl").exists()
        || env::split_paths(&searched)
            .chain(FOLDERS.iter().map(Into::into))
            .any(|folder| folder.join("libcuda.so.1").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: Runtimes = Runtimes {
        cuda: false,
        torch: true,
        onnxruntime: true,
    };
    const CUDA: Runtimes = Runtimes { cuda: true, ..CPU };

    #[test]
    fn both_sets_keep_what_the_programs_compile_against_and_load() {
        for path in [
            "torch/version.py",
            "torch/include/ATen/ATen.h",
            "torch/include/torch/csrc/api/include/torch/all.h",
            "torch/lib/libtorch_cpu.so",
            "torch/lib/libgomp.so.1",
            "nvidia/cu13/lib/libcudart.so.13",
            "nvidia/cu13/lib/libcupti.so.13",
            "onnxruntime/capi/libonnxruntime.so.1.31.1",
            "onnxruntime/capi/libonnxruntime_providers_shared.so",
            "torch-2.11.0.dist-info/licenses/LICENSE",
        ] {
            assert!(CPU.keeps(path) && CUDA.keeps(path), "{path}");
        }
    }

    #[test]
    fn the_cpu_set_leaves_out_the_cuda_half() {
        for path in [
            "torch/lib/libtorch_cuda.so",
            "torch/lib/libc10_cuda.so",
            "nvidia/cu13/lib/libcublasLt.so.13",
            "nvidia/cudnn/lib/libcudnn.so.9",
            "nvidia/nccl/lib/libnccl.so.2",
        ] {
            assert!(!CPU.keeps(path) && CUDA.keeps(path), "{path}");
        }
    }

    #[test]
    fn neither_set_keeps_python_static_libraries_or_folders() {
        for path in [
            "torch/__init__.py",
            "torch/lib/libtorch_python.so",
            "torch/lib/",
            "torch/include/",
            "torch/bin/ptxas",
            "torch-2.11.0.dist-info/RECORD",
            "nvidia/cu13/lib/libcudart_static.a",
            "nvidia/cu13/lib/libnvperf_host.so",
            "nvidia/cu13/include/cupti.h",
            "onnxruntime/capi/onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so",
            "onnxruntime/capi/libonnxruntime_providers_tensorrt.so",
        ] {
            assert!(!CPU.keeps(path) && !CUDA.keeps(path), "{path}");
        }
    }

    #[test]
    fn the_version_is_told_as_in_libtorchs_own_archives() {
        let lib = tempfile::tempdir().unwrap();
        write_build_version(lib.path()).unwrap();
        fs::create_dir_all(lib.path().join("torch")).unwrap();
        let version =
            "from typing import Optional\n\n__version__ = '2.11.0+cu130'\ndebug = False\n";
        fs::write(lib.path().join("torch/version.py"), version).unwrap();
        write_build_version(lib.path()).unwrap();
        let written = fs::read_to_string(lib.path().join("torch/build-version")).unwrap();
        assert_eq!(written, "2.11.0+cu130\n");
    }

    #[test]
    fn what_the_user_brings_is_not_fetched() {
        let only_torch = Runtimes {
            onnxruntime: false,
            ..CPU
        };
        assert!(
            only_torch
                .wheels()
                .iter()
                .all(|wheel| wheel.package != "onnxruntime")
        );
        let only_onnxruntime = Runtimes {
            torch: false,
            ..CPU
        };
        assert_eq!(only_onnxruntime.wheels(), [ONNXRUNTIME]);
        assert!(CUDA.wheels().contains(&ONNXRUNTIME_GPU) && !CUDA.wheels().contains(&ONNXRUNTIME));
    }
}
