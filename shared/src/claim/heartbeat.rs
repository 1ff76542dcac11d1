//! The sign of life of this process: one thread rewrites the files of all its claims now and then, so
//! that processes on other machines see that it is alive.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a claim is rewritten.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(30);

/// The files that are rewritten, and whether the thread runs that does it.
static FILES: Mutex<Files> = Mutex::new(Files {
    list: Vec::new(),
    running: false,
});
/// Told when a file goes.
static CHANGED: Condvar = Condvar::new();

struct Files {
    list: Vec<Arc<Claimed>>,
    running: bool,
}

#[derive(Debug)]
struct Claimed {
    file: File,
    text: Vec<u8>,
}

/// Keeps the file of a claim fresh until it is dropped.
#[derive(Debug)]
pub(super) struct Heartbeat(Arc<Claimed>);

impl Heartbeat {
    /// Rewrites the file at `path`, which holds `text`, from now on.
    pub(super) fn start(path: &Path, text: Vec<u8>) -> io::Result<Self> {
        let file = fs_err::OpenOptions::new()
            .write(true)
            .open(path)?
            .into_file();
        let claimed = Arc::new(Claimed { file, text });
        let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        if !files.running {
            std::thread::Builder::new()
                .name("heartbeat".to_owned())
                .spawn(run)?;
            files.running = true;
        }
        files.list.push(Arc::clone(&claimed));
        Ok(Self(claimed))
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        files.list.retain(|other| !Arc::ptr_eq(other, &self.0));
        drop(files);
        CHANGED.notify_all();
    }
}

/// Rewrites all files, again and again, until there is none.
fn run() {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    let mut next = Instant::now() + HEARTBEAT;
    while !files.list.is_empty() {
        let left = next.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            let waited = CHANGED.wait_timeout(files, left);
            files = waited.unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        next = Instant::now() + HEARTBEAT;
        let list = files.list.clone();
        // A disk may take its time; claims are taken and given back meanwhile.
        drop(files);
        for Claimed { file, text } in list.iter().map(AsRef::as_ref) {
            // One that fails is tried again; whether the claim still holds is checked at its end.
            let _ = file.write_all_at(text, 0).and_then(|()| file.sync_all());
        }
        files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    }
    files.running = false;
}
