//! Encoder and head as an ONNX file, with what is needed to use it without this program: labels and
//! tokenizer, in the file's metadata and as files beside it.
//!
//! ONNX Runtime writes the graph. Metadata are added by appending to the file: it is a protobuf
//! message, and messages that stand one after another are read as one
//! (<https://protobuf.dev/programming-guides/encoding/#last-one-wins>). The graph has operators of
//! the domain `com.microsoft`, so ONNX Runtime alone can run it.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::exit::{ExitStatus, HasExitStatus};
use shared::files::write_atomic;
use shared::tasks::{Decoder, Output};

use crate::head::Run;
use crate::model::ModelFiles;
use crate::predict::{PredictError, save};

/// Files beside the graph.
const LABELS: &str = "labels.json";
const TOKENIZER: &str = "tokenizer.json";
/// Bytes of weights from which on they go to a file of their own. A message of protobuf has 2 GB at
/// most, and the tokenizer goes into it too.
const LARGE: u64 = 1_800_000_000;

/// Writes the graph to `out`, with the files beside it, and gives the paths of all.
///
/// # Errors
/// When files are there and not to be replaced, the encoder is another, or the disk refuses.
pub fn export(
    files: &ModelFiles,
    run: &Run,
    out: &Path,
    external: bool,
    overwrite: bool,
) -> Result<Vec<PathBuf>, ExportError> {
    let Some(name) = out
        .file_name()
        .and_then(|name| name.to_str())
        .filter(|_| !out.is_dir())
    else {
        return Err(ExportError::NoFile {
            path: out.to_owned(),
        });
    };
    let folder = match out.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let data = format!("{name}.data");
    let targets = [out.to_owned(), folder.join(LABELS), folder.join(TOKENIZER)];
    if let Some(path) = targets.iter().find(|path| path.exists() && !overwrite) {
        return Err(ExportError::Exists { path: path.clone() });
    }
    // What is wrong with the configuration is told when the graph is built.
    let weight_bytes = files.spec().map_or(0, |spec| 4 * spec.weights(spec.layers));
    let external = (external || weight_bytes >= LARGE).then_some(data.as_str());
    fs_err::create_dir_all(folder)?;
    // ONNX Runtime writes where it is told: into a folder that is not seen until all is there.
    let making = Making::in_folder(folder, name)?;
    let graph = making.0.join(name);
    let tokenizer = save(files, run, &graph, external)?;
    let description = describe(run);
    let tokenizer = tokenizer.to_json()?;
    let properties = [
        ("activation_cache", description.to_string()),
        ("labels", json!(run.classes).to_string()),
        ("tokenizer", tokenizer.clone()),
    ];
    let mut file = fs_err::OpenOptions::new().append(true).open(&graph)?;
    for (key, value) in &properties {
        file.write_all(&metadata(key, value))?;
    }
    file.sync_all()?;
    let mut written = Vec::new();
    let data = folder.join(&data);
    if external.is_some() {
        let made = making.0.join(data.file_name().unwrap_or_default());
        fs_err::File::open(&made)?.sync_all()?;
        fs_err::rename(&made, &data)?;
        written.push(data);
    } else if data.is_file() {
        // It is left from an export before this one.
        fs_err::remove_file(data)?;
    }
    write_atomic(&targets[1], format!("{description:#}\n").as_bytes())?;
    write_atomic(&targets[2], tokenizer.as_bytes())?;
    fs_err::rename(&graph, out)?;
    shared::files::sync_dir(folder)?;
    written.extend(targets);
    Ok(written)
}

/// The score of what is not allowed, for programs that have no number for it.
const FORBIDDEN: f32 = -1e9;

/// What a user of the graph has to know.
fn describe(run: &Run) -> Value {
    let level = shared::heads::level::name(run.head.level);
    let mut description = json!({
        "task": run.task,
        "level": level,
        "labels": run.classes,
        "decode": run.head.decode,
        "subword": run.head.subword,
        "max_length": run.store.max_length,
        "long": run.store.long,
        "model": run.store.model,
        "dataset": run.store.dataset.id,
        "extractor": env!("CARGO_PKG_VERSION"),
    });
    if run.head.output != Output::Class {
        description["output"] = json!(run.head.output);
    }
    if let Decoder::Set(thresholds) = &run.decoder {
        description["thresholds"] = json!(thresholds);
    }
    if run.scorer.is_some() {
        description["root"] = json!("column 0 of arc_scores and relation_scores");
    }
    if let Decoder::Sentence(chain) = &run.decoder {
        let classes = 0..run.classes.len();
        let scores = |score: &dyn Fn(usize) -> Option<f32>| {
            let scores = classes
                .clone()
                .map(|class| score(class).unwrap_or(FORBIDDEN));
            scores.collect::<Vec<f32>>()
        };
        let from = |from| scores(&|to| chain.step(from, to));
        let transitions: Vec<Vec<f32>> = classes.clone().map(from).collect();
        description["transitions"] = json!(transitions);
        description["start"] = json!(scores(&|class| chain.first(class)));
        description["end"] = json!(scores(&|class| Some(chain.last(class))));
    }
    description
}

/// An entry of `ModelProto.metadata_props` (field 14), a `StringStringEntryProto` of key (1) and
/// value (2).
fn metadata(key: &str, value: &str) -> Vec<u8> {
    let text = |field: u64, text: &str| delimited(field, text.as_bytes());
    delimited(14, &[text(1, key), text(2, value)].concat())
}

/// A field whose bytes are counted: wire type 2.
fn delimited(field: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 12);
    for number in [field << 3 | 2, bytes.len() as u64] {
        let mut rest = number;
        while rest >= 0x80 {
            out.push(u8::try_from(rest & 0x7f).unwrap_or(0) | 0x80);
            rest >>= 7;
        }
        out.push(u8::try_from(rest).unwrap_or(0));
    }
    out.extend_from_slice(bytes);
    out
}

/// A folder for what is not finished, which goes away whatever happens.
struct Making(PathBuf);

impl Making {
    fn in_folder(folder: &Path, name: &str) -> std::io::Result<Self> {
        let path = folder.join(format!(".{name}.{}", std::process::id()));
        fs_err::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        // What cannot be removed is hidden and small, or gone already.
        let _ = fs_err::remove_dir_all(&self.0);
    }
}

/// Why a graph cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Not the name of a file.
    #[error("{}: --out takes the name of a file, such as tagger/model.onnx", path.display())]
    NoFile {
        /// What was given.
        path: PathBuf,
    },
    /// A file is in the way.
    #[error("{} exists: --overwrite replaces it, or choose another folder with --out", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The graph cannot be built or written.
    #[error(transparent)]
    Graph(#[from] PredictError),
    /// The tokenizer cannot be written as JSON.
    #[error(transparent)]
    Tokenizer(#[from] crate::tokenizer::TokenizerError),
    /// The files of the encoder.
    #[error(transparent)]
    Model(#[from] crate::model::ModelError),
    /// The disk.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl HasExitStatus for ExportError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Graph(error) => error.exit_status(),
            Self::Tokenizer(error) => error.exit_status(),
            Self::Model(error) => error.exit_status(),
            Self::Io(error) => ExitStatus::of_io(error),
            Self::NoFile { .. } | Self::Exists { .. } => ExitStatus::User,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_are_encoded_as_protobuf_says() {
        // onnx.ModelProto(metadata_props=[onnx.StringStringEntryProto(key="k",
        // value="vv")]).SerializeToString()
        assert_eq!(metadata("k", "vv"), b"\x72\x07\x0a\x01k\x12\x02vv");
        let long = metadata("k", &"v".repeat(300));
        assert_eq!(&long[..9], b"\x72\xb2\x02\x0a\x01k\x12\xac\x02");
        assert_eq!(long.len(), 309);
    }
}
