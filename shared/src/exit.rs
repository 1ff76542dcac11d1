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

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn what_a_path_cannot_be_is_the_input_and_the_rest_the_machine() {
        for kind in [
            ErrorKind::NotFound,
            ErrorKind::PermissionDenied,
            ErrorKind::IsADirectory,
            ErrorKind::NotADirectory,
            ErrorKind::InvalidInput,
        ] {
            assert_eq!(Error::from(kind).exit_status(), ExitStatus::User, "{kind}");
        }
        for kind in [
            ErrorKind::StorageFull,
            ErrorKind::QuotaExceeded,
            ErrorKind::ReadOnlyFilesystem,
            ErrorKind::StaleNetworkFileHandle,
            ErrorKind::UnexpectedEof,
            ErrorKind::OutOfMemory,
            ErrorKind::Other,
        ] {
            let status = Error::from(kind).exit_status();
            assert_eq!(status, ExitStatus::Machine, "{kind}");
        }
    }

    #[test]
    fn exit_codes_are_the_documented_numbers() {
        for (status, number) in [
            (ExitStatus::Success, 0),
            (ExitStatus::User, 1),
            (ExitStatus::Machine, 2),
            (ExitStatus::Interrupted, 75),
        ] {
            assert_eq!(ExitCode::from(status), ExitCode::from(number));
        }
    }
}
