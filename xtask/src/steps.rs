//! Numbered steps with the time each took, so that who waits knows for what; and commands whose failure is passed on.

use std::fmt;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use shared::terminal::Terminal;

/// Tells the steps of a long command.
#[derive(Debug)]
pub(crate) struct Steps<'a> {
    terminal: &'a Terminal,
    total: usize,
    done: usize,
    begun: Instant,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(total: usize, terminal: &'a Terminal) -> Self {
        Self {
            terminal,
            total,
            done: 0,
            begun: Instant::now(),
        }
    }

    /// Does one step.
    pub(crate) fn step<T>(&mut self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.done += 1;
        self.terminal
            .status(format!("\n[{}/{}] {what}", self.done, self.total));
        let begun = Instant::now();
        let value = work()?;
        self.terminal.status(format!(
            "[{}/{}] done in {}",
            self.done,
            self.total,
            duration(begun.elapsed())
        ));
        Ok(value)
    }

    /// Time since the first step.
    pub(crate) fn elapsed(&self) -> String {
        duration(self.begun.elapsed())
    }
}

/// A command that ended with another status than 0; it has told why itself.
#[derive(Debug)]
pub(crate) struct Failed {
    what: String,
    status: ExitStatus,
}

impl Failed {
    /// The command's own exit code; that of a shell for one that a signal ended.
    pub(crate) fn code(&self) -> u8 {
        exit_code(self.status)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} failed ({})", self.what, self.status)
    }
}

impl std::error::Error for Failed {}

/// The exit code to pass on for `status`.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Runs `command` with this terminal; `Failed` unless it ends with 0.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<()> {
    ended(what, status(command)?)
}

/// `Failed` unless `status` is 0.
pub(crate) fn ended(what: &str, status: ExitStatus) -> Result<()> {
    if status.success() {
        Ok(())
    } else {
        Err(Failed {
            what: what.to_owned(),
            status,
        }
        .into())
    }
}

/// Runs `command` with this terminal.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    command
        .status()
        .with_context(|| format!("cannot run {}", command.get_program().display()))
}

fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_of_a_command_is_passed_on() {
        let error = run("it", Command::new("sh").args(["-c", "exit 75"])).unwrap_err();
        assert_eq!(error.downcast_ref::<Failed>().unwrap().code(), 75);
        let error = run("it", Command::new("sh").args(["-c", "kill -KILL $$"])).unwrap_err();
        assert_eq!(error.downcast_ref::<Failed>().unwrap().code(), 137);
    }

    #[test]
    fn durations_are_read_by_people() {
        assert_eq!(duration(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(duration(Duration::from_secs(185)), "3 min 5 s");
    }
}
