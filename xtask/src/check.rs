//! What a change must pass besides the tests.

use std::process::{ExitCode, Stdio};

use anyhow::Result;
use shared::terminal::Terminal;

use crate::project::Project;
use crate::setup::{self, SetupOptions};
use crate::steps::{self, Steps};

/// Runs all checks, cheapest first, and stops at the first that fails.
pub(crate) fn run(project: &Project, terminal: &Terminal) -> Result<ExitCode> {
    setup::run(project, SetupOptions::default(), terminal)?;
    let mut steps = Steps::new(4, terminal);
    steps.step("format", || {
        steps::run(
            "cargo fmt",
            &mut project.cargo(&["fmt", "--all", "--check"]),
        )
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
        let installed = project
            .cargo(&["deny", "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !installed.is_ok_and(|status| status.success()) {
            terminal
                .warn("skipped: cargo-deny is not installed (cargo install --locked cargo-deny)");
            return Ok(());
        }
        steps::run("cargo deny", &mut project.cargo(&["deny", "check"]))
    })?;
    Ok(ExitCode::SUCCESS)
}
