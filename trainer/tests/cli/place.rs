//! A folder to run the built program in.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::store::{Recipe, build};

/// A folder with a store in `cache/` and room for runs.
pub(super) struct Place {
    folder: TempDir,
}

impl Place {
    pub(super) fn new(recipe: &Recipe) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        build(&place.path("cache"), recipe);
        place
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, working in the folder, with one thread: as reproducible as can be.
    pub(super) fn trainer(&self, line: &str) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("trainer"));
        command
            .current_dir(self.folder.path())
            .args(line.split(' ').filter(|word| !word.is_empty()));
        command
            .env("TRAINER_DEVICE", "cpu")
            .env("TRAINER_THREADS", "1");
        command
    }

    pub(super) fn run(&self, line: &str) -> Output {
        self.trainer(line).output().unwrap()
    }

    /// Runs and expects to succeed; what stdout said.
    pub(super) fn succeed(&self, line: &str) -> String {
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
    pub(super) fn fail(&self, status: i32, line: &str) -> String {
        let output = self.run(line);
        let told = told(&output);
        assert_eq!(output.status.code(), Some(status), "{line}: {told}");
        told
    }

    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        fs_err::read(self.path(name)).unwrap()
    }

    pub(super) fn text(&self, name: &str) -> String {
        fs_err::read_to_string(self.path(name)).unwrap()
    }

    /// What each step measured: step, loss, learning rate, gradient norm.
    pub(super) fn steps(&self, run: &str) -> Vec<String> {
        let metrics = self.text(&format!("runs/{run}/metrics.jsonl"));
        metrics
            .lines()
            .filter(|line| line.contains("\"event\":\"step\""))
            .map(str::to_owned)
            .collect()
    }
}

pub(super) fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(super) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
