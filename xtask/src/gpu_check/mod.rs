//! `cargo xtask gpu-check`: the paths of both programs on a GPU, executed on a machine that has
//! none.
//!
//! The stand-in for NVIDIA's libraries lies outside the repository
//! (`../shared/tools/cuda-stand-in`): under it run the real CUDA builds of ONNX Runtime and
//! libtorch, and it logs each call and computes nothing. So a case shows that the programs get to
//! their end, in which order they touch memory, and how much they ask of a GPU; never a number or a
//! speed.

mod case;
mod cases;
mod counted;
mod counts;
mod enlarged;
mod expected;
mod help;
mod inputs;
mod outcome;
mod stand_in;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use fs_err as fs;
use shared::terminal::Terminal;

use self::case::{Case, Machine};
use self::counted::Counted;
use self::help::Offered;
use self::outcome::Outcome;
use self::stand_in::{Skipped, StandIn};
use crate::demo;
use crate::project::Project;
use crate::setup::{self, SetupOptions};
use crate::steps::Steps;

/// Where the stand-in is and what is run on it.
#[derive(Debug, Args)]
pub(crate) struct GpuCheckOptions {
    /// Folder of the stand-in's scripts [default: ../shared/tools/cuda-stand-in, seen from the
    /// repository]
    #[arg(long, value_name = "DIR", env = "CUDA_STAND_IN")]
    stand_in: Option<PathBuf>,
    /// Where it is built, once: 0.8 GB to fetch, 1.3 GB to keep [default: .downloads/cuda-stand-in]
    #[arg(long, value_name = "DIR", env = "CUDA_STAND_IN_BUILT")]
    built: Option<PathBuf>,
    /// Only cases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Keep what every case wrote, its log among it; of a case that failed it is kept in any case.
    #[arg(long)]
    keep: bool,
}

/// Runs all cases, or says why none is run.
pub(crate) fn run(
    project: &Project,
    options: &GpuCheckOptions,
    terminal: &Terminal,
) -> Result<ExitCode> {
    checked(project, options, terminal).or_else(|error| {
        let skipped = error.downcast::<Skipped>()?;
        terminal.warn(format!("skipped: the check of the GPU's paths: {skipped}"));
        Ok(ExitCode::SUCCESS)
    })
}

fn checked(project: &Project, options: &GpuCheckOptions, terminal: &Terminal) -> Result<ExitCode> {
    let scripts = stand_in::scripts(project, options.stand_in.as_deref())?;
    let built = match &options.built {
        Some(folder) => std::path::absolute(folder)?,
        None => project.downloads().join("cuda-stand-in"),
    };
    let mut steps = Steps::new(5, terminal);
    let stand_in = steps.step("stand-in for NVIDIA's libraries", || {
        StandIn::build(&scripts, &built, terminal)
    })?;
    steps.step("native libraries", || {
        setup::run(project, SetupOptions::default(), terminal)
    })?;
    let programs = steps.step("build the programs", || {
        demo::build_packages(project, &[], "dev")
    })?;
    let programs = programs
        .get("extractor")
        .and_then(|program| program.parent())
        .context("cargo built no extractor")?;
    let work = project.root().join("target/gpu-check");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    fs::create_dir_all(&work)?;
    let machine = Machine::new(stand_in, programs, &work)?;
    let offered = Offered::ask(&machine)?;
    let inputs = steps.step("models, text and stores", || {
        inputs::make(project, &machine, &offered)
    })?;
    let checks = chosen(cases::all(&inputs, &offered)?, options.only.as_deref())?;
    let failed = steps.step("cases", || {
        all(&machine, &checks, options.keep, project, terminal)
    })?;
    if failed == 0 && !options.keep {
        fs::remove_dir_all(&work)?;
    }
    terminal.status(format!(
        "{} passed, {failed} failed, in {}",
        checks.len() - failed,
        steps.elapsed()
    ));
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// One line of the report.
enum Check {
    /// A program, or several one after another.
    Case(Case),
    /// The same with little and with more to do: what each batch or step costs.
    Counted(Box<Counted>),
}

impl Check {
    fn name(&self) -> &str {
        match self {
            Self::Case(case) => &case.name,
            Self::Counted(counted) => &counted.name,
        }
    }

    fn run(&self, machine: &Machine, folder: &Path) -> Result<Verdict> {
        match self {
            Self::Case(case) => {
                let outcome = machine.run(case, folder)?;
                Ok(Verdict::new(case, &outcome))
            }
            Self::Counted(counted) => counted.run(machine, folder),
        }
    }
}

/// What came out.
struct Verdict {
    /// What is wrong; none if it passed.
    failures: Vec<String>,
    /// What was counted.
    figures: String,
}

impl Verdict {
    fn new(case: &Case, outcome: &Outcome) -> Self {
        Self {
            failures: case.expected.failures(outcome),
            figures: outcome.counts.line(),
        }
    }
}

/// Runs the checks, a line each; how many failed. Single cases run side by side, one for each core:
/// what they count does not depend on time. What a batch or a step costs is counted afterwards, by
/// itself.
fn all(
    machine: &Machine,
    checks: &[Check],
    keep: bool,
    project: &Project,
    terminal: &Terminal,
) -> Result<usize> {
    let run = |number: usize| one(machine, (number, &checks[number]), keep, project, terminal);
    let (cases, counted): (Vec<usize>, Vec<usize>) =
        (0..checks.len()).partition(|&number| matches!(checks[number], Check::Case(_)));
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut failed = 0;
        while let Some(&number) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            failed += usize::from(!run(number)?);
        }
        Ok::<_, anyhow::Error>(failed)
    };
    let mut failed = thread::scope(|scope| {
        let workers: Vec<_> = (0..shared::resources::threads())
            .map(|_| scope.spawn(worker))
            .collect();
        let results = workers.into_iter().map(|worker| {
            let panicked = |_| anyhow!("a worker panicked");
            worker.join().map_err(panicked).flatten()
        });
        results.sum::<Result<usize>>()
    })?;
    for number in counted {
        failed += usize::from(!run(number)?);
    }
    Ok(failed)
}

/// Runs a check and tells how it ended: whether it passed.
fn one(
    machine: &Machine,
    (number, check): (usize, &Check),
    keep: bool,
    project: &Project,
    terminal: &Terminal,
) -> Result<bool> {
    let folder = machine.work.join(format!("case-{:04}", number + 1));
    fs::create_dir_all(&folder)?;
    let Verdict { failures, figures } = check.run(machine, &folder)?;
    let passed = failures.is_empty();
    if passed {
        terminal.status(format!("ok      {:<52} {figures}", check.name()));
    } else {
        terminal.status(format!(
            "failed  {}\n        {}\n        {figures}; see {}",
            check.name(),
            failures.join("\n        "),
            project.shown(&folder)
        ));
    }
    if passed && !keep {
        fs::remove_dir_all(&folder)?;
    }
    Ok(passed)
}

/// The checks whose name contains `text`.
fn chosen(checks: Vec<Check>, text: Option<&str>) -> Result<Vec<Check>> {
    let Some(text) = text else {
        return Ok(checks);
    };
    let (wanted, others): (Vec<_>, Vec<_>) = checks
        .into_iter()
        .partition(|check| check.name().contains(text));
    if wanted.is_empty() {
        let names: Vec<&str> = others.iter().map(Check::name).collect();
        bail!(
            "no case has {text:?} in its name; there are:\n{}",
            names.join("\n")
        );
    }
    Ok(wanted)
}
