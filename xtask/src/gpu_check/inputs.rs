//! What the cases read: checkpoints of zeros, a few sentences and more of them, and stores.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fs_err as fs;

use super::case::{Machine, Program, Step};
use super::enlarged;
use super::help::Offered;
use crate::project::Project;
use crate::shape::{Shape, Weights};
use crate::steps;

/// The checkpoint that cases use which are not about families.
pub(super) const USUAL: &str = "bert-plain";
/// As many layers as bert-large has, each small: how many operations there are does not depend on
/// their sizes.
pub(super) const DEEP: &str = "24-layers";
const DEEP_SHAPE: Shape = Shape {
    gpt2: false,
    vocabulary: 300,
    positions: 64,
    hidden: 128,
    layers: 24,
    heads: 2,
};
/// Words of a sentence of which every batch is made alike, special tokens apart.
const WORDS: usize = 14;
/// Tokens of such a sentence: a multiple of 8, so that it is not padded.
pub(super) const TOKENS: usize = WORDS + 2;
/// Times that the sentences of the tests are repeated for a long text.
const TIMES: usize = 20;

/// Files and folders of the cases.
#[derive(Debug)]
pub(super) struct Inputs {
    pub(super) models: PathBuf,
    /// Names of the folders in it, one or more a family.
    pub(super) families: Vec<String>,
    /// 60 sentences of different lengths.
    pub(super) few: PathBuf,
    /// The same, many times, as a data set with a validation split.
    pub(super) many: PathBuf,
    data: PathBuf,
    /// Of [`USUAL`] on `many`, by number format.
    pub(super) stores: BTreeMap<String, PathBuf>,
    /// A sweep's file, of eight heads alike.
    pub(super) sweep: PathBuf,
    /// Another, of every head.
    pub(super) heads: PathBuf,
}

impl Inputs {
    pub(super) fn model(&self, name: &str) -> PathBuf {
        self.models.join(name)
    }

    /// A data set with so many sentences to train on, all of [`TOKENS`] tokens.
    pub(super) fn alike(&self, sentences: usize) -> Result<PathBuf> {
        let sentence = "the O\n".repeat(WORDS) + "\n";
        self.dataset(
            &format!("alike-{sentences}"),
            &sentence.repeat(sentences),
            &sentence,
        )
    }

    /// The sentences of the tests so many times.
    pub(super) fn repeated(&self, times: usize) -> Result<PathBuf> {
        let text = fs::read_to_string(&self.few)?;
        self.dataset(&format!("repeated-{times}"), &text.repeat(times), &text)
    }

    fn dataset(&self, name: &str, train: &str, validation: &str) -> Result<PathBuf> {
        let folder = self.data.join(name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("train.conll"), train)?;
        fs::write(folder.join("validation.conll"), validation)?;
        Ok(folder)
    }
}

/// Makes them in the folder where the cases work. The stores are made on the CPU, so that training
/// is tried when extraction fails.
pub(super) fn make(project: &Project, machine: &Machine, offered: &Offered) -> Result<Inputs> {
    let fixtures = project.root().join("extractor/tests/fixtures");
    let (models, data) = (machine.work.join("models"), machine.work.join("data"));
    fs::create_dir_all(&data)?;
    let few = data.join("few.conll");
    let mut text = fs::read_to_string(fixtures.join("toy.conll"))?;
    if !text.ends_with("\n\n") {
        text.push('\n');
    }
    fs::write(&few, text)?;
    let mut inputs = Inputs {
        families: families(&fixtures.join("checkpoints"))?,
        models,
        few,
        many: PathBuf::new(),
        sweep: data.join("eight.toml"),
        heads: data.join("heads.toml"),
        data,
        stores: BTreeMap::new(),
    };
    fs::write(
        &inputs.sweep,
        "[defaults]\nepochs = 2\norder-seed = 0\n[grid]\nseed = [0, 1, 2, 3, 4, 5, 6, 7]\n",
    )?;
    let run = |head: &String| format!("[[run]]\nhead = \"{head}\"\n");
    let runs: String = offered.heads.iter().map(run).collect();
    let runs = runs + "[[run]]\nhead = \"last\"\ndecode = \"crf\"\n";
    fs::write(
        &inputs.heads,
        format!("[defaults]\nepochs = 1\norder-seed = 0\n[grid]\nseed = [0, 1]\n{runs}"),
    )?;
    inputs.many = inputs.repeated(TIMES)?;
    let tokenizer = fixtures.join("toy-bert");
    for family in &inputs.families {
        let checkpoint = fixtures.join("checkpoints").join(family);
        enlarged::write(&checkpoint, &fixtures, &inputs.model(family))
            .with_context(|| format!("a model of zeros of the shape of {family}"))?;
    }
    deep(&inputs.model(DEEP), &tokenizer)?;
    for format in &offered.store_dtypes {
        let root = machine.work.join("stores").join(format);
        let step = Step::new(Program::Extractor)
            .path("--model", &inputs.model(USUAL))
            .path("--dataset", &inputs.many)
            .path("--out", &root)
            .with("--device cpu --quiet --no-progress --store-dtype")
            .with(format);
        steps::run("extractor", &mut machine.command(&step, true))?;
        inputs.stores.insert(format.clone(), root);
    }
    if let Some(root) = inputs.stores.get("f16") {
        let trees = inputs.data.join("trees");
        fs::create_dir_all(&trees)?;
        for split in ["train", "validation"] {
            let columns = fs::read_to_string(inputs.many.join(format!("{split}.conll")))?;
            fs::write(trees.join(format!("{split}.conllu")), conllu(&columns))?;
        }
        let stores: Vec<PathBuf> = fs::read_dir(root)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        for store in stores.iter().filter(|path| path.is_dir()) {
            let step = Step::new(Program::Extractor)
                .path("label", store)
                .path("--dataset", &trees)
                .with("--task dep --quiet");
            steps::run("extractor", &mut machine.command(&step, true))?;
        }
    }
    Ok(inputs)
}

/// Columns of words and labels as CoNLL-U, in which each word hangs on the one before it.
fn conllu(columns: &str) -> String {
    let mut text = String::new();
    let mut word = 0;
    for line in columns
        .lines()
        .filter(|line| !line.starts_with("-DOCSTART-"))
    {
        let Some((form, label)) = line.rsplit_once(' ') else {
            if word > 0 {
                text.push('\n');
            }
            word = 0;
            continue;
        };
        let relation = if word == 0 { "root" } else { label };
        let id = word + 1;
        // A `String` takes whatever is written to it.
        let _ = writeln!(text, "{id}\t{form}\t_\t_\t_\t_\t{word}\t{relation}\t_\t_");
        word = id;
    }
    text
}

/// The checkpoints of the tests that are one file: those of the same families in several are read
/// by the same code.
fn families(checkpoints: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in fs::read_dir(checkpoints)? {
        let folder = folder?;
        if folder.path().join("model.safetensors").exists() {
            names.push(folder.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    ensure!(
        names.iter().any(|name| name == USUAL),
        "{} has no {USUAL}",
        checkpoints.display()
    );
    Ok(names)
}

fn deep(folder: &Path, tokenizer: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let config = DEEP_SHAPE.config().to_string();
    fs::write(folder.join("config.json"), config)?;
    fs::copy(
        tokenizer.join("tokenizer.json"),
        folder.join("tokenizer.json"),
    )?;
    DEEP_SHAPE.write(&folder.join("model.safetensors"), Weights::Zeros)?;
    Ok(())
}
