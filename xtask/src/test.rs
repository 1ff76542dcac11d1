//! All tests, with what they need: the libraries, a real encoder, and in Python zarr to read the
//! stores that we write and onnxruntime to run the graphs that we export.

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
const ONNX_VARIABLE: &str = "PYTHON_WITH_ONNXRUNTIME";
pub(crate) const TORCH_VARIABLE: &str = "PYTHON_WITH_TORCH";

/// What reads our stores and runs our graphs independently; zarr 3.1 wants Python 3.11.
const REQUIREMENTS: [&str; 4] = [
    "numpy==2.4.6",
    "onnxruntime==1.31.1",
    "tokenizers==0.23.3",
    "zarr==3.1.6",
];
const PYTHON: (u32, u32) = (3, 11);

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
        let mut missing = vec![ZARR_VARIABLE, ONNX_VARIABLE];
        missing.retain(|variable| env::var_os(variable).is_none());
        if missing.is_empty() {
            terminal.status(format!("{ZARR_VARIABLE} and {ONNX_VARIABLE} are set: your own are used"));
        } else if !python {
            terminal.status("skipped: the checks against zarr-python and onnxruntime (--no-python)");
        } else {
            environment(project, &missing, &mut tests, terminal)?;
        }
        if env::var_os(TORCH_VARIABLE).is_none() {
            terminal.status(format!(
                "skipped: the checks against PyTorch itself ({TORCH_VARIABLE} is not set; `cargo xtask parity` makes them); \
                 its recorded numbers are checked"
            ));
        }
        terminal.status(
            "skipped: the job templates on a real Slurm (`cargo xtask slurm` runs them), the GPU's paths without a GPU \
             (`cargo xtask gpu-check`), fuzzing (`benchmarks/fuzz/run`)",
        );
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

/// Makes the Python environment that `variables` shall name.
fn environment(
    project: &Project,
    variables: &[&str],
    tests: &mut Command,
    terminal: &Terminal,
) -> Result<()> {
    let folder = project.downloads().join("python");
    let environment = if let Some(environment) = python::made(&folder, &REQUIREMENTS) {
        environment
    } else {
        let python = Python::find()?;
        if python.version < PYTHON {
            let ((major, minor), (wanted_major, wanted_minor)) = (python.version, PYTHON);
            terminal.warn(format!(
                "skipped: the checks against zarr-python and onnxruntime, which want Python {wanted_major}.{wanted_minor}; \
                 python3 is {major}.{minor}"
            ));
            return Ok(());
        }
        python
            .environment(project, &folder, &REQUIREMENTS, terminal)
            .map_err(|error| error.context("no Python environment for the checks against zarr-python and onnxruntime (--no-python leaves them out)"))?
    };
    for variable in variables {
        tests.env(variable, &environment);
    }
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
