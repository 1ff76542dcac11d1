//! The launcher `trainer`: finds libtorch beside itself, tells the dynamic linker where it is, and
//! becomes `trainer-torch`, so that nobody has to set `LD_LIBRARY_PATH`. It is linked without
//! libtorch: it uses nothing of the library crate `trainer`.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context;
use shared::exit::{ExitStatus, HasExitStatus};
use shared::native::NativeError;
use shared::terminal::Terminal;
use trainer_options::{Job, MachineArgs, Options};

/// Freed memory stays with the program: pieces up to 32 MiB, and up to 1 GiB at the heap's end.
const KEEP_MEMORY: &str =
    "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=1073741824";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let options = match trainer_options::parse(arguments.iter().cloned()) {
        Ok(options) => options,
        Err(error) => {
            let printed = error.print();
            return if error.use_stderr() || printed.is_err() {
                ExitStatus::User.into()
            } else {
                ExitStatus::Success.into()
            };
        }
    };
    // libtorch takes a while to be loaded. A signal in that time waits until it can be answered
    // with a saved state; where signals cannot be held, it ends the program.
    if let None | Some(Job::Train(_) | Job::Sweep(_)) = options.command {
        let _ = shared::signals::hold();
    }
    let Err(error) = launch(&arguments, &options);
    Terminal::default().error(format!("{error:#}"), &[]);
    error
        .downcast_ref::<NativeError>()
        .map_or(ExitStatus::Machine, HasExitStatus::exit_status)
        .into()
}

/// Returns only when it fails.
fn launch(arguments: &[OsString], options: &Options) -> anyhow::Result<std::convert::Infallible> {
    let libraries = shared::native::torch()?;
    let program = program()?;
    let mut command = Command::new(&program);
    if let [name, arguments @ ..] = arguments {
        command.arg0(name).args(arguments);
    }
    command.env(
        "LD_LIBRARY_PATH",
        search_path(&libraries.search_path, std::env::var_os("LD_LIBRARY_PATH"))?,
    );
    if let Some((variable, value)) = options.machine().and_then(MachineArgs::environment)
        && std::env::var_os(variable).is_none()
    {
        command.env(variable, value);
    }
    // Every step frees memory that the next one needs again. Handed back to the system each time,
    // it comes back as pages to be cleared: measured a fifth of a training's time. glibc reads this
    // once, when a program starts.
    let own = [
        "GLIBC_TUNABLES",
        "MALLOC_MMAP_THRESHOLD_",
        "MALLOC_TRIM_THRESHOLD_",
    ];
    if own
        .iter()
        .all(|variable| std::env::var_os(variable).is_none())
    {
        command.env("GLIBC_TUNABLES", KEEP_MEMORY);
    }
    Err(command.exec()).with_context(|| format!("cannot start {}", program.display()))
}

/// `trainer-torch`, which is in the folder of this program.
fn program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()
        .and_then(|path| path.canonicalize())
        .context("this program does not find itself")?;
    let folder = own.parent().unwrap_or(Path::new("/"));
    let program = folder.join("trainer-torch");
    anyhow::ensure!(
        program.is_file(),
        "trainer-torch is missing in {}; copy both programs, trainer and trainer-torch, into one folder, or run `cargo build --release`",
        folder.display(),
    );
    Ok(program)
}

/// `folders` before what the user has set.
fn search_path(folders: &[PathBuf], set: Option<OsString>) -> anyhow::Result<OsString> {
    let set = set.unwrap_or_default();
    let set = std::env::split_paths(OsStr::new(&set)).filter(|path| !path.as_os_str().is_empty());
    std::env::join_paths(folders.iter().cloned().chain(set))
        .context("a folder with libtorch must not have a colon in its name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_folders_go_first() {
        let folders = [PathBuf::from("/lib/torch/lib")];
        assert_eq!(search_path(&folders, None).unwrap(), "/lib/torch/lib");
        assert_eq!(
            search_path(&folders, Some("/a::/b".into())).unwrap(),
            "/lib/torch/lib:/a:/b"
        );
        assert!(search_path(&[PathBuf::from("/a:b")], None).is_err());
    }
}
