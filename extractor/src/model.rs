//! Which files make up a model. Extraction, planning and the manifest all need the same answer to
//! "what is in this folder and what identifies it", long before any weight is read.

use std::path::{Path, PathBuf};

use hub::model::{Need, Snapshot, is_folder};
use hub::{HubError, HubOptions};
use shared::exit::{ExitStatus, HasExitStatus};
use shared::files::{sha256_bytes, sha256_file};

use crate::checkpoint::{CheckpointError, Index, RANDOM_VERSION};
use crate::family::{Config, EncoderSpec, FamilyError};

const CONFIG: &str = "config.json";
/// The weights of a model that is one file.
const SINGLE_FILE: &str = "model.safetensors";
/// The list of weight files of a model that is several.
const INDEX_FILE: &str = "model.safetensors.index.json";
/// Where exporters put an ONNX graph, in the order they are looked for.
const ONNX_FILES: [&str; 2] = ["model.onnx", "onnx/model.onnx"];
/// Weights in formats that can run code when they are opened, or that only Python reads.
const FOREIGN_FILES: [&str; 5] = [
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "tf_model.h5",
    "flax_model.msgpack",
    "model.ckpt.index",
];

/// The files of one encoder on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFiles {
    /// Name in the manifest: the hub id, or the folder's name for a folder on disk.
    pub id: String,
    /// The resolved commit of a hub model; none for a folder on disk.
    pub revision: Option<String>,
    /// The folder that the tokenizer's files are looked for in.
    pub folder: PathBuf,
    /// `config.json`.
    pub config: PathBuf,
    /// The `*.safetensors` files, ordered by name, or one `.onnx` file; none of weights that are
    /// random.
    pub weights: Vec<PathBuf>,
    /// The seed of random weights, which stand in place of the trained ones.
    pub random_seed: Option<u64>,
}

impl ModelFiles {
    /// Looks for `config.json` and weights in `folder`: `model.safetensors`, else the files that
    /// `model.safetensors.index.json` names, else an exported `model.onnx`.
    ///
    /// # Errors
    /// When the folder, its configuration or its weights are missing, when the weights are only in
    /// a format that has to be converted first, or when the index is broken.
    pub fn in_folder(folder: &Path) -> Result<Self, ModelError> {
        Self::described_in(folder)?.with_weights()
    }

    /// The configuration in `folder`, without weights.
    fn described_in(folder: &Path) -> Result<Self, ModelError> {
        if !folder.is_dir() {
            return Err(if folder.is_file() && is_gguf(folder) {
                gguf(folder)
            } else {
                ModelError::NoFolder {
                    folder: folder.to_owned(),
                }
            });
        }
        let folder = fs_err::canonicalize(folder)?;
        let config = folder.join(CONFIG);
        if !config.is_file() {
            // A file of llama.cpp has its configuration in it.
            return Err(match find_gguf(&folder)? {
                Some(file) => gguf(&file),
                None => ModelError::NoConfig { folder },
            });
        }
        let id = folder.file_name().map_or_else(
            || "model".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        Ok(Self {
            id,
            revision: None,
            folder,
            config,
            weights: Vec::new(),
            random_seed: None,
        })
    }

    /// The same with the weights that lie in the folder.
    fn with_weights(self) -> Result<Self, ModelError> {
        Ok(Self {
            weights: find_weights(&self.folder)?,
            ..self
        })
    }

    /// The name that tells the encoder apart: [`cache::ModelIdentity::name`].
    #[must_use]
    pub fn name(&self) -> String {
        cache::model_name(&self.id, self.random_seed)
    }

    /// The files of `model`: a folder on disk, or an id on the hub at `revision` (a branch, a tag
    /// or a commit; `main` if none). The files of an id are in the hub's cache when this returns.
    ///
    /// # Errors
    /// As [`Self::in_folder`] and [`hub::model::fetch`].
    pub fn resolve(
        model: &str,
        revision: Option<&str>,
        need: Need,
        options: &HubOptions,
    ) -> Result<Self, ModelError> {
        if is_folder(model) {
            return Self::local(model, revision);
        }
        let snapshot = hub::model::fetch(model, revision, need, options)?;
        let is_complete = snapshot.is_complete;
        let files = Self::fetched(model, snapshot);
        if is_complete {
            files.with_weights()
        } else {
            Ok(files)
        }
    }

    /// The configuration of `model`, as for [`Self::resolve`], with random weights: trained ones
    /// are neither fetched nor read.
    ///
    /// # Errors
    /// As [`Self::resolve`], but for what is wrong with weights.
    pub fn resolve_random(
        model: &str,
        revision: Option<&str>,
        seed: u64,
        options: &HubOptions,
    ) -> Result<Self, ModelError> {
        if is_folder(model) {
            return Self::local_random(model, revision, seed);
        }
        let snapshot = hub::model::fetch(model, revision, Need::Untrained, options)?;
        Ok(Self {
            random_seed: Some(seed),
            ..Self::fetched(model, snapshot)
        })
    }

    /// The configuration of the model `id` in the hub's cache.
    fn fetched(id: &str, snapshot: Snapshot) -> Self {
        Self {
            id: id.to_owned(),
            revision: Some(snapshot.commit),
            config: snapshot.folder.join(CONFIG),
            folder: snapshot.folder,
            weights: Vec::new(),
            random_seed: None,
        }
    }

    /// The files of a model that is a folder on disk.
    ///
    /// # Errors
    /// When the folder lacks something, or a revision is asked for.
    pub fn local(model: &str, revision: Option<&str>) -> Result<Self, ModelError> {
        Self::described_locally(model, revision)?.with_weights()
    }

    /// The configuration in a folder on disk, with random weights.
    ///
    /// # Errors
    /// When the folder has none, or a revision is asked for.
    pub fn local_random(
        model: &str,
        revision: Option<&str>,
        seed: u64,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            random_seed: Some(seed),
            ..Self::described_locally(model, revision)?
        })
    }

    fn described_locally(model: &str, revision: Option<&str>) -> Result<Self, ModelError> {
        let folder = Path::new(model);
        match revision {
            Some(_) => Err(ModelError::FolderRevision {
                folder: folder.to_owned(),
            }),
            None => Self::described_in(folder),
        }
    }

    /// The exported graph, if that is what the weights are.
    #[must_use]
    pub fn onnx_file(&self) -> Option<&Path> {
        match self.weights.as_slice() {
            [file]
                if file
                    .extension()
                    .is_some_and(|extension| extension == "onnx") =>
            {
                Some(file)
            }
            _ => None,
        }
    }

    /// The parts of the encoder, as `config.json` states them.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub fn spec(&self) -> Result<EncoderSpec, FamilyError> {
        EncoderSpec::from_config(&Config::read(&self.config)?)
    }

    /// Bytes of all weight files; 0 of random weights.
    ///
    /// # Errors
    /// When a file is not there.
    pub fn weight_bytes(&self) -> Result<u64, ModelError> {
        let mut bytes = 0;
        for file in &self.weights {
            bytes += fs_err::metadata(file)?.len();
        }
        Ok(bytes)
    }

    /// SHA-256 over the digests of the configuration and of every weight file, in order: equal for
    /// equal bytes, whatever the folder is called. Of random weights the seed counts in place of
    /// files.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn weights_digest(&self) -> Result<String, ModelError> {
        let mut digests = String::new();
        if let Some(seed) = self.random_seed {
            digests = format!("random weights {RANDOM_VERSION} {seed}\n");
        }
        for path in std::iter::once(&self.config).chain(&self.weights) {
            let digest = sha256_file(path).map_err(|source| ModelError::Read {
                path: path.clone(),
                source,
            })?;
            digests.push_str(&digest);
            digests.push('\n');
        }
        Ok(sha256_bytes(digests.as_bytes()))
    }
}

fn find_weights(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let single = folder.join(SINGLE_FILE);
    if single.is_file() {
        return Ok(vec![single]);
    }
    let index = folder.join(INDEX_FILE);
    if index.is_file() {
        return Ok(Index::read(&index)?.files);
    }
    if let Some(onnx) = ONNX_FILES
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
    {
        return Ok(vec![onnx]);
    }
    if let Some(found) = FOREIGN_FILES
        .iter()
        .find(|name| folder.join(name).is_file())
    {
        return Err(ModelError::ForeignWeights {
            folder: folder.to_owned(),
            found: (*found).to_owned(),
        });
    }
    Err(match find_gguf(folder)? {
        Some(file) => gguf(&file),
        None => ModelError::NoWeights {
            folder: folder.to_owned(),
        },
    })
}

fn is_gguf(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"))
}

/// The first file of llama.cpp in a folder, by name.
fn find_gguf(folder: &Path) -> Result<Option<PathBuf>, ModelError> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if is_gguf(&path) {
            found.push(path);
        }
    }
    Ok(found.into_iter().min())
}

/// The error for such a file.
fn gguf(file: &Path) -> ModelError {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    ModelError::Gguf {
        folder: folder.unwrap_or(Path::new(".")).to_owned(),
        found: file.file_name().map_or_else(
            || file.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        ),
    }
}

/// Why a folder is not a model that can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The path is not a folder.
    #[error(
        "there is no model folder at {}: --model expects a folder with config.json, tokenizer.json and model.safetensors",
        folder.display()
    )]
    NoFolder {
        /// What was given.
        folder: PathBuf,
    },
    /// A folder has no revisions.
    #[error("--revision is for models of the hub, {} is a folder on disk", folder.display())]
    FolderRevision {
        /// The folder.
        folder: PathBuf,
    },
    /// The hub.
    #[error(transparent)]
    Hub(Box<HubError>),
    /// No configuration.
    #[error("{} has no config.json, so it is not a model folder of transformers", folder.display())]
    NoConfig {
        /// What was given.
        folder: PathBuf,
    },
    /// No weights at all.
    #[error("{} has no weights: expected {SINGLE_FILE}, {INDEX_FILE} or model.onnx", folder.display())]
    NoWeights {
        /// What was given.
        folder: PathBuf,
    },
    /// Weights that must be converted first.
    #[error(
        "{} has its weights only as {found}, which is not read here; convert it once where transformers is installed: \
         python -c \"from transformers import AutoModel; m = '{}'; AutoModel.from_pretrained(m).save_pretrained(m)\"",
        folder.display(), folder.display()
    )]
    ForeignWeights {
        /// What was given.
        folder: PathBuf,
        /// The file that is there.
        found: String,
    },
    /// Weights of llama.cpp.
    #[error(
        "{}/{found} is GGUF, a format of llama.cpp whose numbers are mostly quantised, which is not read here: use the \
         safetensors checkpoint that it was made from; if there is none, write one with its rounded numbers where \
         transformers and gguf are installed: python -c \"from transformers import AutoModel, AutoTokenizer; m, f = '{}', \
         '{found}'; [c.from_pretrained(m, gguf_file=f).save_pretrained(m) for c in (AutoModel, AutoTokenizer)]\"",
        folder.display(), folder.display()
    )]
    Gguf {
        /// The file's folder.
        folder: PathBuf,
        /// The file's name.
        found: String,
    },
    /// The index of a model in several files.
    #[error(transparent)]
    Index(#[from] CheckpointError),
    /// A weight file could not be read to the end.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another problem with the file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<HubError> for ModelError {
    fn from(error: HubError) -> Self {
        Self::Hub(Box::new(error))
    }
}

impl HasExitStatus for ModelError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Read { .. } | Self::Io(_) => ExitStatus::Machine,
            Self::Index(error) => error.exit_status(),
            Self::Hub(error) => error.exit_status(),
            Self::NoFolder { .. }
            | Self::NoConfig { .. }
            | Self::NoWeights { .. }
            | Self::FolderRevision { .. }
            | Self::ForeignWeights { .. }
            | Self::Gguf { .. } => ExitStatus::User,
        }
    }
}
