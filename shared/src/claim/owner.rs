//! Which process an owner is, and whether it is still alive.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use super::{REBOOT_AFTER, STALE_AFTER};

/// A process that has claimed something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Name of the machine.
    pub host: String,
    /// The machine's id since it was started.
    pub boot: String,
    /// Namespace of the process number: containers count for themselves.
    pub pid_namespace: String,
    /// Process number.
    pub pid: u32,
    /// When the process was started, in ticks since the machine was.
    pub started: u64,
    /// Job of the batch system, if there is one.
    pub job: Option<String>,
    /// How often the batch system has started that job again.
    #[serde(default)]
    pub restart: Option<String>,
    /// Random name of this claim.
    pub token: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "process {} on {}", self.pid, self.host)?;
        self.job
            .as_ref()
            .map_or(Ok(()), |job| write!(formatter, " (job {job})"))
    }
}

impl Owner {
    /// A new claim of this process.
    pub(super) fn of_this_process() -> Self {
        let pid = std::process::id();
        let job = ["SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"]
            .iter()
            .find_map(|name| std::env::var(name).ok());
        Self {
            host: kernel_text("/proc/sys/kernel/hostname"),
            boot: kernel_text("/proc/sys/kernel/random/boot_id"),
            pid_namespace: pid_namespace(),
            pid,
            started: state_of(pid).map_or(0, |(_, started)| started),
            job,
            restart: std::env::var("SLURM_RESTART_COUNT").ok(),
            token: format!("{:016x}", RandomState::new().hash_one(pid)),
        }
    }

    /// Whether the process is certainly gone. `silent_for`: how long its file has not been touched.
    pub(super) fn is_dead(&self, observer: &Self, silent_for: Duration) -> bool {
        let same_machine = !self.boot.is_empty() && self.boot == observer.boot;
        if same_machine && self.pid_namespace == observer.pid_namespace {
            return is_gone(self.pid, self.started);
        }
        // A batch system starts a job again when nothing of it runs any more.
        if self.job.is_some() && self.job == observer.job && self.restart != observer.restart {
            return true;
        }
        let started_anew = self.host == observer.host && !same_machine;
        let limit = if started_anew {
            REBOOT_AFTER
        } else {
            STALE_AFTER
        };
        silent_for > limit
    }

    /// The owner of a claim that cannot be read.
    pub(super) fn unknown(claim: &Path) -> Self {
        Self {
            host: format!("an unknown host (see {})", claim.display()),
            boot: String::new(),
            pid_namespace: String::new(),
            pid: 0,
            started: 0,
            job: None,
            restart: None,
            token: String::new(),
        }
    }
}

fn kernel_text(path: &str) -> String {
    fs_err::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn pid_namespace() -> String {
    fs_err::read_link("/proc/self/ns/pid")
        .map(|link| link.display().to_string())
        .unwrap_or_default()
}

/// Whether no process of this number lives that was started at this time.
fn is_gone(pid: u32, started: u64) -> bool {
    if let Some((state, start)) = state_of(pid) {
        return matches!(state, 'Z' | 'X') || start != started;
    }
    // Other users' processes may be hidden in /proc; a signal that may not be sent still finds them.
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

/// State of a process and when it was started (fields 3 and 22 of `/proc/<pid>/stat`), none if it is not seen.
fn state_of(pid: u32) -> Option<(char, u64)> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, field 2, stands in brackets and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}
