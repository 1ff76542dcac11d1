//! What a change must pass besides the tests.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Result, ensure};
use shared::terminal::Terminal;

use crate::project::Project;
use crate::setup::{self, SetupOptions};
use crate::steps::{self, Steps};
use crate::structure;

/// The fuzz targets are a workspace of their own.
const FUZZING: &str = "benchmarks/fuzz/Cargo.toml";

/// Runs all checks, cheapest first, and stops at the first that fails.
pub(crate) fn run(project: &Project, terminal: &Terminal) -> Result<ExitCode> {
    setup::run(project, SetupOptions::default(), terminal)?;
    let mut steps = Steps::new(5, terminal);
    steps.step("structure", || {
        let problems = structure::problems(project.root())?;
        for problem in &problems {
            terminal.error(problem, &[]);
        }
        ensure!(problems.is_empty(), "the structure of the sources");
        Ok(())
    })?;
    steps.step("format", || {
        for workspace in ["Cargo.toml", FUZZING] {
            let fmt = ["fmt", "--all", "--check", "--manifest-path", workspace];
            steps::run("cargo fmt", &mut project.cargo(&fmt))?;
        }
        Ok(())
    })?;
    steps.step("lints", || {
        let clippy = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ];
        steps::run("cargo clippy", &mut project.cargo(&clippy))
    })?;
    steps.step("documentation", || {
        let mut doc = project.cargo(&[
            "doc",
            "--workspace",
            "--no-deps",
            "--locked",
            "--document-private-items",
        ]);
        steps::run("cargo doc", doc.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    steps.step("licences and advisories", || {
        if !silent(&mut project.cargo(&["deny", "--version"])) {
            terminal
                .warn("skipped: cargo-deny is not installed (cargo install --locked cargo-deny)");
            return Ok(());
        }
        let rules = ["deny", "check", "licenses", "bans", "sources"];
        steps::run("cargo deny", &mut project.cargo(&rules))?;
        if !silent(&mut project.cargo(&["deny", "fetch", "db"])) {
            terminal.warn("skipped: the database of advisories cannot be had here");
            return Ok(());
        }
        let advisories = ["deny", "check", "--disable-fetch", "advisories"];
        steps::run("cargo deny", &mut project.cargo(&advisories))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a command that may fail and has nothing to say.
fn silent(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
