//! One case: programs run one after another in a folder of their own, with what they said and what
//! the stand-in logged.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fs_err as fs;

use super::counts::Counts;
use super::expected::Expected;
use super::outcome::Outcome;
use super::stand_in::StandIn;

/// A program that takes longer hangs.
const LONGEST: Duration = Duration::from_mins(2);
const GLANCE: Duration = Duration::from_millis(5);

/// Which of the two programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Extractor,
    Trainer,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Extractor => "extractor",
            Self::Trainer => "trainer",
        }
    }
}

/// A program with its arguments.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) program: Program,
    pub(super) arguments: Vec<OsString>,
}

impl Step {
    pub(super) fn new(program: Program) -> Self {
        Self {
            program,
            arguments: Vec::new(),
        }
    }

    /// With these arguments too, separated by spaces.
    pub(super) fn with(mut self, arguments: &str) -> Self {
        self.arguments
            .extend(arguments.split_whitespace().map(OsString::from));
        self
    }

    /// With an option that names a path.
    pub(super) fn path(mut self, option: &str, path: &Path) -> Self {
        self.arguments.extend([option.into(), path.into()]);
        self
    }
}

/// What is run and what is expected of it.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) steps: Vec<Step>,
    /// Settings of the stand-in.
    settings: Vec<(&'static str, u64)>,
    /// Whether there is a cuDNN.
    cudnn: bool,
    pub(super) expected: Expected,
}

impl Case {
    pub(super) fn new(name: impl Into<String>, steps: Vec<Step>) -> Self {
        Self {
            name: name.into(),
            steps,
            settings: Vec::new(),
            cudnn: true,
            expected: Expected::Done,
        }
    }

    /// On a GPU with so much memory.
    pub(super) fn memory(mut self, megabytes: u64) -> Self {
        self.settings.push(("STANDIN_MEMORY_MB", megabytes));
        self
    }

    /// On a machine with so many GPUs.
    pub(super) fn gpus(mut self, count: u64) -> Self {
        self.settings.push(("STANDIN_DEVICES", count));
        self
    }

    pub(super) fn without_cudnn(mut self) -> Self {
        self.cudnn = false;
        self
    }

    pub(super) fn expect(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }
}

/// The programs, the GPU that they find, and room to work.
pub(super) struct Machine {
    stand_in: StandIn,
    without_cudnn: StandIn,
    programs: PathBuf,
    pub(super) work: PathBuf,
}

impl Machine {
    pub(super) fn new(stand_in: StandIn, programs: &Path, work: &Path) -> Result<Self> {
        Ok(Self {
            without_cudnn: stand_in.without_cudnn(&work.join("without-cudnn"))?,
            stand_in,
            programs: programs.to_path_buf(),
            work: work.to_path_buf(),
        })
    }

    /// The command of a step.
    pub(super) fn command(&self, step: &Step, cudnn: bool) -> Command {
        let stand_in = if cudnn {
            &self.stand_in
        } else {
            &self.without_cudnn
        };
        let mut command = stand_in.command(&self.programs.join(step.program.name()));
        command.args(&step.arguments);
        command
    }

    /// Runs the steps of a case in `folder`, up to the first that fails.
    pub(super) fn run(&self, case: &Case, folder: &Path) -> Result<Outcome> {
        fs::create_dir_all(folder)?;
        let mut outcome = Outcome::default();
        for (number, step) in case.steps.iter().enumerate() {
            let mut command = self.command(step, case.cudnn);
            command
                .current_dir(folder)
                .env("STANDIN_LOG", folder.join("log"));
            for (name, value) in &case.settings {
                command.env(name, value.to_string());
            }
            let [stdout, stderr] =
                ["stdout", "stderr"].map(|stream| folder.join(format!("{stream}-{}", number + 1)));
            command
                .stdin(Stdio::null())
                .stdout(fs::File::create(&stdout)?.into_file())
                .stderr(fs::File::create(&stderr)?.into_file());
            outcome.code = ended(&mut command)?.code();
            outcome.stdout = lossy(&stdout)?;
            outcome.stderr = lossy(&stderr)?;
            if outcome.code != Some(0) {
                break;
            }
        }
        outcome.counts = Counts::read(&self.stand_in, folder)?;
        Ok(outcome)
    }
}

fn lossy(path: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

/// Waits for the end of a command; kills it after [`LONGEST`].
fn ended(command: &mut Command) -> Result<ExitStatus> {
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if begun.elapsed() > LONGEST {
            child.kill()?;
        }
        thread::sleep(GLANCE);
    }
}
