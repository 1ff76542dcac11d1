//! The job templates on a real Slurm: what `benchmarks/slurm/test.sh` needs is built and fetched, then it is run.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use shared::terminal::Terminal;

use crate::demo;
use crate::example;
use crate::project::Project;
use crate::setup::{self, SetupOptions};
use crate::steps::{self, Steps};

const SCRIPT: &str = "benchmarks/slurm/test.sh";

/// Runs the templates with programs built as the tests build them, so that nothing is compiled twice.
pub(crate) fn run(project: &Project, terminal: &Terminal) -> Result<ExitCode> {
    let mut steps = Steps::new(4, terminal);
    steps.step("native libraries", || {
        setup::run(project, SetupOptions::default(), terminal)
    })?;
    let encoder = steps.step("encoder", || example::encoder(project, terminal))?;
    let programs = steps.step("build the programs", || {
        demo::build_packages(project, &[], "dev")
    })?;
    let folder = programs
        .get("extractor")
        .and_then(|program| program.parent())
        .context("cargo built no extractor")?;
    steps.step("jobs", || {
        steps::run(
            "the test of the job templates",
            &mut jobs(project, folder, &encoder),
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

fn jobs(project: &Project, programs: &Path, encoder: &Path) -> Command {
    let mut command = Command::new(project.root().join(SCRIPT));
    command
        .arg(programs)
        .arg(encoder)
        .arg(example::dataset(project));
    command.envs(demo::elsewhere(project));
    command
}
