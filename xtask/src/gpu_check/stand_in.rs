//! The stand-in: where its scripts are, how it is built, and how a program is started on it. Only
//! what the machine lacks (the scripts, the network, room on the disk) lets the check be skipped;
//! everything else that goes wrong is a failure.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;
use shared::resources::free_space;
use shared::terminal::Terminal;

use crate::project::Project;
use crate::wheels::megabytes;

/// Seen from the repository.
const SCRIPTS: &str = "../shared/tools/cuda-stand-in";
/// What is compiled last.
const LAST_BUILT: &str = "lib/libpose.so";
/// Bytes of the disk for wheels, what is unpacked of them, and what the cases write.
const BYTES_TO_BUILD: u64 = 1_800_000_000;
/// Bytes of the disk that the cases write.
const BYTES_TO_RUN: u64 = 300_000_000;
/// In what pip and the linker say: the package index cannot be reached, or the disk is full.
const NOT_OURS: [&str; 12] = [
    "(from versions: none)",
    "Could not install packages due to an OSError: HTTPSConnectionPool",
    "Connection aborted",
    "Connection refused",
    "ConnectTimeoutError",
    "HTTP error 5",
    "NewConnectionError",
    "No space left on device",
    "ProxyError",
    "ReadTimeoutError",
    "Temporary failure in name resolution",
    "Network is unreachable",
];
/// Variables that would change what a case does.
const DISTURBING: [&str; 5] = [
    "EXTRACTOR_",
    "TRAINER_",
    "STANDIN_",
    "SLURM_",
    "CUDA_VISIBLE_DEVICES",
];

/// Why nothing was checked.
#[derive(Debug)]
pub(super) struct Skipped(String);

impl fmt::Display for Skipped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Skipped {}

/// The folder of the scripts: `asked`, or where it lies beside the repository.
pub(super) fn scripts(project: &Project, asked: Option<&Path>) -> Result<PathBuf> {
    let folder = match asked {
        Some(folder) => folder.to_path_buf(),
        None => project.root().join(SCRIPTS),
    };
    if folder.join("build.sh").is_file() {
        return Ok(folder.canonicalize()?);
    }
    ensure!(
        asked.is_none(),
        "{} has no build.sh: it is not the stand-in's folder",
        folder.display()
    );
    Err(Skipped(format!(
        "there is no stand-in for NVIDIA's libraries in {SCRIPTS} (CUDA_STAND_IN names another folder)"
    ))
    .into())
}

/// The stand-in, ready to be used.
#[derive(Debug, Clone)]
pub(super) struct StandIn {
    /// Folder of the scripts.
    scripts: PathBuf,
    /// Folder of the libraries.
    built: PathBuf,
}

impl StandIn {
    /// Builds it where it is not there yet; [`Skipped`] without network or room.
    pub(super) fn build(scripts: &Path, built: &Path, terminal: &Terminal) -> Result<Self> {
        fs::create_dir_all(built)?;
        let wanted = if built.join(LAST_BUILT).exists() {
            BYTES_TO_RUN
        } else {
            BYTES_TO_BUILD
        };
        let free = free_space(built)?;
        if free < wanted {
            return Err(Skipped(format!(
                "{} MB are free in {}, {} MB are wanted",
                megabytes(free),
                built.display(),
                megabytes(wanted)
            ))
            .into());
        }
        let output = Command::new(scripts.join("build.sh"))
            .arg(built)
            .stdout(Stdio::inherit())
            .output()
            .context("cannot run build.sh of the stand-in")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            terminal.status(errors.trim_end());
            if let Some(line) = not_ours(&errors) {
                return Err(Skipped(format!("it cannot be fetched: {line}")).into());
            }
            bail!("build.sh of the stand-in failed ({})", output.status);
        }
        Ok(Self {
            scripts: scripts.to_path_buf(),
            built: built.to_path_buf(),
        })
    }

    /// The same without cuDNN, made in `folder`.
    pub(super) fn without_cudnn(&self, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        for part in ["torch", "onnxruntime", "nvidia"] {
            let part_of_all = self.built.join(part).canonicalize()?;
            fs::os::unix::fs::symlink(part_of_all, folder.join(part))?;
        }
        let libraries = folder.join("lib");
        fs::create_dir_all(&libraries)?;
        for library in fs::read_dir(self.built.join("lib"))? {
            let library = library?;
            let name = library.file_name();
            if !name.to_string_lossy().starts_with("libcudnn") {
                // They find each other in the folder that they lie in: links would not do.
                fs::copy(library.path(), libraries.join(name))?;
            }
        }
        Ok(Self {
            scripts: self.scripts.clone(),
            built: folder.to_path_buf(),
        })
    }

    /// `program` with a GPU, and with nothing else that would change what it does.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(self.scripts.join("run.sh"));
        command.arg(&self.built).arg("--").arg(program);
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if DISTURBING.iter().any(|begin| text.starts_with(begin)) {
                command.env_remove(&name);
            }
        }
        command.env("HF_HUB_OFFLINE", "1");
        command
    }

    /// One of its Python scripts.
    pub(super) fn script(&self, name: &str) -> Command {
        let mut command = Command::new("python3");
        command.arg(self.scripts.join(name));
        command
    }
}

/// The line that shows that the network or the disk is missing.
fn not_ours(errors: &str) -> Option<&str> {
    errors
        .lines()
        .rev()
        .find(|line| NOT_OURS.iter().any(|sign| line.contains(sign)))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_without_the_stand_in_skips_and_a_wrong_folder_fails() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(&folder.path().join("project"));
        let error = scripts(&project, None).unwrap_err();
        assert!(error.downcast_ref::<Skipped>().is_some(), "{error}");
        let error = scripts(&project, Some(folder.path())).unwrap_err();
        assert!(error.downcast_ref::<Skipped>().is_none(), "{error}");
    }

    /// A folder with a `build.sh` that says `words` and fails.
    fn failing(words: &str) -> anyhow::Error {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("build.sh");
        fs::write(&script, format!("#!/bin/sh\necho '{words}' >&2\nexit 1\n")).unwrap();
        fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let terminal = Terminal::new(shared::terminal::Verbosity::Quiet, false);
        StandIn::build(folder.path(), &folder.path().join("built"), &terminal).unwrap_err()
    }

    #[test]
    fn only_network_and_disk_let_the_check_be_skipped() {
        for words in [
            "ERROR: Could not find a version that satisfies the requirement torch==2.11.0 (from versions: none)",
            "WARNING: Retrying: NewConnectionError: Failed to establish a new connection",
            "g++: error: /tmp/a.o: No space left on device",
        ] {
            let error = failing(words);
            assert!(
                error.downcast_ref::<Skipped>().is_some(),
                "{words}: {error}"
            );
        }
        for words in [
            "runtime.cpp:3:10: error: no type named dim3",
            "ERROR: Could not find a version that satisfies the requirement torch==2.11.0 (from versions: 2.10.0)",
            "No module named pip",
        ] {
            let error = failing(words);
            assert!(
                error.downcast_ref::<Skipped>().is_none(),
                "{words}: {error}"
            );
        }
    }
}
