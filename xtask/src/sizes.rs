//! True sizes: checkpoints of the shapes that people have, with random weights, through the built extractor. What is
//! asked is how long it takes to start and how much memory it takes, which small checkpoints cannot tell.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use fs_err as fs;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::terminal::Terminal;

use crate::demo;
use crate::project::Project;
use crate::setup::{self, SetupOptions};
use crate::steps;

/// The heading of the section in `docs/models.md`.
const HEADING: &str = "## True sizes";

/// A shape that people use.
struct Shape {
    name: &'static str,
    gpt2: bool,
    vocabulary: usize,
    positions: usize,
    hidden: usize,
    layers: usize,
    heads: usize,
    /// Seconds that it may take to be ready; what is not promised is measured all the same.
    limit: Option<f64>,
}

const SHAPES: [Shape; 3] = [
    Shape {
        name: "bert-base-cased",
        gpt2: false,
        vocabulary: 28_996,
        positions: 512,
        hidden: 768,
        layers: 12,
        heads: 12,
        limit: Some(5.0),
    },
    Shape {
        name: "bert-large-cased",
        gpt2: false,
        vocabulary: 28_996,
        positions: 512,
        hidden: 1024,
        layers: 24,
        heads: 16,
        limit: Some(15.0),
    },
    Shape {
        name: "gpt2-medium",
        gpt2: true,
        vocabulary: 50_257,
        positions: 1024,
        hidden: 1024,
        layers: 24,
        heads: 16,
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
    for shape in SHAPES {
        let measured = of_shape(project, &programs, &folder, &shape);
        // Gigabytes that nobody wants to find there, whatever happened.
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let measured = measured?;
        let row = measured.row(&shape);
        terminal.status(row.trim_end());
        text += &row;
        broken.extend(measured.broken(&shape));
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

    fn row(&self, shape: &Shape) -> String {
        let Report {
            tokens_per_second,
            startup: Startup { digest, loading },
            peak_memory,
        } = &self.report;
        format!(
            "| {} | {} | {digest:.1} s | {loading:.1} s | {} | {} | {tokens_per_second:.0} |\n",
            shape.name,
            gibibytes(self.weights),
            gibibytes(*peak_memory),
            gibibytes(self.allowed())
        )
    }

    fn broken(&self, shape: &Shape) -> Vec<String> {
        let mut broken = Vec::new();
        let (name, loading) = (shape.name, self.report.startup.loading);
        if let Some(limit) = shape.limit.filter(|limit| loading > *limit) {
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
    shape: &Shape,
) -> Result<Measured> {
    let model = folder.join(shape.name);
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
    let weights = shape.write_weights(&model.join("model.safetensors"))?;
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

impl Shape {
    fn config(&self) -> Value {
        if self.gpt2 {
            return json!({
                "model_type": "gpt2", "vocab_size": self.vocabulary, "n_positions": self.positions, "n_embd": self.hidden,
                "n_layer": self.layers, "n_head": self.heads, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
            });
        }
        json!({
            "model_type": "bert", "vocab_size": self.vocabulary, "max_position_embeddings": self.positions,
            "hidden_size": self.hidden, "num_hidden_layers": self.layers, "num_attention_heads": self.heads,
            "intermediate_size": 4 * self.hidden, "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
        })
    }

    /// Names and shapes of all tensors, as the published checkpoints have them.
    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let hidden = self.hidden;
        let mut tensors = Vec::new();
        let mut add = |name: String, shape: &[usize]| tensors.push((name, shape.to_vec()));
        let (tables, last) = if self.gpt2 {
            (["wte", "wpe"], "ln_f")
        } else {
            add(
                "embeddings.token_type_embeddings.weight".to_owned(),
                &[2, hidden],
            );
            let tables = [
                "embeddings.word_embeddings",
                "embeddings.position_embeddings",
            ];
            (tables, "embeddings.LayerNorm")
        };
        for (table, rows) in tables.into_iter().zip([self.vocabulary, self.positions]) {
            add(format!("{table}.weight"), &[rows, hidden]);
        }
        // Inputs and outputs of the linear layers; none for a norm.
        let parts: &[(&str, Option<[usize; 2]>)] = if self.gpt2 {
            &[
                ("ln_1", None),
                ("attn.c_attn", Some([hidden, 3 * hidden])),
                ("attn.c_proj", Some([hidden, hidden])),
                ("ln_2", None),
                ("mlp.c_fc", Some([hidden, 4 * hidden])),
                ("mlp.c_proj", Some([4 * hidden, hidden])),
            ]
        } else {
            &[
                ("attention.self.query", Some([hidden, hidden])),
                ("attention.self.key", Some([hidden, hidden])),
                ("attention.self.value", Some([hidden, hidden])),
                ("attention.output.dense", Some([hidden, hidden])),
                ("attention.output.LayerNorm", None),
                ("intermediate.dense", Some([hidden, 4 * hidden])),
                ("output.dense", Some([4 * hidden, hidden])),
                ("output.LayerNorm", None),
            ]
        };
        let layers = if self.gpt2 { "h" } else { "encoder.layer" };
        for layer in 0..self.layers {
            for (part, linear) in parts {
                let name = format!("{layers}.{layer}.{part}");
                let [inputs, outputs] = linear.unwrap_or([0, hidden]);
                match linear {
                    None => add(format!("{name}.weight"), &[hidden]),
                    // GPT-2 keeps its matrices the other way round.
                    Some(_) if self.gpt2 => add(format!("{name}.weight"), &[inputs, outputs]),
                    Some(_) => add(format!("{name}.weight"), &[outputs, inputs]),
                }
                add(format!("{name}.bias"), &[outputs]);
            }
        }
        add(format!("{last}.weight"), &[hidden]);
        add(format!("{last}.bias"), &[hidden]);
        tensors
    }

    /// Writes a safetensors file of random weights; its size in bytes.
    fn write_weights(&self, path: &Path) -> Result<u64> {
        let tensors = self.tensors();
        let mut header = serde_json::Map::new();
        let mut end = 0;
        for (name, shape) in &tensors {
            let begin = end;
            end += 4 * shape.iter().product::<usize>();
            let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, end]});
            header.insert(name.clone(), entry);
        }
        let mut header = Value::Object(header).to_string();
        // Tensors begin at multiples of eight.
        while !header.len().is_multiple_of(8) {
            header.push(' ');
        }
        let mut file = BufWriter::with_capacity(1 << 20, fs::File::create(path)?);
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        let mut state = 1;
        for (name, shape) in &tensors {
            let centre = if name.ends_with("orm.weight") || name.contains("ln_") {
                1.0
            } else {
                0.0
            };
            for _ in 0..shape.iter().product::<usize>() {
                file.write_all(&(centre + random(&mut state)).to_le_bytes())?;
            }
        }
        file.into_inner()?.sync_all()?;
        Ok(8 + header.len() as u64 + end as u64)
    }
}

/// An even number within 0.035 of zero, of the variance that these models begin with (xorshift, Marsaglia 2003).
fn random(state: &mut u32) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    #[expect(
        clippy::cast_precision_loss,
        reason = "a random number has no exact value"
    )]
    let unit = *state as f32 / u32::MAX as f32;
    (unit - 0.5) * 0.07
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_have_as_many_weights_as_the_published_models() {
        let weights = |shape: &Shape| -> usize {
            let tensors = shape.tensors();
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
