//! True sizes: checkpoints of the shapes that people have, with random weights, through the built extractor. What is
//! asked is how long it takes to start and how much memory it takes, which small checkpoints cannot tell.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use fs_err as fs;
use serde::Deserialize;
use shared::terminal::Terminal;

use crate::demo;
use crate::project::Project;
use crate::setup::{self, SetupOptions};
use crate::shape::{Shape, Weights};
use crate::steps;

/// The heading of the section in `docs/models.md`.
const HEADING: &str = "## True sizes";

/// A shape that people use.
struct Published {
    name: &'static str,
    shape: Shape,
    /// Seconds that it may take to be ready; what is not promised is measured all the same.
    limit: Option<f64>,
}

const SHAPES: [Published; 3] = [
    Published {
        name: "bert-base-cased",
        shape: Shape {
            gpt2: false,
            vocabulary: 28_996,
            positions: 512,
            hidden: 768,
            layers: 12,
            heads: 12,
        },
        limit: Some(5.0),
    },
    Published {
        name: "bert-large-cased",
        shape: Shape {
            gpt2: false,
            vocabulary: 28_996,
            positions: 512,
            hidden: 1024,
            layers: 24,
            heads: 16,
        },
        limit: Some(15.0),
    },
    Published {
        name: "gpt2-medium",
        shape: Shape {
            gpt2: true,
            vocabulary: 50_257,
            positions: 1024,
            hidden: 1024,
            layers: 24,
            heads: 16,
        },
        limit: None,
    },
];

/// Measures, and writes the section of the page.
pub(crate) fn run(project: &Project, terminal: &Terminal) -> Result<ExitCode> {
    setup::run(project, SetupOptions::default(), terminal)?;
    let section = measure(project, terminal)?;
    let path = project.root().join("docs/models.md");
    let page = fs::read_to_string(&path)?;
    fs::write(&path, replaced(&page, &section))?;
    terminal.status(format!("wrote {}", project.shown(&path)));
    Ok(ExitCode::SUCCESS)
}

/// Runs every shape; the section of the page. An error when one takes more than is promised.
pub(crate) fn measure(project: &Project, terminal: &Terminal) -> Result<String> {
    let programs = demo::build_packages(project, &["extractor"], "release")?;
    let folder = project.downloads().join("sizes");
    let mut text = format!(
        "\n{HEADING}\n\nCheckpoints of these shapes with random float32 weights, through the release build on {} threads of a CPU: \
         the sentences of `extractor/tests/fixtures/toy.conll` and four of 500 words, all layers kept. Ready is from the \
         first look at the weights to the first batch: mapping, graph and session; the digest of the weights is read before it. \
         Memory is the most that the process had, for the moment in which ONNX Runtime packs the matrices for the processor; \
         what stays is the weights once, and the batch. 1.3 times the weights and 1 GiB are allowed.\n\n\
         | shape | weights | digest | ready | memory | allowed | tokens a second |\n|---|---|---|---|---|---|---|\n",
        shared::resources::threads()
    );
    let mut broken = Vec::new();
    for published in SHAPES {
        let measured = of_shape(project, &programs, &folder, &published);
        // Gigabytes that nobody wants to find there, whatever happened.
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let measured = measured?;
        let row = measured.row(&published);
        terminal.status(row.trim_end());
        text += &row;
        broken.extend(measured.broken(&published));
    }
    if broken.is_empty() {
        Ok(text)
    } else {
        bail!("{}", broken.join("; "))
    }
}

/// The page with its section replaced, or added.
fn replaced(page: &str, section: &str) -> String {
    let Some(begin) = page.find(&format!("\n{HEADING}\n")) else {
        return page.to_owned() + section;
    };
    let rest = &page[begin + 1..];
    let end = rest.find("\n## ").map_or("", |end| &rest[end..]);
    page[..begin].to_owned() + section + end
}

/// What a run took.
struct Measured {
    weights: u64,
    report: Report,
}

/// What the extractor says for programs.
#[derive(Debug, Deserialize)]
struct Report {
    tokens_per_second: f64,
    startup: Startup,
    peak_memory: u64,
}

/// Seconds before the first batch.
#[derive(Debug, Deserialize)]
struct Startup {
    digest: f64,
    loading: f64,
}

impl Measured {
    fn allowed(&self) -> u64 {
        self.weights * 13 / 10 + (1 << 30)
    }

    fn row(&self, published: &Published) -> String {
        let Report {
            tokens_per_second,
            startup: Startup { digest, loading },
            peak_memory,
        } = &self.report;
        format!(
            "| {} | {} | {digest:.1} s | {loading:.1} s | {} | {} | {tokens_per_second:.0} |\n",
            published.name,
            gibibytes(self.weights),
            gibibytes(*peak_memory),
            gibibytes(self.allowed())
        )
    }

    fn broken(&self, published: &Published) -> Vec<String> {
        let mut broken = Vec::new();
        let (name, loading) = (published.name, self.report.startup.loading);
        if let Some(limit) = published.limit.filter(|limit| loading > *limit) {
            broken.push(format!(
                "{name} was ready after {loading:.1} s, {limit} s are promised"
            ));
        }
        if self.report.peak_memory > self.allowed() {
            let (got, allowed) = (
                gibibytes(self.report.peak_memory),
                gibibytes(self.allowed()),
            );
            broken.push(format!(
                "{name} took {got} of memory, {allowed} are promised"
            ));
        }
        broken
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn gibibytes(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / (1_u64 << 30) as f64)
}

fn of_shape(
    project: &Project,
    programs: &BTreeMap<String, PathBuf>,
    folder: &Path,
    published: &Published,
) -> Result<Measured> {
    let shape = &published.shape;
    let model = folder.join(published.name);
    fs::create_dir_all(&model)?;
    fs::write(model.join("config.json"), shape.config().to_string())?;
    let fixtures = project.root().join("extractor/tests/fixtures");
    let tokenizer: &[&str] = if shape.gpt2 {
        &["toy-gpt2/vocab.json", "toy-gpt2/merges.txt"]
    } else {
        &["toy-bert/tokenizer.json"]
    };
    for file in tokenizer {
        let from = fixtures.join(file);
        let name = from.file_name().context("a file")?;
        fs::copy(&from, model.join(name))?;
    }
    let weights = shape.write(&model.join("model.safetensors"), Weights::Random)?;
    let data = folder.join("sentences.conll");
    fs::write(
        &data,
        sentences(&fs::read_to_string(fixtures.join("toy.conll"))?),
    )?;
    let mut command = demo::program(project, programs, "extractor")?;
    command
        .arg("--model")
        .arg(&model)
        .arg("--dataset")
        .arg(&data);
    command.arg("--out").arg(folder.join("stores"));
    command.args(["--json", "--quiet", "--device", "cpu"]);
    let output = command.stderr(Stdio::inherit()).output()?;
    steps::ended("extractor", output.status)?;
    let report =
        serde_json::from_slice(&output.stdout).context("the extractor tells no summary")?;
    Ok(Measured { weights, report })
}

/// A column file with four sentences of 500 words more, which fill a batch.
fn sentences(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..4 {
        for _ in 0..500 {
            text.push_str("the O\n");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_have_as_many_weights_as_the_published_models() {
        let weights = |published: &Published| -> usize {
            let tensors = published.shape.tensors();
            tensors
                .iter()
                .map(|(_, shape)| shape.iter().product::<usize>())
                .sum()
        };
        let counts: Vec<usize> = SHAPES.iter().map(weights).collect();
        // Without BERT's pooler.
        assert_eq!(counts, [107_719_680, 332_529_664, 354_823_168]);
    }

    #[test]
    fn only_the_section_is_replaced() {
        let section = format!("\n{HEADING}\n\nnew\n");
        assert_eq!(replaced("# A\n", &section), format!("# A\n{section}"));
        let page = format!("# A\n\n{HEADING}\n\nold\n\n## B\n\nmore\n");
        assert_eq!(
            replaced(&page, &section),
            format!("# A\n{section}\n## B\n\nmore\n")
        );
        let page = format!("# A\n\n{HEADING}\n\nold\n");
        assert_eq!(replaced(&page, &section), format!("# A\n{section}"));
    }
}
