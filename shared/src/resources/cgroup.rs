//! The memory limit of a control group: the lowest one on the way from the process's own group up to the root
//! (Linux, `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/memory.rst`).

use std::path::Path;

/// Version 1 says "no limit" with the largest page-aligned number; no machine has half of it.
const UNLIMITED: u64 = 1 << 60;

/// `membership` is the text of `/proc/self/cgroup`, `root` the folder where control groups are mounted.
pub(super) fn memory_limit(membership: &str, root: &Path) -> Option<u64> {
    membership
        .lines()
        .filter_map(|line| lowest(line, root))
        .min()
}

/// The lowest limit that one line, `hierarchy:controllers:group`, stands for.
fn lowest(line: &str, root: &Path) -> Option<u64> {
    let mut fields = line.splitn(3, ':');
    let (hierarchy, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
    let (mount, file) = if hierarchy == "0" && controllers.is_empty() {
        (root.to_path_buf(), "memory.max")
    } else if controllers
        .split(',')
        .any(|controller| controller == "memory")
    {
        (root.join("memory"), "memory.limit_in_bytes")
    } else {
        return None;
    };
    // In a container the group may be that of the host, which is not there: its parents end at the mount itself.
    let group = Path::new(group.trim_start_matches('/'));
    group
        .ancestors()
        .filter_map(|folder| limit_in(&mount.join(folder).join(file)))
        .min()
}

fn limit_in(file: &Path) -> Option<u64> {
    let limit = fs_err::read_to_string(file).ok()?.trim().parse().ok()?;
    (limit < UNLIMITED).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    #[test]
    fn version_2_takes_the_lowest_limit_above_the_process() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "slurm/job_7/memory.max", "4294967296\n");
        write(root.path(), "slurm/job_7/step_0/memory.max", "max\n");
        let limit = memory_limit("0::/slurm/job_7/step_0\n", root.path());
        assert_eq!(limit, Some(4 << 30));
        assert_eq!(memory_limit("0::/elsewhere\n", root.path()), None);
    }

    #[test]
    fn version_1_has_a_folder_for_the_controller_and_a_number_for_no_limit() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            "memory/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        let membership = "5:cpu,cpuacct:/\n4:memory:/slurm/job_7\n0::/\n";
        assert_eq!(memory_limit(membership, root.path()), None);
        write(
            root.path(),
            "memory/slurm/memory.limit_in_bytes",
            "1073741824\n",
        );
        assert_eq!(memory_limit(membership, root.path()), Some(1 << 30));
    }
}
