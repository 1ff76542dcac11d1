//! A folder in memory that the inputs are written to, for parsers that read files.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The folder of this process, empty when it is first asked for.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let folder = root.join(format!("fuzz-{name}-{}", std::process::id()));
        let _ = fs_err::remove_dir_all(&folder);
        fs_err::create_dir_all(&folder).expect("a folder for inputs");
        folder
    })
}

/// Writes an input as the file `name` in the folder.
pub(crate) fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    fs_err::write(&path, bytes).expect("room for an input");
    path
}

/// No file `name` in the folder.
pub(crate) fn no_file(name: &str) {
    let _ = fs_err::remove_file(folder().join(name));
}
