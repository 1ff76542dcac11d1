//! All tests, with what they need: the libraries, a real encoder, and zarr-python to read the stores that we write.

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;
use shared::terminal::Terminal;

use crate::example;
use crate::project::Project;
use crate::python::{self, Python};
use crate::setup::{self, SetupOptions};
use crate::steps::{self, Steps};

/// Environment variables by which the tests find what they compare with.
pub(crate) const ENCODER_VARIABLE: &str = "MINILM_DIR";
pub(crate) const ZARR_VARIABLE: &str = "PYTHON_WITH_ZARR";
pub(crate) const TORCH_VARIABLE: &str = "PYTHON_WITH_TORCH";

/// What reads our stores independently; zarr 3.1 wants Python 3.11.
const ZARR_REQUIREMENTS: [&str; 2] = ["numpy==2.4.6", "zarr==3.1.6"];
const ZARR_PYTHON: (u32, u32) = (3, 11);

/// Sets up and runs `cargo test`, whose closing lines end the output and whose exit code is passed on.
pub(crate) fn run(
    project: &Project,
    python: bool,
    arguments: &[String],
    terminal: &Terminal,
) -> Result<ExitCode> {
    let mut steps = Steps::new(4, terminal);
    steps.step("native libraries", || {
        setup::run(project, SetupOptions::default(), terminal)
    })?;
    let encoder = steps.step("encoder", || example::encoder(project, terminal))?;
    let mut tests = cargo_test(project, &encoder, arguments);
    steps.step("Python environment", || {
        if env::var_os(ZARR_VARIABLE).is_some() {
            terminal.status(format!("{ZARR_VARIABLE} is set: your own is used"));
        } else if !python {
            terminal.status("skipped: the checks against zarr-python (--no-python)");
        } else {
            zarr_environment(project, &mut tests, terminal)?;
        }
        if env::var_os(TORCH_VARIABLE).is_none() {
            terminal.status(format!(
                "skipped: the checks against PyTorch itself ({TORCH_VARIABLE} is not set; `cargo xtask parity` makes them); \
                 its recorded numbers are checked"
            ));
        }
        Ok(())
    })?;
    terminal.status("\n[4/4] tests");
    let status = steps::status(&mut tests)?;
    Ok(ExitCode::from(steps::exit_code(status)))
}

/// `cargo test` of the whole workspace, or of the packages that `arguments` name, with the variables of the tests.
pub(crate) fn cargo_test(project: &Project, encoder: &Path, arguments: &[String]) -> Command {
    let mut command = project.cargo(&["test", "--locked"]);
    if !names_packages(arguments) {
        command.arg("--workspace");
    }
    command.args(arguments).env(ENCODER_VARIABLE, encoder);
    command
}

/// Cargo takes `--workspace` to mean all, whatever packages are named beside it.
fn names_packages(arguments: &[String]) -> bool {
    let cargos = arguments.iter().take_while(|argument| *argument != "--");
    cargos.into_iter().any(|argument| {
        let long = argument == "--package" || argument.starts_with("--package=");
        long || (argument.starts_with("-p") && !argument.starts_with("--"))
    })
}

fn zarr_environment(project: &Project, tests: &mut Command, terminal: &Terminal) -> Result<()> {
    let folder = project.downloads().join("python");
    if let Some(environment) = python::made(&folder, &ZARR_REQUIREMENTS) {
        tests.env(ZARR_VARIABLE, environment);
        return Ok(());
    }
    let python = Python::find()?;
    if python.version < ZARR_PYTHON {
        let ((major, minor), (wanted_major, wanted_minor)) = (python.version, ZARR_PYTHON);
        terminal.warn(format!(
            "skipped: the checks against zarr-python, which wants Python {wanted_major}.{wanted_minor}; python3 is {major}.{minor}"
        ));
        return Ok(());
    }
    let environment = python
        .environment(project, &folder, &ZARR_REQUIREMENTS, terminal)
        .map_err(|error| error.context("no Python environment for the checks against zarr-python (--no-python leaves them out)"))?;
    tests.env(ZARR_VARIABLE, environment);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_packages_are_told_from_what_the_tests_are_given() {
        let names = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            names_packages(&words)
        };
        assert!(names("-p shared") && names("-pshared") && names("--package=shared"));
        assert!(!names("store -- -p") && !names("--profile release"));
    }
}
