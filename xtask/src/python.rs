//! Python, which only fetches: pip brings the wheels, and the tests compare with Python packages that lie in a folder
//! of the repository. Nothing is installed into the user's own Python.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use fs_err as fs;
use shared::terminal::Terminal;

use crate::project::Project;

/// The tags of all wheels that run on glibc 2.28 and later: pip takes only what is named.
const OLDEST_MANYLINUX: u32 = 5;
const NEWEST_MANYLINUX: u32 = 28;

/// In an environment: what was installed into it.
const MARKER: &str = "installed.txt";
const PRINT_VERSION: &str = "import sys; print(*sys.version_info[:2])";
const PRINT_PACKAGES: &str = "import sysconfig; print(sysconfig.get_path('purelib'))";

/// The user's `python3`, with pip.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    program: PathBuf,
    /// Major and minor version.
    pub(crate) version: (u32, u32),
}

/// The Python of the environment `folder` with these packages, made if it is not there.
pub(crate) fn with_packages(
    project: &Project,
    folder: &Path,
    requirements: &[&str],
    terminal: &Terminal,
) -> Result<PathBuf> {
    match made(folder, requirements) {
        Some(python) => Ok(python),
        None => Python::find()?.environment(project, folder, requirements, terminal),
    }
}

impl Python {
    /// Finds Python and checks that pip answers.
    pub(crate) fn find() -> Result<Self> {
        Self::at(Path::new("python3"))
    }

    fn at(program: &Path) -> Result<Self> {
        let shown = program.display();
        let output = match output(Command::new(program).args(["-c", PRINT_VERSION])) {
            Ok(output) => output,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!(
                    "{shown} is not there: install Python 3 with pip (Debian: apt install python3 python3-pip)"
                )
            }
            Err(error) => return Err(error).context(format!("cannot run {shown}")),
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let mut numbers = text.split_whitespace().map(str::parse::<u32>);
        let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
            bail!(
                "{shown} does not tell its version: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        };
        let python = Self {
            program: program.to_path_buf(),
            version: (major, minor),
        };
        let pip = output_of(&mut python.pip(&["--version"]))?;
        if !pip.status.success() {
            bail!(
                "{shown} has no pip: install it (Debian: apt install python3-pip; elsewhere: {shown} -m ensurepip --user)"
            );
        }
        Ok(python)
    }

    /// `pip ARGUMENTS`, whatever the user's configuration says about virtual environments.
    pub(crate) fn pip(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["-m", "pip", "--disable-pip-version-check", "--no-input"])
            .args(arguments);
        command
            .env("PIP_REQUIRE_VIRTUALENV", "0")
            .stdin(Stdio::null());
        command
    }

    /// Makes an environment in `folder` with `requirements`; returns its Python.
    ///
    /// `venv --without-pip` and `pip --target` work where Debian's `python3-venv` is not installed.
    pub(crate) fn environment(
        &self,
        project: &Project,
        folder: &Path,
        requirements: &[&str],
        terminal: &Terminal,
    ) -> Result<PathBuf> {
        let python = folder.join("bin/python");
        let shown = project.shown(folder);
        terminal.status(format!(
            "making a Python environment in {shown}: {}",
            requirements.join(" ")
        ));
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        let made = output_of(
            Command::new(&self.program)
                .args(["-m", "venv", "--without-pip"])
                .arg(folder),
        )?;
        if !made.status.success() {
            bail!(
                "cannot make a Python environment in {shown}:\n{}",
                said(&made)
            );
        }
        let packages = output_of(Command::new(&python).args(["-c", PRINT_PACKAGES]))?;
        let packages = String::from_utf8_lossy(&packages.stdout).trim().to_owned();
        let mut install = self.pip(&[
            "install",
            "--quiet",
            "--no-warn-script-location",
            "--target",
            &packages,
        ]);
        let installed = output_of(install.args(requirements))?;
        if !installed.status.success() {
            bail!(
                "pip cannot install {}:\n{}",
                requirements.join(" "),
                said(&installed)
            );
        }
        fs::write(folder.join(MARKER), listed(requirements))?;
        Ok(python)
    }
}

/// The Python of the environment that was made in `folder` with the same `requirements`, if it still runs.
pub(crate) fn made(folder: &Path, requirements: &[&str]) -> Option<PathBuf> {
    let installed = fs::read_to_string(folder.join(MARKER)).ok()?;
    let python = folder.join("bin/python");
    let runs = || {
        output(Command::new(&python).args(["-c", ""])).is_ok_and(|output| output.status.success())
    };
    (installed == listed(requirements) && runs()).then_some(python)
}

fn listed(requirements: &[&str]) -> String {
    requirements.join("\n") + "\n"
}

/// The options by which pip fetches wheels for the programs' platform, whatever Python it runs in.
pub(crate) fn download_options() -> Vec<String> {
    let fixed = [
        "--no-deps",
        "--only-binary=:all:",
        "--python-version",
        "3.11",
        "--implementation",
        "cp",
    ];
    let mut options: Vec<String> = fixed.iter().map(ToString::to_string).collect();
    let recent = (OLDEST_MANYLINUX..=NEWEST_MANYLINUX)
        .rev()
        .map(|minor| format!("manylinux_2_{minor}_x86_64"));
    let named = [
        "manylinux2014_x86_64",
        "manylinux2010_x86_64",
        "manylinux1_x86_64",
    ]
    .map(str::to_owned);
    for platform in recent.chain(named) {
        options.extend(["--platform".to_owned(), platform]);
    }
    options
}

/// What a failed command said, indented and without its notices.
pub(crate) fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    // pip tells every attempt first and the outcome last.
    let last = lines.len().saturating_sub(4);
    let lines = lines.split_off(last);
    lines
        .iter()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn output(command: &mut Command) -> io::Result<Output> {
    command.stdin(Stdio::null()).output()
}

fn output_of(command: &mut Command) -> Result<Output> {
    output(command)
        .with_context(|| format!("cannot run {}", Path::new(command.get_program()).display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_that_is_not_there_is_named_with_the_remedy() {
        let error = Python::at(Path::new("no-such-python")).unwrap_err();
        assert!(
            error.to_string().contains("install Python 3 with pip"),
            "{error}"
        );
    }

    #[test]
    fn a_python_without_pip_is_named_with_the_remedy() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("python3");
        fs::write(
            &program,
            "#!/bin/sh\nif [ \"$1\" = -c ]; then echo 3 12; else exit 1; fi\n",
        )
        .unwrap();
        fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let error = Python::at(&program).unwrap_err();
        assert!(error.to_string().contains("has no pip"), "{error}");
    }

    #[test]
    fn an_environment_is_made_anew_when_other_packages_are_wanted() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let python = folder.path().join("bin/python");
        fs::create_dir_all(folder.path().join("bin")).unwrap();
        fs::write(&python, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&python, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(made(folder.path(), &["zarr==3"]), None);
        fs::write(folder.path().join(MARKER), "zarr==3\n").unwrap();
        assert_eq!(made(folder.path(), &["zarr==3"]), Some(python));
        assert_eq!(made(folder.path(), &["zarr==4"]), None);
    }

    #[test]
    fn pip_is_asked_for_all_tags_that_the_wheels_bear() {
        let options = download_options();
        for tag in [
            "manylinux_2_28_x86_64",
            "manylinux_2_18_x86_64",
            "manylinux2014_x86_64",
        ] {
            assert!(options.iter().any(|option| option == tag), "{tag}");
        }
    }
}
