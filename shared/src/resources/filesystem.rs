//! Which file system a path is on. Mapping a file on a network file system can be ten times slower than reading it,
//! and a file cut short under a mapping ends the process.

use std::fmt;
use std::io;
use std::path::Path;

/// Kinds of file system, by the magic number of `statfs(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileSystem {
    /// A disk or memory of this machine, or anything not known to be elsewhere.
    Local,
    /// Network File System.
    Nfs,
    /// Lustre.
    Lustre,
    /// IBM Storage Scale.
    Gpfs,
    /// `BeeGFS`.
    BeeGfs,
    /// Windows shares: CIFS, SMB 2 and 3.
    Cifs,
    /// A file system in user space, such as sshfs; counted as remote, since it mostly is.
    Fuse,
    /// `CephFS`.
    Ceph,
}

impl FileSystem {
    /// The file system of `path`, or of the nearest folder above it that exists.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let existing = nearest_existing(path);
        let numbers = rustix::fs::statfs(existing).map_err(|error| named(existing, error))?;
        // The field's type differs between platforms; the magic numbers have 32 bits.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "magic numbers have 32 bits"
        )]
        Ok(Self::from_magic(numbers.f_type as u32))
    }

    /// Numbers of `statfs(2)`, and of the projects' own headers for Lustre, GPFS and `BeeGFS`.
    fn from_magic(magic: u32) -> Self {
        match magic {
            0x6969 => Self::Nfs,
            0x0BD0_0BD0 => Self::Lustre,
            0x4750_4653 => Self::Gpfs,
            0x1983_0326 => Self::BeeGfs,
            0xFF53_4D42 | 0xFE53_4D42 | 0x517B => Self::Cifs,
            0x6573_5546 => Self::Fuse,
            0x00C3_6400 => Self::Ceph,
            _ => Self::Local,
        }
    }

    /// Whether other machines may change the files, and mapping them is unwise.
    #[must_use]
    pub fn is_network(self) -> bool {
        self != Self::Local
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Local => "local",
            Self::Nfs => "NFS",
            Self::Lustre => "Lustre",
            Self::Gpfs => "GPFS",
            Self::BeeGfs => "BeeGFS",
            Self::Cifs => "CIFS",
            Self::Fuse => "FUSE",
            Self::Ceph => "CephFS",
        })
    }
}

/// `path`, or the nearest folder above it that exists; the current folder for a relative path of which nothing exists.
pub(super) fn nearest_existing(path: &Path) -> &Path {
    let above = path
        .ancestors()
        .find(|folder| !folder.as_os_str().is_empty() && folder.exists());
    above.unwrap_or(Path::new("."))
}

/// An error of the system with the path that it is about.
pub(super) fn named(path: &Path, error: rustix::io::Errno) -> io::Error {
    let error = io::Error::from(error);
    io::Error::new(
        error.kind(),
        format!("cannot ask the file system of {}: {error}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_told_from_local_ones() {
        assert_eq!(FileSystem::from_magic(0x0BD0_0BD0), FileSystem::Lustre);
        assert!(FileSystem::from_magic(0x6969).is_network());
        // ext4 and tmpfs.
        assert_eq!(FileSystem::from_magic(0xEF53), FileSystem::Local);
        assert_eq!(FileSystem::from_magic(0x0102_1994), FileSystem::Local);
    }

    #[test]
    fn a_path_to_be_has_the_file_system_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let here = FileSystem::of(folder.path()).unwrap();
        assert_eq!(FileSystem::of(&folder.path().join("a/b")).unwrap(), here);
    }
}
