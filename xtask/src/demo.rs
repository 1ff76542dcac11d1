//! README's first command: from a fresh clone to a trained head on real sentences, with the
//! programs as a user runs them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;
use shared::terminal::Terminal;

use crate::example;
use crate::project::Project;
use crate::setup::{self, SetupOptions};
use crate::steps::{self, Steps};

const EPOCHS: &str = "20";
/// Each demo replaces the run of the one before.
const RUN: &str = "demo";

/// Runs the whole demo.
pub(crate) fn run(
    project: &Project,
    model_dir: Option<PathBuf>,
    terminal: &Terminal,
) -> Result<ExitCode> {
    let mut steps = Steps::new(5, terminal);
    steps.step("native libraries", || {
        setup::run(project, SetupOptions::default(), terminal)
    })?;
    let encoder = steps.step("encoder", || match model_dir {
        Some(folder) => folder
            .canonicalize()
            .with_context(|| format!("--model-dir {} is not there", folder.display())),
        None => example::encoder(project, terminal),
    })?;
    let programs = steps.step("build the programs (minutes the first time)", || {
        build(project)
    })?;
    let store = steps.step("extractor: run the encoder once, keep every layer", || {
        let mut extractor = program(project, &programs, "extractor")?;
        extractor.arg("--model").arg(project.shown(&encoder));
        extractor
            .arg("--dataset")
            .arg(project.shown(&example::dataset(project)));
        extractor.args(["--out", "cache", "--json"]);
        extract(told(&mut extractor, project, terminal))
    })?;
    steps.step("trainer: train a head on what was kept", || {
        let mut trainer = program(project, &programs, "trainer")?;
        trainer.arg("--cache").arg(store);
        trainer.args([
            "--epochs",
            EPOCHS,
            "--out",
            "runs",
            "--name",
            RUN,
            "--overwrite",
        ]);
        steps::run("trainer", told(&mut trainer, project, terminal))
    })?;
    terminal.status(format!("\nall of it in {}", steps.elapsed()));
    Ok(ExitCode::SUCCESS)
}

/// What the extractor says about the store for programs.
#[derive(Debug, Deserialize)]
struct Extracted {
    store: PathBuf,
}

/// Runs the extractor; the path of the store.
pub(crate) fn extract(command: &mut Command) -> Result<PathBuf> {
    let child = command.stdout(Stdio::piped()).spawn();
    let output = child
        .and_then(Child::wait_with_output)
        .context("cannot run the extractor")?;
    steps::ended("extractor", output.status)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let extracted: Extracted = serde_json::from_str(text.trim())
        .with_context(|| format!("the extractor names no store: {}", text.trim()))?;
    Ok(extracted.store)
}

/// One line that cargo prints about what it built.
#[derive(Debug, Deserialize)]
struct Built {
    executable: Option<PathBuf>,
}

/// Builds both programs and tells where cargo put them.
pub(crate) fn build(project: &Project) -> Result<BTreeMap<String, PathBuf>> {
    build_packages(project, &["extractor", "trainer"], "release")
}

/// Builds the programs of some packages, or of all if none is named (then with the tests, so that
/// these have nothing left to compile), and tells where cargo put them: the target folder may be
/// elsewhere.
pub(crate) fn build_packages(
    project: &Project,
    packages: &[&str],
    profile: &str,
) -> Result<BTreeMap<String, PathBuf>> {
    let mut command = project.cargo(&[
        "build",
        "--profile",
        profile,
        "--locked",
        "--message-format=json-render-diagnostics",
    ]);
    if packages.is_empty() {
        command.args(["--workspace", "--tests"]);
    }
    for package in packages {
        command.args(["--package", package]);
    }
    command.arg("--bins").stdout(Stdio::piped());
    let mut cargo = command.spawn().context("cannot run cargo")?;
    let mut programs = BTreeMap::new();
    for line in cargo
        .stdout
        .take()
        .map(BufReader::new)
        .into_iter()
        .flat_map(BufRead::lines)
    {
        // Other kinds of message have no executable.
        if let Ok(Built {
            executable: Some(path),
        }) = serde_json::from_str(&line?)
        {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            programs.insert(name, path);
        }
    }
    steps::ended("cargo build", cargo.wait()?)?;
    Ok(programs)
}

/// A built program, as a user would run it.
pub(crate) fn program(
    project: &Project,
    programs: &BTreeMap<String, PathBuf>,
    name: &str,
) -> Result<Command> {
    let path = programs
        .get(name)
        .with_context(|| format!("cargo built no program {name}"))?;
    let mut command = Command::new(path);
    command.current_dir(project.root());
    if path.starts_with(project.root()) {
        // Cargo sets it for this program; the built ones find `lib/` by themselves.
        if project.own_torch.is_none() {
            command.env_remove("LIBTORCH");
        }
    } else {
        // A target folder elsewhere is not beside `lib/`.
        command.envs(elsewhere(project));
    }
    Ok(command)
}

/// The variables that name `lib/` to programs which do not lie near it.
pub(crate) fn elsewhere(project: &Project) -> Vec<(&'static str, PathBuf)> {
    let torch = project
        .own_torch
        .clone()
        .unwrap_or_else(|| project.lib().join("torch"));
    let onnxruntime = project
        .own_onnxruntime
        .clone()
        .unwrap_or_else(|| project.lib().join("onnxruntime/capi"));
    vec![("LIBTORCH", torch), ("ORT_DYLIB_PATH", onnxruntime)]
}

/// Shows the command line before it runs, relative to the repository, so that a reader can repeat it.
fn told<'a>(command: &'a mut Command, project: &Project, terminal: &Terminal) -> &'a mut Command {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<String> = words.map(|word| project.shown(Path::new(word))).collect();
    terminal.status(format!("$ {}", line.join(" ")));
    command
}
