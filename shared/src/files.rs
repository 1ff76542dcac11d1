//! Files that are either complete or not there: a job may be killed between any two system calls, and what it
//! leaves behind must never look finished. Also the digests that give files and data an identity.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Writes `bytes` to `path` so that a crash leaves either the old file or the new one.
///
/// The bytes go to a temporary file in the same folder, which is synced and renamed; then the folder is synced.
///
/// # Errors
/// Any I/O error, naming the path; the temporary file is removed and `path` is as before.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
    let path = path.as_ref();
    let temporary = temporary_beside(path)?;
    let written = (|| {
        let mut file = fs_err::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs_err::rename(&temporary, path)
    })();
    if let Err(error) = written {
        // The first error is the one to tell; a temporary file that stays is swept by nobody but harms nobody.
        let _ = fs_err::remove_file(&temporary);
        return Err(error);
    }
    sync_dir(folder_of(path))
}

/// Syncs a folder, so that the names created or renamed in it survive a power cut.
///
/// # Errors
/// Any I/O error, naming the folder; file systems that cannot sync a folder (some network ones) are no error.
pub fn sync_dir(path: impl AsRef<Path>) -> io::Result<()> {
    fs_err::File::open(path.as_ref())?
        .sync_all()
        .or_else(unless_unsupported)
}

/// The error of a sync, but for that of a file system that cannot sync folders.
fn unless_unsupported(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => Ok(()),
        _ => Err(error),
    }
}

/// The SHA-256 of a file, as 64 lower-case hexadecimal digits.
///
/// # Errors
/// Any I/O error, naming the path.
pub fn sha256_file(path: impl AsRef<Path>) -> io::Result<String> {
    let mut file = fs_err::File::open(path.as_ref())?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// The SHA-256 of some bytes, as 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The folder that holds `path`; the current one for a bare name.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A name beside `path` that nobody else writes to: two hosts may share the folder and the process number.
///
/// # Errors
/// `path` ends in no file name.
pub fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} is no file name", path.display()),
        ));
    };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(
        ".{:016x}.tmp",
        RandomState::new().hash_one(std::process::id())
    ));
    Ok(folder_of(path).join(temporary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_no_temporary_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        write_atomic(&path, b"old").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"new");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs_err::create_dir_all(path.join("full")).unwrap();
        let error = write_atomic(&path, b"x").unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_synced_is_no_error_and_one_that_is_not_there_is() {
        // The kernel's own file systems have nothing to sync and say "invalid argument".
        if cfg!(target_os = "linux") {
            sync_dir("/proc").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        sync_dir(folder.path()).unwrap();
        let error = sync_dir(folder.path().join("gone")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("gone"), "{error}");
        let kind = |kind: io::ErrorKind| unless_unsupported(kind.into()).map_err(|e| e.kind());
        assert_eq!(kind(io::ErrorKind::Unsupported), Ok(()));
        assert_eq!(
            kind(io::ErrorKind::StorageFull),
            Err(io::ErrorKind::StorageFull)
        );
    }

    #[test]
    fn a_temporary_file_is_beside_its_target_and_hidden() {
        let beside = |path: &str| temporary_beside(Path::new(path)).unwrap();
        let (inside, bare) = (beside("store/part"), beside("part"));
        assert_eq!(inside.parent(), Some(Path::new("store")));
        assert_eq!(bare.parent(), Some(Path::new(".")));
        for path in [inside, bare] {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(name.starts_with(".part."), "{name}");
            assert_eq!(Path::new(&name).extension(), Some("tmp".as_ref()));
        }
        assert!(temporary_beside(Path::new("..")).is_err());
    }

    #[test]
    fn digests_are_those_of_sha256() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_bytes(b"abc"), abc);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        write_atomic(&path, b"abc").unwrap();
        assert_eq!(sha256_file(&path).unwrap(), abc);
    }
}
