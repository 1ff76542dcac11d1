//! Set-up of the native libraries: fetch the wheels, unpack what is needed beside each other, and
//! put the whole in place in one step, so that `lib/` is complete whenever it is there.

use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result, bail};
use clap::Args;
use fs_err as fs;
use shared::terminal::Terminal;

use crate::fetch;
use crate::installed::Installed;
use crate::project::Project;
use crate::runtimes::{self, Runtimes};
use crate::unpack;
use crate::wheels::megabytes;

/// Options of `cargo xtask setup`.
#[derive(Debug, Clone, Copy, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the command line")]
pub(crate) struct SetupOptions {
    /// With CUDA (about 3 GB to fetch, 5 GB on disk); the default where an NVIDIA driver is found.
    #[arg(long, conflicts_with = "cpu")]
    cuda: bool,
    /// Without CUDA (about 0.6 GB to fetch, 0.6 GB on disk), also where an NVIDIA driver is found.
    #[arg(long)]
    cpu: bool,
    /// Make lib/ anew, whatever is there.
    #[arg(long)]
    force: bool,
    /// Keep the fetched wheels in .downloads/wheels after unpacking.
    #[arg(long)]
    keep_wheels: bool,
}

/// Sees to it that the native libraries are in `lib/`.
pub(crate) fn run(project: &Project, options: SetupOptions, terminal: &Terminal) -> Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!(
            "the native libraries are for Linux on x86-64; elsewhere set LIBTORCH and ORT_DYLIB_PATH to your own"
        );
    }
    let _lock = lock(project, terminal)?;
    let present = if options.force {
        None
    } else {
        present(project)?
    };
    let wanted = project.wanted_runtimes(wants_cuda(options, present.as_ref()));
    tell_own(project, terminal);
    if !wanted.torch && !wanted.onnxruntime {
        return Ok(());
    }
    if let Some(present) = present.filter(|present| present.serves(wanted)) {
        terminal.status(format!(
            "native libraries in {}: {}, there already",
            project.lib().display(),
            set(present.cuda)
        ));
        return Ok(());
    }
    install(project, wanted, options, terminal)
}

/// What an earlier set-up left whole in `lib/`.
fn present(project: &Project) -> Result<Option<Installed>> {
    let lib = project.lib();
    let installed = Installed::read(&lib)?;
    if installed.is_none() && lib.exists() {
        bail!(
            "{} was not made by `cargo xtask setup`: move it away, or run `cargo xtask setup --force` to replace it",
            lib.display()
        );
    }
    Ok(installed.filter(|installed| installed.damaged(&lib).is_none()))
}

fn wants_cuda(options: SetupOptions, present: Option<&Installed>) -> bool {
    match present {
        _ if options.cuda => true,
        _ if options.cpu => false,
        Some(present) if present.chosen => present.cuda,
        _ => runtimes::has_nvidia_driver(),
    }
}

fn tell_own(project: &Project, terminal: &Terminal) {
    if let Some(path) = &project.own_torch {
        terminal.status(format!(
            "libtorch: your own, LIBTORCH={}; none is fetched",
            path.display()
        ));
    }
    if let Some(path) = &project.own_onnxruntime {
        terminal.status(format!(
            "ONNX Runtime: your own, ORT_DYLIB_PATH={}; none is fetched",
            path.display()
        ));
    }
}

fn install(
    project: &Project,
    wanted: Runtimes,
    options: SetupOptions,
    terminal: &Terminal,
) -> Result<()> {
    let wheels = wanted.wheels();
    let bytes: u64 = wheels.iter().map(|wheel| wheel.bytes).sum();
    let shown = project.shown(&project.lib());
    terminal.status(format!(
        "native libraries for {shown}/: {}, {} MB of wheels",
        set(wanted.cuda),
        megabytes(bytes)
    ));
    // Libraries compress to about half.
    let fetched = fetch::fetch(project, &wheels, 2 * bytes, terminal)?;

    let temporary = project.root().join(format!("lib.tmp-{}", process::id()));
    let paths: Vec<PathBuf> = wheels
        .iter()
        .map(|wheel| project.wheels().join(wheel.file))
        .collect();
    let unpacked = unpack_all(&paths, &temporary, wanted, terminal).and_then(|bytes| {
        runtimes::write_build_version(&temporary)?;
        Installed::describe(&temporary, wanted, options.cpu || options.cuda)?.write(&temporary)?;
        Ok(bytes)
    });
    let bytes = match unpacked {
        Ok(bytes) => bytes,
        Err(error) => {
            // The first error is the one to tell.
            let _ = fs::remove_dir_all(&temporary);
            return Err(error);
        }
    };
    replace(&temporary, &project.lib())?;
    if !options.keep_wheels {
        for wheel in fetched {
            fs::remove_file(wheel)?;
        }
    }
    terminal.status(format!(
        "native libraries in {}: {} MB",
        project.lib().display(),
        megabytes(bytes)
    ));
    Ok(())
}

/// Unpacks what `wanted` keeps of `wheels` into `folder`; returns the bytes.
fn unpack_all(
    wheels: &[PathBuf],
    folder: &Path,
    wanted: Runtimes,
    terminal: &Terminal,
) -> Result<u64> {
    let mut bytes = 0;
    for wheel in wheels {
        bytes += unpack::unpacked_bytes(wheel, |name| wanted.keeps(name))?;
    }
    let progress = terminal.progress("unpacking", bytes, "bytes");
    for wheel in wheels {
        unpack::unpack(
            wheel,
            folder,
            |name| wanted.keeps(name).then(|| name.to_owned()),
            Some(&progress),
        )?;
    }
    progress.finish();
    Ok(bytes)
}

/// Puts `new` in the place of `old`; programs that run keep the libraries that they opened.
fn replace(new: &Path, old: &Path) -> Result<()> {
    if !old.exists() {
        return Ok(fs::rename(new, old)?);
    }
    let aside = old.with_file_name(format!("lib.old-{}", process::id()));
    fs::rename(old, &aside)?;
    fs::rename(new, old)?;
    Ok(fs::remove_dir_all(aside)?)
}

/// One set-up at a time; what killed ones left is swept.
fn lock(project: &Project, terminal: &Terminal) -> Result<fs::File> {
    fs::create_dir_all(project.downloads())?;
    let path = project.downloads().join("setup.lock");
    let file = fs::File::create(&path)?;
    if file.file().try_lock().is_err() {
        terminal.status("waiting for another set-up in this folder");
        file.file()
            .lock()
            .with_context(|| format!("cannot lock {}", path.display()))?;
    }
    for entry in fs::read_dir(project.root())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("lib.tmp-") || name.starts_with("lib.old-") {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(file)
}

fn set(cuda: bool) -> &'static str {
    if cuda { "CPU and CUDA" } else { "CPU" }
}

#[cfg(test)]
mod tests;
