//! The marker in `lib/` that tells which libraries a set-up put there, so that a second set-up is over at once and a
//! damaged or outdated one is noticed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use fs_err as fs;
use serde::{Deserialize, Serialize};
use shared::files::write_atomic;

use crate::runtimes::Runtimes;

const MARKER: &str = "installed.json";

/// What lies in `lib/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Installed {
    pub(crate) cuda: bool,
    /// The user asked for this set with `--cpu` or `--cuda`: it stays until another is asked for.
    pub(crate) chosen: bool,
    /// Package to version.
    pub(crate) packages: BTreeMap<String, String>,
    /// Library to size in bytes: a copy that was cut short is found without reading gigabytes.
    pub(crate) libraries: BTreeMap<String, u64>,
}

impl Installed {
    /// Describes `folder` after `runtimes` were unpacked into it.
    pub(crate) fn describe(folder: &Path, runtimes: Runtimes, chosen: bool) -> Result<Self> {
        let packages = runtimes
            .wheels()
            .iter()
            .map(|wheel| (wheel.package.to_owned(), wheel.version.to_owned()))
            .collect();
        let mut libraries = BTreeMap::new();
        list_libraries(folder, folder, &mut libraries)?;
        Ok(Self {
            cuda: runtimes.cuda,
            chosen,
            packages,
            libraries,
        })
    }

    /// What an earlier set-up left; `None` without a marker.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(MARKER);
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path)?;
        let installed = serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is damaged: run `cargo xtask setup --force`",
                path.display()
            )
        })?;
        Ok(Some(installed))
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        let path = folder.join(MARKER);
        write_atomic(&path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Whether everything in `runtimes` is there in its pinned version. A CUDA set serves the CPU too.
    pub(crate) fn serves(&self, runtimes: Runtimes) -> bool {
        let wanted = Runtimes {
            cuda: self.cuda,
            ..runtimes
        };
        (self.cuda || !runtimes.cuda)
            && wanted.wheels().iter().all(|wheel| {
                self.packages.get(wheel.package).map(String::as_str) == Some(wheel.version)
            })
    }

    /// The first library that is gone or has another size than it had.
    pub(crate) fn damaged(&self, folder: &Path) -> Option<&str> {
        let whole = |name: &str, bytes: u64| {
            fs::metadata(folder.join(name)).is_ok_and(|file| file.len() == bytes)
        };
        self.libraries
            .iter()
            .find(|&(name, &bytes)| !whole(name, bytes))
            .map(|(name, _)| name.as_str())
    }
}

fn list_libraries(root: &Path, folder: &Path, libraries: &mut BTreeMap<String, u64>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            list_libraries(root, &path, libraries)?;
        } else if name.contains(".so") {
            let relative = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .display()
                .to_string();
            libraries.insert(relative, fs::metadata(&path)?.len());
        }
    }
    Ok(())
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

    fn folder_with_library() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("torch/lib")).unwrap();
        fs::write(folder.path().join("torch/lib/libc10.so"), b"1234").unwrap();
        folder
    }

    #[test]
    fn the_marker_tells_what_was_put_there() {
        let folder = folder_with_library();
        assert_eq!(Installed::read(folder.path()).unwrap(), None);
        let installed = Installed::describe(folder.path(), CPU, false).unwrap();
        installed.write(folder.path()).unwrap();
        assert_eq!(
            Installed::read(folder.path()).unwrap(),
            Some(installed.clone())
        );
        assert_eq!(installed.libraries["torch/lib/libc10.so"], 4);
        assert_eq!(installed.packages["torch"], "2.11.0");
    }

    #[test]
    fn a_cuda_set_serves_the_cpu_and_not_the_other_way_round() {
        let folder = folder_with_library();
        let cpu = Installed::describe(folder.path(), CPU, false).unwrap();
        let cuda = Installed::describe(folder.path(), CUDA, false).unwrap();
        assert!(cpu.serves(CPU) && !cpu.serves(CUDA));
        assert!(cuda.serves(CPU) && cuda.serves(CUDA));
        let partial = Installed::describe(
            folder.path(),
            Runtimes {
                onnxruntime: false,
                ..CPU
            },
            false,
        )
        .unwrap();
        assert!(
            !partial.serves(CPU)
                && cpu.serves(Runtimes {
                    onnxruntime: false,
                    ..CPU
                })
        );
    }

    #[test]
    fn another_version_is_not_served() {
        let folder = folder_with_library();
        let mut installed = Installed::describe(folder.path(), CPU, false).unwrap();
        installed
            .packages
            .insert("torch".to_owned(), "2.10.0".to_owned());
        assert!(!installed.serves(CPU));
    }

    #[test]
    fn a_library_that_is_cut_short_or_gone_is_found() {
        let folder = folder_with_library();
        let installed = Installed::describe(folder.path(), CPU, false).unwrap();
        assert_eq!(installed.damaged(folder.path()), None);
        fs::write(folder.path().join("torch/lib/libc10.so"), b"12").unwrap();
        assert_eq!(
            installed.damaged(folder.path()),
            Some("torch/lib/libc10.so")
        );
        fs::remove_file(folder.path().join("torch/lib/libc10.so")).unwrap();
        assert_eq!(
            installed.damaged(folder.path()),
            Some("torch/lib/libc10.so")
        );
    }

    #[test]
    fn a_damaged_marker_names_the_remedy() {
        let folder = folder_with_library();
        fs::write(folder.path().join(MARKER), b"{").unwrap();
        let error = Installed::read(folder.path()).unwrap_err();
        assert!(error.to_string().contains("--force"), "{error}");
    }
}
