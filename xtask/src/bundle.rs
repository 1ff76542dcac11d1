//! `cargo xtask bundle`: the programs and the native libraries as one archive for a machine without internet and
//! without Rust. It is unpacked anywhere and runs there, as the programs find `lib/` beside themselves.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;
use fs_err as fs;
use shared::terminal::Terminal;

use crate::demo;
use crate::project::Project;
use crate::setup::{self, SetupOptions};
use crate::steps::{self, Steps};
use crate::wheels::megabytes;

/// What goes into the archive, and how it is cut.
#[derive(Debug, Args)]
pub(crate) struct BundleOptions {
    #[command(flatten)]
    setup: SetupOptions,
    /// The archive; its ending says how it is compressed: .tar, .tar.gz, .tar.zst or .tar.xz
    /// [default: target/bundle/activation-cache.tar.gz]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Leave out libtorch and the CUDA libraries beside it, for a machine that has libtorch 2.11: there, LIBTORCH
    /// names the folder of its `lib/`.
    #[arg(long)]
    without_libtorch: bool,
    /// Cut the archive into parts of this size (60MB, 2GB), with a script that checks and joins them.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    split: Option<u64>,
}

/// Programs of a release.
const PROGRAMS: [&str; 3] = ["extractor", "trainer", "trainer-torch"];
/// Name of the folder that the archive unpacks to.
const FOLDER: &str = "activation-cache";
/// Of `lib/`, what only compiling needs.
const ONLY_TO_BUILD: &str = "lib/torch/include";

/// Builds the programs and packs them.
pub(crate) fn run(
    project: &Project,
    options: &BundleOptions,
    terminal: &Terminal,
) -> Result<ExitCode> {
    let archive = match &options.out {
        Some(path) => std::path::absolute(path)?,
        None => project
            .root()
            .join("target/bundle")
            .join(format!("{FOLDER}.tar.gz")),
    };
    let mut steps = Steps::new(3, terminal);
    steps.step("native libraries", || {
        setup::run(project, options.setup, terminal)
    })?;
    let programs = steps.step("build the programs", || demo::build(project))?;
    steps.step("pack", || {
        let above = archive.parent().context("--out names no file")?;
        fs::create_dir_all(above)?;
        let staging = above.join(format!(".{FOLDER}.{}.tmp", std::process::id()));
        let folder = staging.join(FOLDER);
        fs::create_dir_all(&folder)?;
        for name in PROGRAMS {
            let path = programs
                .get(name)
                .with_context(|| format!("cargo built no program {name}"))?;
            fs::copy(path, folder.join(name))?;
        }
        for name in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            fs::copy(project.root().join(name), folder.join(name))?;
        }
        let packed = pack(project, &staging, &archive, options.without_libtorch);
        fs::remove_dir_all(&staging)?;
        packed
    })?;
    let bytes = fs::metadata(&archive)?.len();
    match options.split {
        Some(size) => {
            let parts = cut(&archive, size)?;
            terminal.status(format!(
                "\n{} parts and join.sh in {}, {} MB in all",
                parts,
                project.shown(archive.parent().unwrap_or(&archive)),
                megabytes(bytes)
            ));
        }
        None => terminal.status(format!(
            "\n{}, {} MB",
            project.shown(&archive),
            megabytes(bytes)
        )),
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the archive: what was staged, and `lib/` as it lies in the repository.
fn pack(project: &Project, staging: &Path, archive: &Path, without_libtorch: bool) -> Result<()> {
    let mut tar = Command::new("tar");
    // The same content gives the same archive, whoever packs it.
    tar.args([
        "--auto-compress",
        "--create",
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
    ]);
    tar.arg("--file").arg(archive);
    tar.arg(format!("--exclude={ONLY_TO_BUILD}"));
    if without_libtorch {
        tar.args(["--exclude=lib/torch*", "--exclude=lib/nvidia*"]);
    }
    tar.arg("--directory").arg(staging).arg(FOLDER);
    if project.lib().is_dir() {
        // Below the archive's folder, whatever the repository's is called; links keep their targets.
        tar.arg(format!("--transform=flags=r;s,^lib,{FOLDER}/lib,"));
        tar.arg("--directory").arg(project.root()).arg("lib");
    }
    steps::run("tar", &mut tar)
}

/// Cuts `archive` into parts beside it, with their digests and a script that joins them; the number of parts. The
/// archive itself goes.
fn cut(archive: &Path, size: u64) -> Result<usize> {
    use std::io::{Read, Write};
    let folder = archive.parent().context("the archive has no folder")?;
    let name = archive
        .file_name()
        .context("the archive has no name")?
        .to_string_lossy()
        .into_owned();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let there = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let number = there.strip_prefix(&format!("{name}.")).unwrap_or_default();
        if number.len() == 3 && number.bytes().all(|digit| digit.is_ascii_digit()) {
            fs::remove_file(path)?;
        }
    }
    let whole = shared::files::sha256_file(archive)?;
    let mut digests = vec![format!("{whole}  {name}\n")];
    let mut source = fs::File::open(archive)?;
    let mut parts = 0;
    loop {
        let part = format!("{name}.{parts:03}");
        let path = folder.join(&part);
        let mut file = fs::File::create(&path)?;
        let written = std::io::copy(&mut Read::by_ref(&mut source).take(size), &mut file)?;
        file.flush()?;
        if written == 0 {
            fs::remove_file(path)?;
            break;
        }
        digests.push(format!("{}  {part}\n", shared::files::sha256_file(&path)?));
        parts += 1;
    }
    fs::write(folder.join("SHA256SUMS"), digests.concat())?;
    let script = folder.join("join.sh");
    fs::write(&script, join_script(&name))?;
    executable(&script)?;
    fs::remove_file(archive)?;
    Ok(parts)
}

/// Checks the parts, joins them, checks the whole and unpacks it, beside the script.
fn join_script(name: &str) -> String {
    format!(
        "#!/bin/sh\n\
         # Joins and unpacks {name}. Needs sha256sum and tar.\n\
         set -eu\n\
         cd \"$(dirname \"$0\")\"\n\
         grep -v '  {name}$' SHA256SUMS | sha256sum --check --quiet -\n\
         cat {name}.[0-9][0-9][0-9] > {name}\n\
         grep '  {name}$' SHA256SUMS | sha256sum --check --quiet -\n\
         tar --extract --file={name}\n\
         echo \"unpacked to $(pwd)/{FOLDER}\"\n"
    )
}

fn executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(0o755),
    )?)
}

/// Reads `60MB`, `2GB` or a number of bytes.
fn size(text: &str) -> Result<u64> {
    let units = [
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("", 1),
    ];
    let read = units.into_iter().find_map(|(unit, factor)| {
        let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(factor)
    });
    match read {
        Some(bytes) if bytes >= 1_000_000 => Ok(bytes),
        _ => bail!("expected a size of at least 1MB, such as 60MB or 2GB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("60MB").unwrap(), 60_000_000);
        assert_eq!(size("2 GB").unwrap(), 2_000_000_000);
        assert_eq!(size("1000000").unwrap(), 1_000_000);
        for wrong in ["", "60", "MB", "12kB", "x MB", "99999999999999GB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_are_joined_to_what_was_cut_and_a_damaged_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let content = folder.path().join(FOLDER);
        fs::create_dir(&content).unwrap();
        let bytes: Vec<u8> = (0..2_500_000_u32)
            .map(|at| u8::try_from(at.wrapping_mul(2_654_435_761) >> 24).unwrap())
            .collect();
        fs::write(content.join("numbers"), &bytes).unwrap();
        let archive = folder.path().join("a.tar");
        let mut tar = Command::new("tar");
        tar.arg("-C")
            .arg(folder.path())
            .arg("-cf")
            .arg(&archive)
            .arg(FOLDER);
        steps::run("tar", &mut tar).unwrap();
        fs::remove_dir_all(&content).unwrap();
        // Of an earlier, longer archive.
        fs::write(folder.path().join("a.tar.007"), "old").unwrap();
        assert_eq!(cut(&archive, 1_000_000).unwrap(), 3);
        assert!(!archive.exists());
        let join = || {
            Command::new(folder.path().join("join.sh"))
                .output()
                .unwrap()
        };
        assert!(join().status.success());
        assert_eq!(fs::read(content.join("numbers")).unwrap(), bytes);
        let part = folder.path().join("a.tar.001");
        let mut damaged = fs::read(&part).unwrap();
        damaged[77] ^= 1;
        fs::write(&part, damaged).unwrap();
        let output = join();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("a.tar.001"));
    }
}
