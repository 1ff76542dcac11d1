//! Where things are in the repository, so that every command works from any working directory.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository that this program was built from, and what the user brings to it.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    root: PathBuf,
    /// The user's own libtorch (`LIBTORCH`).
    pub(crate) own_torch: Option<PathBuf>,
    /// The user's own ONNX Runtime (`ORT_DYLIB_PATH`).
    pub(crate) own_onnxruntime: Option<PathBuf>,
}

impl Project {
    /// Cargo tells where the package lies, also after the clone was moved.
    pub(crate) fn find() -> Self {
        let package =
            variable("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = package.parent().unwrap_or(Path::new(".")).to_path_buf();
        // `.cargo/config.toml` sets LIBTORCH too, to `lib/torch`: that is not the user's.
        let own_torch = variable("LIBTORCH").filter(|path| *path != root.join("lib/torch"));
        Self {
            root,
            own_torch,
            own_onnxruntime: variable("ORT_DYLIB_PATH"),
        }
    }

    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            own_torch: None,
            own_onnxruntime: None,
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The native libraries, where the built programs look for them.
    pub(crate) fn lib(&self) -> PathBuf {
        self.root.join("lib")
    }

    pub(crate) fn downloads(&self) -> PathBuf {
        self.root.join(".downloads")
    }

    pub(crate) fn wheels(&self) -> PathBuf {
        self.downloads().join("wheels")
    }

    /// `path` as a user at the repository root would type it.
    pub(crate) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }

    /// `cargo ARGUMENTS` at the repository root, with the cargo that runs this program.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root).args(arguments);
        command
    }
}

/// A variable that is set to something.
fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
