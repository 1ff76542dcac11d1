//! A toy model and data set in a folder of their own, and the program to run on them.

#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod expected;
pub(crate) mod trained;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

/// A folder with the toy model, a data set, and room for a store.
pub(crate) struct Toy {
    folder: tempfile::TempDir,
}

impl Toy {
    /// Sixty sentences: 44 to train on, 8 each to validate and test.
    pub(crate) fn new() -> Self {
        Self::repeated(1)
    }

    /// A data set of `times` · 60 sentences.
    pub(crate) fn repeated(times: usize) -> Self {
        let toy = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        fs_err::create_dir(toy.model()).unwrap();
        for file in fs_err::read_dir(fixtures.join("toy-bert")).unwrap() {
            let file = file.unwrap();
            fs_err::copy(file.path(), toy.model().join(file.file_name())).unwrap();
        }
        let text = fs_err::read_to_string(fixtures.join("toy.conll")).unwrap();
        let sentences: Vec<&str> = text
            .trim_start_matches("-DOCSTART- O\n\n")
            .trim_end()
            .split("\n\n")
            .collect();
        fs_err::create_dir(toy.dataset()).unwrap();
        for (split, range) in [("train", 0..44), ("validation", 44..52), ("test", 52..60)] {
            let mut file = "-DOCSTART- O\n\n".to_owned();
            for _ in 0..times {
                for sentence in &sentences[range.clone()] {
                    writeln!(file, "{sentence}\n").unwrap();
                }
            }
            fs_err::write(toy.dataset().join(format!("{split}.conll")), file).unwrap();
        }
        toy
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn model(&self) -> PathBuf {
        self.path().join("toy-bert")
    }

    /// Gives the model a weight of a million behind its last layer, so that values pass float16.
    pub(crate) fn enlarge_values(&self) {
        let weights = self.model().join("model.safetensors");
        let mut bytes = fs_err::read(&weights).unwrap();
        let begin = begin_of(&bytes, "layer.1.output.LayerNorm.weight");
        bytes[begin..begin + 4].copy_from_slice(&1e6_f32.to_le_bytes());
        fs_err::write(&weights, bytes).unwrap();
    }

    pub(crate) fn dataset(&self) -> PathBuf {
        self.path().join("names")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path().join("cache")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.root().join("toy-bert--names.zarr")
    }

    /// The program without arguments and without what this shell has set for it.
    pub(crate) fn program(&self) -> Command {
        Command::from_std(program(self.path()))
    }

    /// `extractor` with model, data set and root.
    pub(crate) fn extract(&self) -> Command {
        let mut command = self.program();
        command.args(self.arguments(&self.root()));
        command
    }

    /// `extractor label` on the store, with the labels of a data set.
    pub(crate) fn label(&self, dataset: &Path) -> Command {
        let mut command = self.program();
        command.arg("label").arg(self.store());
        command.arg("--dataset").arg(dataset);
        command
    }

    /// A sub-command with model, data set and root.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = self.program();
        command.arg(name).args(self.arguments(&self.root()));
        command
    }

    /// Model, data set and a root.
    pub(crate) fn arguments(&self, root: &Path) -> Vec<PathBuf> {
        [
            "--model".into(),
            self.model(),
            "--dataset".into(),
            self.dataset(),
            "--out".into(),
            root.into(),
        ]
        .into()
    }
}

/// The program, to be started in `folder`.
pub(crate) fn program(folder: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("extractor"));
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy().starts_with("EXTRACTOR_")
            || name.to_string_lossy().starts_with("SLURM_");
        if ours {
            command.env_remove(name);
        }
    }
    // Nothing is fetched, and nothing found that this machine's user has fetched.
    command
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HUB_CACHE", folder.join("hub"));
    // With a target folder elsewhere the libraries are not above the program.
    let libraries = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lib/onnxruntime/capi");
    if std::env::var_os("ORT_DYLIB_PATH").is_none() && libraries.is_dir() {
        command.env("ORT_DYLIB_PATH", libraries);
    }
    command
}

/// The folder of real data beside the repository; says so when it is not there.
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
pub(crate) fn real_data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !folder.is_dir() {
        println!("skipped: there is no {}", folder.display());
        return None;
    }
    Some(folder)
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Where the numbers of the tensor begin whose name ends so: a safetensors file is the length of a JSON header, the
/// header, the data.
pub(crate) fn begin_of(bytes: &[u8], ending: &str) -> usize {
    let header = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let tensors: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let mut names = tensors.as_object().unwrap().keys();
    let name = names.find(|name| name.ends_with(ending)).unwrap();
    let begin = tensors[name]["data_offsets"][0].as_u64().unwrap();
    8 + header + usize::try_from(begin).unwrap()
}

/// Every file below a folder, by its path relative to it.
pub(crate) fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs_err::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path
                    .strip_prefix(folder)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                files.insert(name, fs_err::read(&path).unwrap());
            }
        }
    }
    files
}
