//! One process, measured: its wall time, its peak of anonymous memory, and the last line it printed.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use fs_err as fs;
use serde_json::Value;

/// How often the memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What is known of a process from outside.
#[derive(Debug)]
pub(super) struct Ran {
    /// From start to end, in seconds.
    pub(super) wall: f64,
    /// Most anonymous memory seen, in bytes: what no file backs, so a mapped store does not count.
    pub(super) peak_anonymous: u64,
    /// The JSON object that it printed last.
    pub(super) said: Value,
}

/// Runs `command` to its end.
pub(super) fn run(command: &mut Command) -> Result<Ran> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {shown}"))?;
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak_anonymous = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let status = fs::read_to_string(&status_file).unwrap_or_default();
        peak_anonymous = peak_anonymous.max(anonymous(&status));
        thread::sleep(LOOK);
    };
    let wall = begun.elapsed().as_secs_f64();
    let stdout = stdout.join().unwrap_or_default();
    if !status.success() {
        bail!(
            "{shown} failed ({status}):\n{}",
            stderr.join().unwrap_or_default().trim_end()
        );
    }
    let last = stdout.lines().rev().find(|line| line.starts_with('{'));
    let said = last.map(serde_json::from_str).transpose()?;
    Ok(Ran {
        wall,
        peak_anonymous,
        said: said.unwrap_or_default(),
    })
}

/// Reads a pipe to its end beside the process, which would wait for a full one.
fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What could be read before the pipe broke is told all the same.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// `RssAnon` of `/proc/PID/status`, in bytes.
fn anonymous(status: &str) -> u64 {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_measured_and_its_last_object_read() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo noise; echo '{\"tokens\": 3}'; sleep 0.1"]);
        let ran = run(&mut command).unwrap();
        assert!(ran.wall >= 0.1 && ran.peak_anonymous > 0);
        assert_eq!(ran.said["tokens"], 3);
        let error = run(Command::new("sh").args(["-c", "echo no >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("no"), "{error}");
    }

    #[test]
    fn anonymous_memory_is_read_in_bytes() {
        assert_eq!(anonymous("VmRSS:\t 9 kB\nRssAnon:\t    12 kB\n"), 12 * 1024);
        assert_eq!(anonymous(""), 0);
    }
}
