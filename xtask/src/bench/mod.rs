//! `cargo xtask bench`: this project and PyTorch side by side on the same sentences and the same encoder.
//!
//! Every case is a process of its own and is run once a round, all cases in turn, so that a noisy minute of the
//! machine meets both sides. Each measurement is saved at once and a repeated command goes on where it was; only
//! ratios of medians are claimed.

mod cases;
mod data;
mod log;
mod machine;
mod measure;
mod sweep;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;
use fs_err as fs;
use shared::terminal::Terminal;

use self::cases::{Case, Place, Size};
use self::log::Log;
use crate::demo;
use crate::example;
use crate::project::Project;
use crate::python;
use crate::setup::{self, SetupOptions};
use crate::steps::{self, Steps};

const REQUIREMENTS: [&str; 5] = [
    "matplotlib==3.11.1",
    "numpy==2.4.6",
    "safetensors==0.8.0",
    "torch==2.11.0",
    "transformers==5.23.0",
];

/// What to compare.
#[derive(Debug, Args)]
pub(crate) struct BenchOptions {
    /// Labelled sentences to measure on, in any format that the programs read; the built-in example by default.
    #[arg(long, value_name = "DIR|FILE")]
    data: Option<PathBuf>,
    /// Times that everything is run.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: u32,
    /// Encoders: the real all-MiniLM-L6-v2, and the size of others with random weights: bert-base; of extraction alone
    /// modernbert-base, modernbert-base-long (texts of about 1,500 words), deberta-v3-base, qwen3-0.6b.
    #[arg(long, value_delimiter = ',', default_values_t = [Size::MiniLm, Size::BertBase])]
    sizes: Vec<Size>,
    /// Threads of both sides [default: all that the job may use].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Words of the training sentences for the small encoder; larger ones get a sixth or less.
    #[arg(long, value_name = "N", default_value_t = 60_000)]
    words: usize,
    /// Only cases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Where measurements, table and plots go.
    #[arg(long, value_name = "DIR", default_value = "benchmarks/results/cpu")]
    out: PathBuf,
    /// A Python with torch, transformers and matplotlib, instead of an environment made here (about 6 GB).
    #[arg(long, value_name = "PYTHON")]
    python: Option<PathBuf>,
}

/// Runs what is missing of the comparison and writes its table and plots.
pub(crate) fn run(
    project: &Project,
    options: &BenchOptions,
    terminal: &Terminal,
) -> Result<ExitCode> {
    let mut steps = Steps::new(6, terminal);
    steps.step("native libraries", || {
        setup::run(project, SetupOptions::default(), terminal)
    })?;
    let python = steps.step("Python environment with PyTorch", || {
        if let Some(python) = &options.python {
            return Ok(python.clone());
        }
        let folder = project.downloads().join("python-bench");
        python::with_packages(project, &folder, &REQUIREMENTS, terminal)
    })?;
    let minilm = steps.step("encoder", || example::encoder(project, terminal))?;
    let programs = steps.step("build the programs", || demo::build(project))?;
    let work = project.root().join("target/bench");
    fs::create_dir_all(&work)?;
    let place = Place {
        project,
        programs,
        python,
        work,
        threads: options.threads.unwrap_or_else(shared::resources::threads),
    };
    let out = project.root().join(&options.out);
    fs::create_dir_all(&out)?;
    let source = options
        .data
        .clone()
        .unwrap_or_else(|| example::dataset(project));
    let sentences = data::load(&source)?;
    let machine = machine::describe(&sentences.id, place.threads);
    let mut log = Log::open(&out.join("measurements.jsonl"), &machine)?;
    steps.step("measurements", || {
        let mut cases = Vec::new();
        for &size in &options.sizes {
            let model = place.model(size, &minilm)?;
            let words = options.words / size.slower();
            cases.extend(cases::comparison(&place, size, &model, &sentences, words)?);
            if !size.is_extraction_alone() {
                cases.extend(sweep::cases(&place, size, &place.data(size)));
            }
        }
        cases.extend(cases::scaling(
            &place,
            &minilm,
            &sentences,
            options.words / 16,
        )?);
        let cases = chosen(cases, options.only.as_deref())?;
        for round in 1..=options.rounds {
            for case in &cases {
                if !log.has(&case.name, round) {
                    terminal.status(format!("round {round}: {}", case.name));
                    log.add(&case.name, round, case.run()?)?;
                }
            }
        }
        Ok(())
    })?;
    steps.step("table and plots", || {
        fs::write(out.join("README.md"), table::markdown(&log, &machine))?;
        let script = project.root().join("benchmarks/pytorch/plot.py");
        steps::run("plot.py", Command::new(&place.python).arg(script).arg(&out))
    })?;
    terminal.status(format!("\n{}", project.shown(&out.join("README.md"))));
    Ok(ExitCode::SUCCESS)
}

/// The cases whose name contains `text`.
fn chosen<'a>(cases: Vec<Case<'a>>, text: Option<&str>) -> Result<Vec<Case<'a>>> {
    let Some(text) = text else {
        return Ok(cases);
    };
    let (wanted, others): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|case| case.name.contains(text));
    if wanted.is_empty() {
        let names: Vec<&str> = others.iter().map(|case| case.name.as_str()).collect();
        bail!(
            "--only {text}: no case's name has that in it; the cases are\n  {}",
            names.join("\n  ")
        );
    }
    Ok(wanted)
}

impl Place<'_> {
    /// The encoder's folder; random weights are made once.
    fn model(&self, size: Size, minilm: &Path) -> Result<PathBuf> {
        if size == Size::MiniLm {
            return Ok(minilm.to_owned());
        }
        let folder = self.work.join(size.checkpoint());
        if !folder.join("model.safetensors").exists() {
            let mut command = self.script("random_model.py");
            command.arg("--size").arg(size.checkpoint());
            command
                .arg("--tokenizer")
                .arg(minilm)
                .arg("--out")
                .arg(&folder);
            steps::run("random_model.py", &mut command)
                .context("cannot make a checkpoint with random weights")?;
        }
        Ok(folder)
    }
}
