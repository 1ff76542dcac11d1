//! `cargo xtask results`: every head on real data sets, with three seeds, and the same adapter in PyTorch on the same
//! activations. What is done is kept: a repeated command goes on where it was.

mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Args;
use fs_err as fs;
use serde_json::{Value, json};
use shared::files::write_atomic;
use shared::terminal::Terminal;

use crate::demo;
use crate::example;
use crate::project::Project;
use crate::python;
use crate::setup::{self, SetupOptions};
use crate::steps::{self, Steps};

const REQUIREMENTS: [&str; 5] = [
    "numpy==2.4.6",
    "seqeval==1.2.2",
    "torch==2.11.0",
    "transformers==5.23.0",
    "zarr==3.1.6",
];

/// The runs of every data set.
const HEADS: &str = "benchmarks/heads.toml";
/// Epochs of each run; half as many where a training split has more tokens than this, for such an epoch has more steps.
const EPOCHS: u64 = 10;
const LARGE: u64 = 200_000;

/// What to train on.
#[derive(Debug, Args)]
pub(crate) struct ResultsOptions {
    /// Folder with a folder for each data set, in any format that the extractor reads.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Data sets, by the names of their folders.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "wnut17,broad-twitter,uner-ewt,ud-ewt,banking77"
    )]
    sets: Vec<String>,
    /// Encoder folder in place of all-MiniLM-L6-v2.
    #[arg(long, value_name = "DIR")]
    model_dir: Option<PathBuf>,
    /// Where stores and runs go: about 5 GB with the default data sets and encoder.
    #[arg(long, value_name = "DIR", default_value = "target/results")]
    work: PathBuf,
    /// Where the table goes, as Markdown and JSON.
    #[arg(long, value_name = "DIR", default_value = "benchmarks/results")]
    out: PathBuf,
    /// A Python with torch, transformers, zarr and seqeval, instead of an environment made here (about 6 GB).
    #[arg(long, value_name = "PYTHON")]
    python: Option<PathBuf>,
    /// Leave out PyTorch.
    #[arg(long)]
    no_python: bool,
    /// Seeds of PyTorch's adapter, which takes ten times as long as all else together.
    #[arg(long, value_name = "N", default_value_t = 3)]
    python_seeds: usize,
}

/// Programs and folders.
struct Place<'a> {
    project: &'a Project,
    programs: BTreeMap<String, PathBuf>,
    python: Option<PathBuf>,
    python_seeds: usize,
    work: PathBuf,
}

/// Extracts, sweeps and writes the table.
pub(crate) fn run(
    project: &Project,
    options: &ResultsOptions,
    terminal: &Terminal,
) -> Result<ExitCode> {
    let mut steps = Steps::new(4 + options.sets.len(), terminal);
    steps.step("native libraries", || {
        setup::run(project, SetupOptions::default(), terminal)
    })?;
    let python = steps.step("Python environment with PyTorch", || {
        match (&options.python, options.no_python) {
            (_, true) => Ok(None),
            (Some(python), false) => Ok(Some(python.clone())),
            (None, false) => {
                let folder = project.downloads().join("python-results");
                python::with_packages(project, &folder, &REQUIREMENTS, terminal).map(Some)
            }
        }
    })?;
    let encoder = steps.step("encoder", || match &options.model_dir {
        Some(folder) => Ok(folder.canonicalize()?),
        None => example::encoder(project, terminal),
    })?;
    let programs = steps.step("build the programs", || demo::build(project))?;
    let work = project.root().join(&options.work);
    fs::create_dir_all(&work)?;
    let place = Place {
        project,
        programs,
        python,
        python_seeds: options.python_seeds,
        work,
    };
    let mut sets = Vec::new();
    for set in &options.sets {
        let data = options.data.join(set).canonicalize();
        let data = data.with_context(|| format!("--data has no folder {set}"))?;
        sets.push(steps.step(set, || place.results(set, &data, &encoder))?);
    }
    let out = project.root().join(&options.out);
    fs::create_dir_all(&out)?;
    let results = json!({ "encoder": name(&encoder), "sets": sets });
    let text = serde_json::to_string_pretty(&results)? + "\n";
    write_atomic(out.join("heads.json"), text.as_bytes())?;
    let page = out.join("heads.md");
    write_atomic(&page, table::markdown(&results).as_bytes())?;
    terminal.status(format!("\n{}", project.shown(&page)));
    Ok(ExitCode::SUCCESS)
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

impl Place<'_> {
    /// All numbers of one data set.
    fn results(&self, set: &str, data: &Path, encoder: &Path) -> Result<Value> {
        let mut extractor = demo::program(self.project, &self.programs, "extractor")?;
        extractor
            .arg("--model")
            .arg(encoder)
            .arg("--dataset")
            .arg(data);
        extractor
            .arg("--out")
            .arg(self.work.join("cache"))
            .arg("--json");
        let store = demo::extract(&mut extractor)?;
        let manifest: Value = serde_json::from_slice(&fs::read(store.join("zarr.json"))?)?;
        let manifest = &manifest["attributes"]["activation_cache"];
        let task = manifest["dataset"]["task"].as_str().unwrap_or_default();

        let mut sweep = demo::program(self.project, &self.programs, "trainer")?;
        sweep.arg("sweep").arg("--cache").arg(&store);
        sweep.arg("--config").arg(self.project.root().join(HEADS));
        sweep.arg("--out").arg(self.work.join("runs"));
        sweep.args(["--name", set, "--json"]);
        let large = manifest["splits"]["train"]["tokens"].as_u64() > Some(LARGE);
        let epochs = if large { EPOCHS / 2 } else { EPOCHS };
        sweep.env("TRAINER_EPOCHS", epochs.to_string());
        let swept = said(&mut sweep)?;

        let mut compare = demo::program(self.project, &self.programs, "trainer")?;
        // In the order of the heads: the others are compared with the first.
        compare.args(["compare", "--json", "--quiet"]);
        let groups = swept["groups"].as_array().into_iter().flatten();
        let runs = groups.flat_map(|group| group["runs"].as_array().into_iter().flatten());
        compare.args(runs.filter_map(|run| run["folder"].as_str()));
        let compared = said(&mut compare)?;

        let (epochs, seeds) = self.settings(&swept)?;
        let pytorch = seeds
            .iter()
            .enumerate()
            .filter(|(place, seed)| *place < self.python_seeds || self.kept(set, **seed).is_file())
            .map(|(_, seed)| self.pytorch(set, &store, task, epochs, *seed));
        let pytorch: Vec<Value> = pytorch
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
        let heads: Vec<Value> = swept["groups"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|group| json!({ "head": group["head"], "metric": group["metric"], "scores": group["scores"] }))
            .collect();
        Ok(json!({
            "set": set,
            "task": task,
            "splits": manifest["splits"],
            "epochs": epochs,
            "seeds": seeds,
            "heads": heads,
            "differences": compared["differences"],
            "pytorch_adapter": pytorch,
        }))
    }

    /// Epochs and seeds of the adapter's runs.
    fn settings(&self, swept: &Value) -> Result<(u64, Vec<u64>)> {
        let runs = swept["groups"][0]["runs"]
            .as_array()
            .context("the sweep has no runs")?;
        let seeds = runs.iter().filter_map(|run| run["seed"].as_u64()).collect();
        let folder = runs
            .first()
            .and_then(|run| run["folder"].as_str())
            .unwrap_or_default();
        let folder = self.project.root().join(folder);
        let config: Value = serde_json::from_slice(&fs::read(folder.join("config.json"))?)?;
        let epochs = config["training"]["epochs"]
            .as_u64()
            .context("the run has no epochs")?;
        Ok((epochs, seeds))
    }

    /// Where the result of PyTorch's adapter is kept.
    fn kept(&self, set: &str, seed: u64) -> PathBuf {
        self.work.join(format!("pytorch/{set}-{seed}.json"))
    }

    /// PyTorch's adapter with one seed; nothing without Python.
    fn pytorch(
        &self,
        set: &str,
        store: &Path,
        task: &str,
        epochs: u64,
        seed: u64,
    ) -> Result<Option<Value>> {
        let Some(python) = &self.python else {
            return Ok(None);
        };
        let kept = self.kept(set, seed);
        if !kept.is_file() {
            let mut script = Command::new(python);
            script.arg(
                self.project
                    .root()
                    .join("benchmarks/pytorch/train_store.py"),
            );
            script.arg("--store").arg(store).args(["--task", task]);
            script.args(["--epochs", &epochs.to_string(), "--seed", &seed.to_string()]);
            script.args(["--threads", &shared::resources::threads().to_string()]);
            let result = said(&mut script)?;
            fs::create_dir_all(self.work.join("pytorch"))?;
            write_atomic(&kept, result.to_string().as_bytes())?;
        }
        let result: Value = serde_json::from_slice(&fs::read(kept)?)?;
        let [epoch, validation, test] =
            ["best_epoch", "validation", "test"].map(|key| &result[key]);
        Ok(Some(
            json!({ "seed": seed, "best_epoch": epoch, "validation": validation, "test": test }),
        ))
    }
}

/// Runs a command and reads the JSON object that it prints.
fn said(command: &mut Command) -> Result<Value> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {shown}"))?;
    steps::ended(&shown, output.status)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().rev().find(|line| line.starts_with('{'));
    let last = last.with_context(|| format!("{shown} printed no JSON object"))?;
    Ok(serde_json::from_str(last)?)
}
