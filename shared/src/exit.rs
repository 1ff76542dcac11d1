//! What a program's exit status tells the job script that started it: whether to correct the input,
//! to look at the machine, or to run the same command again.

use std::process::ExitCode;

/// The exit status of every program of the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitStatus {
    /// Done.
    Success = 0,
    /// The input or an option is wrong: a bad option, bad data, an identity that differs.
    User = 1,
    /// The machine failed: input and output, CUDA, memory.
    Machine = 2,
    /// Stopped by a signal with all state saved: run the same command again (`EX_TEMPFAIL` of
    /// sysexits.h).
    Interrupted = 75,
}

impl ExitStatus {
    /// The status of an I/O error: a path that does not exist or may not be read is wrong input,
    /// the rest are failures of the machine.
    #[must_use]
    pub fn of_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        match error.kind() {
            Kind::NotFound
            | Kind::PermissionDenied
            | Kind::IsADirectory
            | Kind::NotADirectory
            | Kind::InvalidInput => Self::User,
            _ => Self::Machine,
        }
    }
}

/// An error that ends a program with an exit status of its own.
pub trait HasExitStatus {
    /// The exit status that this error ends the program with.
    fn exit_status(&self) -> ExitStatus;
}

impl HasExitStatus for std::io::Error {
    fn exit_status(&self) -> ExitStatus {
        ExitStatus::of_io(self)
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}
