//! Heads that `trainer` has trained on a store of the toy model.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{Toy, program, stderr};

/// A toy model, a store of it and heads trained on that.
pub(crate) struct Trained {
    pub(crate) toy: Toy,
    trainer: PathBuf,
    runtimes: Vec<(&'static str, PathBuf)>,
}

impl Trained {
    /// Extracts with `options`; none where `trainer` is not built.
    pub(crate) fn new(options: &str) -> Option<Self> {
        Self::on(Toy::new(), options)
    }

    #[allow(clippy::print_stdout, reason = "a skipped test says so")]
    pub(crate) fn on(toy: Toy, options: &str) -> Option<Self> {
        let trainer = assert_cmd::cargo::cargo_bin!("extractor").with_file_name("trainer");
        if !trainer.is_file() || !trainer.with_file_name("trainer-torch").is_file() {
            println!(
                "skipped: {} is not built (`cargo test --workspace` builds it)",
                trainer.display()
            );
            return None;
        }
        let torch = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lib/torch");
        let mut runtimes = Vec::new();
        if std::env::var_os("LIBTORCH").is_none() && torch.is_dir() {
            runtimes.push(("LIBTORCH", torch));
        }
        toy.extract()
            .args(options.split_whitespace())
            .assert()
            .success();
        Some(Self {
            toy,
            trainer,
            runtimes,
        })
    }

    pub(crate) fn trainer(&self, arguments: &str) -> String {
        let mut command = Command::new(&self.trainer);
        command.current_dir(self.toy.path()).envs(
            self.runtimes
                .iter()
                .map(|(name, path)| (name, path.as_path())),
        );
        let output = command.args(arguments.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Trains a head into `runs/name` and gives what it says of the test split: a word and its label a line.
    pub(crate) fn head(&self, name: &str, options: &str) -> String {
        self.trainer(&format!(
            "--cache cache --epochs 12 --lr 2e-2 --batch-size 8 --device cpu -q --name {name} {options}"
        ));
        self.labels(name)
    }

    /// A copy of a run that differs in how tags are chosen alone; its name.
    pub(crate) fn decoded_by_viterbi(&self, name: &str) -> String {
        let runs = self.toy.path().join("runs");
        let copy = format!("{name}-viterbi");
        fs_err::create_dir(runs.join(&copy)).unwrap();
        for file in ["config.json", "adapter.safetensors"] {
            fs_err::copy(runs.join(name).join(file), runs.join(&copy).join(file)).unwrap();
        }
        let config = runs.join(&copy).join("config.json");
        let text = fs_err::read_to_string(&config).unwrap();
        let changed = text.replace("\"decode\": \"argmax\"", "\"decode\": \"viterbi\"");
        assert_ne!(text, changed);
        fs_err::write(&config, changed).unwrap();
        copy
    }

    /// What a run says of the test split.
    pub(crate) fn labels(&self, name: &str) -> String {
        let columns = self.trainer(&format!(
            "predict --run runs/{name} --cache cache --split test --device cpu -q"
        ));
        let mut labels = String::new();
        for line in columns.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            match fields.as_slice() {
                [word, _, predicted] => writeln!(labels, "{word} {predicted}").unwrap(),
                _ => labels.push('\n'),
            }
        }
        labels
    }

    pub(crate) fn predict(&self, name: &str, options: &str) -> Output {
        self.extractor("predict", name, options)
    }

    /// A sub-command on the run `runs/name` and the toy model.
    pub(crate) fn extractor(&self, command: &str, name: &str, options: &str) -> Output {
        program(self.toy.path())
            .args([command, "--model", "toy-bert", "--run"])
            .arg(format!("runs/{name}"))
            .args(options.split_whitespace())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}
