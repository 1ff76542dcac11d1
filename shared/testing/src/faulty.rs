//! Storage that fails, for any program: `faulty_storage.c`, compiled when it is first asked for.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Storage below a folder that fails when it is told to, and remembers what was done to it.
pub struct FaultyStorage {
    folder: PathBuf,
    library: PathBuf,
    log: PathBuf,
}

/// A call that changed something: what it was, the path, and the other path of a renaming.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The name of the call.
    pub what: String,
    /// The path that it was about.
    pub path: PathBuf,
    /// Where something was renamed to; empty for other calls.
    pub to: PathBuf,
}

impl FaultyStorage {
    /// None, with a word, where there is no C compiler. `workshop` is where it may leave its own files.
    pub fn new(folder: &Path, workshop: &Path) -> Option<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/faulty_storage.c");
        let library = workshop.join("faulty_storage.so");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let built = Command::new(compiler)
            .args(["-shared", "-fPIC", "-O1", "-ldl", "-o"])
            .arg(&library)
            .arg(source)
            .output();
        match built {
            Ok(output) if output.status.success() => {}
            Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
            Err(_) => {
                println!("skipped: there is no C compiler to build faulty storage with");
                return None;
            }
        }
        Some(Self {
            folder: folder.to_owned(),
            library,
            log: workshop.join("calls.log"),
        })
    }

    /// Lets `command` work on the storage. Call number `at` fails, from 1, none for 0; later ones
    /// too if it `stays` broken.
    pub fn under(&self, command: &mut Command, at: usize, stays: bool) {
        let _ = fs_err::remove_file(&self.log);
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAULTY_FOLDER", &self.folder)
            .env("FAULTY_LOG", &self.log)
            .env("FAULTY_AT", at.to_string());
        if stays {
            command.env("FAULTY_STAYS", "1");
        }
    }

    /// What was done since the last [`Self::under`].
    pub fn calls(&self) -> Vec<Call> {
        let log = fs_err::read_to_string(&self.log).unwrap_or_default();
        log.lines()
            .map(|line| {
                let mut fields = line.split('\t');
                let mut next = || fields.next().unwrap_or_default();
                Call {
                    what: next().to_owned(),
                    path: next().into(),
                    to: next().into(),
                }
            })
            .collect()
    }
}

/// A temporary folder in memory where there is such a thing: thousands of syncs take their time on a disk.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Numbers of calls to try, of so many: a few spread over all of them, or every one with `STORE_FAULTS=all`.
pub fn chosen(calls: usize, few: usize) -> impl Iterator<Item = usize> {
    let all = std::env::var("STORE_FAULTS").is_ok_and(|faults| faults == "all");
    let step = if all { 1 } else { calls.div_ceil(few).max(1) };
    (1..=calls).step_by(step)
}
