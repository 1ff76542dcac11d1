//! Finding the native libraries: ONNX Runtime and libtorch lie in a `lib` folder that moves with the programs, so that
//! nobody has to set a variable. Whoever has their own names it with `ORT_DYLIB_PATH` or `LIBTORCH`.
//!
//! The folder has the layout of the Python wheels, by which the libraries find each other:
//! `lib/onnxruntime/capi`, `lib/torch/lib`, `lib/nvidia/cu13/lib`.

use std::io;
use std::path::{Path, PathBuf};

use crate::exit::{ExitStatus, HasExitStatus};

/// The version of ONNX Runtime that the programs are tested with.
pub const ONNXRUNTIME_VERSION: &str = "1.31.1";
/// The version of libtorch whose binary interface the trainer is built for.
pub const LIBTORCH_VERSION: &str = "2.11.0";

/// What libtorch's own folder must hold.
const TORCH_FILES: [&str; 3] = ["libtorch_cpu.so", "libc10.so", "libgomp.so.1"];
/// What `libtorch_cpu.so` of the wheel links to in turn, with a GPU or without.
const CUDA_FILES: [&str; 2] = ["libcudart.so.13", "libcupti.so.13"];

/// Why a native library cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NativeError {
    /// No `lib` folder holds the library.
    #[error(
        "{library} is not there; looked for {file} in:{}\nrun `cargo xtask setup`, or copy the `lib` folder beside the program, or set {variable}",
        listed(.searched)
    )]
    Missing {
        /// The library's name.
        library: &'static str,
        /// The file that stands for it.
        file: &'static str,
        /// Folders that were looked into.
        searched: Vec<PathBuf>,
        /// The variable that names a library elsewhere.
        variable: &'static str,
    },
    /// A folder was found but lacks files.
    #[error(
        "{library} in {} is not complete; missing:{}\nrun `cargo xtask setup` again, or copy the whole `lib` folder beside the program",
        .folder.display(), listed(.missing)
    )]
    Incomplete {
        /// The library's name.
        library: &'static str,
        /// Where it was found.
        folder: PathBuf,
        /// The files that should be there.
        missing: Vec<PathBuf>,
    },
    /// A variable points to nothing.
    #[error("{variable}={} does not exist: let it name {wanted}, or unset it and run `cargo xtask setup` for the `lib` folder", .path.display())]
    Variable {
        /// The variable.
        variable: &'static str,
        /// Its value.
        path: PathBuf,
        /// What it should name.
        wanted: &'static str,
    },
    /// A library of another version than the program was built for.
    #[error(
        "libtorch in {} is version {got}, expected {LIBTORCH_VERSION}\nrun `cargo xtask setup`, or let LIBTORCH name a libtorch {LIBTORCH_VERSION}",
        .folder.display()
    )]
    Version {
        /// Where it was found.
        folder: PathBuf,
        /// The version found.
        got: String,
    },
    /// A file could not be read.
    #[error("cannot read a native library: {0}")]
    Io(#[from] io::Error),
}

impl HasExitStatus for NativeError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Io(error) => ExitStatus::of_io(error),
            _ => ExitStatus::User,
        }
    }
}

/// Where libtorch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TorchLibraries {
    /// The folder that holds `lib/libtorch_cpu.so`.
    pub folder: PathBuf,
    /// What `build-version` says, such as `2.11.0+cu130`.
    pub version: String,
    /// Folders for the dynamic linker (`LD_LIBRARY_PATH`), in order.
    pub search_path: Vec<PathBuf>,
    /// `libtorch_cuda.so`, where a CUDA set-up is there.
    pub cuda: Option<PathBuf>,
}

/// Folders that may be the `lib` folder, best first: beside the program, then up to three folders above it.
#[must_use]
pub fn library_dirs() -> Vec<PathBuf> {
    // A symbolic link to the program (`~/bin/trainer`) stands for the place it points to.
    let program = std::env::current_exe().and_then(|path| path.canonicalize());
    program
        .map(|program| library_dirs_of(&program))
        .unwrap_or_default()
}

fn library_dirs_of(program: &Path) -> Vec<PathBuf> {
    program
        .ancestors()
        .skip(1)
        .take(4)
        .map(|folder| folder.join("lib"))
        .collect()
}

/// The file of ONNX Runtime: what `ORT_DYLIB_PATH` names (the file, or a folder that holds it),
/// else that in a `lib` folder.
///
/// # Errors
/// [`NativeError`] when it is nowhere, or the variable names nothing.
pub fn onnxruntime() -> Result<PathBuf, NativeError> {
    find_onnxruntime(variable("ORT_DYLIB_PATH"), &library_dirs())
}

/// The version in the name of an ONNX Runtime library, where the name has one; another than [`ONNXRUNTIME_VERSION`]
/// is worth a word to the user but may work.
#[must_use]
pub fn onnxruntime_version(library: &Path) -> Option<String> {
    // The library is often reached through a link without a version.
    let library = library
        .canonicalize()
        .unwrap_or_else(|_| library.to_path_buf());
    let name = library.file_name()?.to_str()?;
    name.strip_prefix("libonnxruntime.so.")
        .filter(|version| !version.is_empty())
        .map(str::to_owned)
}

fn find_onnxruntime(named: Option<PathBuf>, dirs: &[PathBuf]) -> Result<PathBuf, NativeError> {
    const VARIABLE: &str = "ORT_DYLIB_PATH";
    if let Some(path) = named {
        let file = if path.is_dir() {
            onnxruntime_in(&path)?
        } else {
            path.is_file().then(|| path.clone())
        };
        return file.ok_or(NativeError::Variable {
            variable: VARIABLE,
            path,
            wanted: "a libonnxruntime.so",
        });
    }
    for dir in dirs {
        if let Some(file) = onnxruntime_in(&dir.join("onnxruntime/capi"))? {
            return Ok(file);
        }
    }
    let file = "onnxruntime/capi/libonnxruntime.so.*";
    Err(NativeError::Missing {
        library: "ONNX Runtime",
        file,
        searched: dirs.to_vec(),
        variable: VARIABLE,
    })
}

/// The library in a folder: of several, the tested version, else the last by name.
fn onnxruntime_in(folder: &Path) -> io::Result<Option<PathBuf>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name == "libonnxruntime.so" || name.starts_with("libonnxruntime.so.") {
            found.push(path);
        }
    }
    found.sort();
    let tested = found
        .iter()
        .position(|path| onnxruntime_version(path).as_deref() == Some(ONNXRUNTIME_VERSION));
    Ok(tested
        .map(|index| found[index].clone())
        .or_else(|| found.pop()))
}

/// The libraries of libtorch: those of the folder that `LIBTORCH` names, else those in a `lib` folder.
///
/// # Errors
/// [`NativeError`] when they are nowhere, not complete, or of another version than [`LIBTORCH_VERSION`].
pub fn torch() -> Result<TorchLibraries, NativeError> {
    find_torch(variable("LIBTORCH"), &library_dirs())
}

fn find_torch(named: Option<PathBuf>, dirs: &[PathBuf]) -> Result<TorchLibraries, NativeError> {
    const VARIABLE: &str = "LIBTORCH";
    if let Some(folder) = named {
        if !folder.join("lib").is_dir() {
            let wanted = "a folder with lib/libtorch_cpu.so in it";
            return Err(NativeError::Variable {
                variable: VARIABLE,
                path: folder,
                wanted,
            });
        }
        return torch_in(folder);
    }
    let file = "torch/lib/libtorch_cpu.so";
    match dirs
        .iter()
        .map(|dir| dir.join("torch"))
        .find(|folder| folder.is_dir())
    {
        Some(folder) => torch_in(folder),
        None => Err(NativeError::Missing {
            library: "libtorch",
            file,
            searched: dirs.to_vec(),
            variable: VARIABLE,
        }),
    }
}

/// `folder` is `lib/torch` of the wheels, or a libtorch unpacked from its own archive, which brings
/// CUDA's libraries itself.
fn torch_in(folder: PathBuf) -> Result<TorchLibraries, NativeError> {
    let folder = folder.canonicalize().unwrap_or(folder);
    let own = folder.join("lib");
    let cuda_runtime = folder.parent().unwrap_or(&folder).join("nvidia/cu13/lib");
    let wheel = folder.join("version.py").is_file();
    let mut needed: Vec<PathBuf> = TORCH_FILES
        .iter()
        .take(if wheel { 3 } else { 2 })
        .map(|file| own.join(file))
        .collect();
    if wheel {
        needed.extend(CUDA_FILES.iter().map(|file| cuda_runtime.join(file)));
    }
    let missing: Vec<PathBuf> = needed.into_iter().filter(|file| !file.is_file()).collect();
    if !missing.is_empty() {
        return Err(NativeError::Incomplete {
            library: "libtorch",
            folder,
            missing,
        });
    }
    let version = fs_err::read_to_string(folder.join("build-version"))?
        .trim()
        .to_owned();
    // The part after the plus sign tells CPU from CUDA builds, whose interface is the same.
    if version.split('+').next() != Some(LIBTORCH_VERSION) {
        return Err(NativeError::Version {
            folder,
            got: version,
        });
    }
    let cuda = Some(own.join("libtorch_cuda.so")).filter(|file| file.is_file());
    let search_path = [own, cuda_runtime]
        .into_iter()
        .filter(|dir| dir.is_dir())
        .collect();
    Ok(TorchLibraries {
        folder,
        version,
        search_path,
        cuda,
    })
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn listed(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return " (no folder: the program's own place is unknown)".to_owned();
    }
    let lines: Vec<String> = paths
        .iter()
        .map(|path| format!("\n  {}", path.display()))
        .collect();
    lines.concat()
}

#[cfg(test)]
mod tests;
