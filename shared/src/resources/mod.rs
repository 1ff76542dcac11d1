//! What the machine lets this job have. A cluster node is bigger than the job on it: threads come from the job's
//! share, memory from its control group, and whether to map files from the file system they are on.

mod cgroup;
mod filesystem;
mod job;

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;

pub use filesystem::FileSystem;
pub use job::slurm_job;

/// How many threads to compute with: the least of `SLURM_CPUS_PER_TASK`, the CPUs that this process may run on,
/// and the CPU quota of its control group.
#[must_use]
pub fn threads() -> usize {
    // The standard library looks at the affinity mask and at the quotas of cgroup versions 1 and 2.
    let allowed = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    limited(
        allowed,
        std::env::var("SLURM_CPUS_PER_TASK").ok().as_deref(),
    )
}

fn limited(allowed: usize, slurm: Option<&str>) -> usize {
    match slurm.and_then(|value| value.trim().parse().ok()) {
        Some(share) if share > 0 => allowed.min(share),
        _ => allowed,
    }
}

/// The bytes of memory that this process may use: what its control group (versions 1 and 2) allows
/// or, where that is less, `ulimit -v`; none without a limit.
#[must_use]
pub fn memory_limit() -> Option<u64> {
    let group = fs_err::read_to_string("/proc/self/cgroup")
        .ok()
        .and_then(|membership| cgroup::memory_limit(&membership, Path::new("/sys/fs/cgroup")));
    let process = fs_err::read_to_string("/proc/self/limits")
        .ok()
        .and_then(|limits| address_space(&limits));
    group.into_iter().chain(process).min()
}

/// The soft limit of the address space in `/proc/<pid>/limits`.
fn address_space(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The bytes of memory that can be used without swapping: what the kernel says is available on the machine, and no
/// more than [`memory_limit`]; none where `/proc` does not tell.
#[must_use]
pub fn memory_available() -> Option<u64> {
    let table = fs_err::read_to_string("/proc/meminfo").ok()?;
    let line = table
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let available = kibibytes.saturating_mul(1024);
    Some(memory_limit().map_or(available, |limit| limit.min(available)))
}

/// The most bytes of memory that this process ever had, mapped files included as far as they were read; none where
/// `/proc` does not tell.
#[must_use]
pub fn peak_memory() -> Option<u64> {
    let table = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = table.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes.saturating_mul(1024))
}

/// The bytes that an unprivileged user may still write to the file system of `path`, or of the nearest folder above
/// it that exists.
///
/// # Errors
/// When the file system does not answer.
pub fn free_space(path: impl AsRef<Path>) -> io::Result<u64> {
    let existing = filesystem::nearest_existing(path.as_ref());
    let numbers =
        rustix::fs::statvfs(existing).map_err(|error| filesystem::named(existing, error))?;
    Ok(numbers.f_bavail.saturating_mul(numbers.f_frsize))
}

/// The kind of file system that `path`, or the nearest folder above it that exists, is on.
///
/// # Errors
/// When the file system does not answer.
pub fn file_system(path: impl AsRef<Path>) -> io::Result<FileSystem> {
    FileSystem::of(path.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slurm_can_only_lower_the_number_of_threads() {
        assert_eq!(limited(8, None), 8);
        assert_eq!(limited(8, Some("4")), 4);
        assert_eq!(limited(8, Some("16")), 8);
        assert_eq!(limited(8, Some("0")), 8);
        assert_eq!(limited(8, Some("many")), 8);
        let allowed = std::thread::available_parallelism().unwrap().get();
        let slurm = std::env::var("SLURM_CPUS_PER_TASK").ok();
        assert_eq!(threads(), limited(allowed, slurm.as_deref()));
    }

    #[test]
    fn a_limit_of_the_address_space_is_one_of_memory() {
        let table = |soft: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max resident set          7                    unlimited            bytes     \n\
                 Max address space         {soft:20} unlimited            bytes     \n"
            )
        };
        assert_eq!(address_space(&table("1073741824")), Some(1 << 30));
        assert_eq!(address_space(&table("unlimited")), None);
        assert_eq!(address_space(""), None);
    }

    #[test]
    fn peak_memory_only_grows() {
        let before = peak_memory().unwrap();
        let much = vec![1_u8; 8 << 20];
        assert!(
            before > 1 << 20 && peak_memory().unwrap() >= before,
            "{}",
            much.len()
        );
    }

    #[test]
    fn space_is_told_for_a_path_that_is_not_there_yet() {
        let folder = tempfile::tempdir().unwrap();
        let free = free_space(folder.path().join("cache/new.zarr")).unwrap();
        // More than the blocks of a few files.
        assert!(free > 1 << 16, "{free}");
        assert!(free_space("a-folder-to-be").unwrap() > 1 << 16);
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(memory_available().unwrap() > 1 << 20);
        assert!(memory_limit().is_none_or(|limit| limit > 1 << 20));
    }
}
