//! A folder with a store to run the built trainer in.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::labelled::{Recipe, build};

/// A folder with a store in `cache/` and room for runs.
pub struct Place {
    folder: TempDir,
    program: PathBuf,
}

impl Place {
    /// A folder with the store of a recipe, for the trainer that is `program`: only a test of its package knows where
    /// cargo built it, `env!("CARGO_BIN_EXE_trainer")`.
    pub fn new(program: &str, recipe: &Recipe) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            program: program.into(),
        };
        build(&place.path("cache"), recipe);
        place
    }

    /// Where something of this name is in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, working in the folder, with one thread: as reproducible as can be.
    pub fn trainer(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(self.folder.path())
            .args(line.split(' ').filter(|word| !word.is_empty()));
        command
            .env("TRAINER_DEVICE", "cpu")
            .env("TRAINER_THREADS", "1");
        command
    }

    /// Runs the program with the arguments of a line.
    pub fn run(&self, line: &str) -> Output {
        self.trainer(line).output().unwrap()
    }

    /// Runs and expects to succeed; what stdout said.
    pub fn succeed(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(
            output.status.success(),
            "{line}: {}\n{}",
            output.status,
            told(&output)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs and expects the exit status; what stderr said.
    pub fn fail(&self, status: i32, line: &str) -> String {
        let output = self.run(line);
        let told = told(&output);
        assert_eq!(output.status.code(), Some(status), "{line}: {told}");
        told
    }

    /// The bytes of a file.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs_err::read(self.path(name)).unwrap()
    }

    /// The text of a file.
    pub fn text(&self, name: &str) -> String {
        fs_err::read_to_string(self.path(name)).unwrap()
    }

    /// What each step measured: step, loss, learning rate, gradient norm.
    pub fn steps(&self, run: &str) -> Vec<String> {
        let metrics = self.text(&format!("runs/{run}/metrics.jsonl"));
        metrics
            .lines()
            .filter(|line| line.contains("\"event\":\"step\""))
            .map(str::to_owned)
            .collect()
    }
}

/// What a program said on stderr.
pub fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A JSON document.
pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
