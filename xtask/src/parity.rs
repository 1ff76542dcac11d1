//! The comparison with PyTorch and transformers, on request: the same tests, with an environment that holds both.

use std::process::ExitCode;

use anyhow::Result;
use shared::terminal::Terminal;

use crate::example;
use crate::project::Project;
use crate::python;
use crate::setup::{self, SetupOptions};
use crate::steps::{self, Steps};
use crate::test::{TORCH_VARIABLE, ZARR_VARIABLE, cargo_test};

const REQUIREMENTS: [&str; 6] = [
    "numpy==2.4.6",
    "safetensors==0.8.0",
    "seqeval==1.2.2",
    "torch==2.11.0",
    "transformers==5.23.0",
    "zarr==3.1.6",
];

/// Makes the environment and runs all tests with it.
pub(crate) fn run(
    project: &Project,
    arguments: &[String],
    terminal: &Terminal,
) -> Result<ExitCode> {
    let mut steps = Steps::new(4, terminal);
    steps.step("native libraries", || {
        setup::run(project, SetupOptions::default(), terminal)
    })?;
    let encoder = steps.step("encoder", || example::encoder(project, terminal))?;
    let python = steps.step(
        "Python environment with PyTorch (about 3 GB to fetch)",
        || {
            let folder = project.downloads().join("python-torch");
            python::with_packages(project, &folder, &REQUIREMENTS, terminal)
        },
    )?;
    terminal.status("\n[4/4] tests, with the comparisons");
    let mut tests = cargo_test(project, &encoder, arguments);
    let status = steps::status(
        tests
            .env(TORCH_VARIABLE, &python)
            .env(ZARR_VARIABLE, &python),
    )?;
    Ok(ExitCode::from(steps::exit_code(status)))
}
