//! The folder of a run, as far as prediction needs it: which labels, which head, which encoder.

use std::path::{Path, PathBuf};

use cache::Manifest;
use serde::de::IgnoredAny;
use shared::exit::{ExitStatus, HasExitStatus};
use shared::heads::TreeScorer;
use shared::heads::run::{self, Config, RunFolderError, WEIGHTS};
use shared::tasks::{Chain, Decoder, Output, Task};

use super::{HeadOptions, Parameters};
use crate::checkpoint::CheckpointError;

/// A trained head and what it was trained on.
pub struct Run {
    /// The folder.
    pub folder: PathBuf,
    /// What the labels are.
    pub task: Task,
    /// Names of the classes, by number.
    pub classes: Vec<String>,
    /// The head.
    pub head: HeadOptions,
    /// Its parameters, those of the best epoch.
    pub parameters: Parameters,
    /// What chooses predictions among the classes.
    pub decoder: Decoder,
    /// What makes trees, where words have heads.
    pub scorer: Option<TreeScorer>,
    /// The store that it was trained on: encoder, tokenizer and limits.
    pub store: Manifest,
}

impl Run {
    /// Reads settings and parameters of the run in `folder`.
    ///
    /// # Errors
    /// When there is no run, none that has finished an epoch, or it cannot be understood.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let config = Config::<Manifest, IgnoredAny>::load(folder)?;
        let weights = run::file(folder, WEIGHTS)?;
        let parameters = Parameters::open(&weights)?;
        let decoder = match config.head.output {
            Output::Class => config.head.decoder(&config.classes, |crf| {
                let [transitions, start, end] =
                    [&crf.transitions, &crf.start, &crf.end].map(|one| parameters.values(one));
                Ok::<_, RunError>(Chain::of_scores(&transitions?, &start?, &end?))
            })?,
            Output::Set => Decoder::Set(config.thresholds(folder)?),
            Output::Number => Decoder::Number,
        };
        let scorer = scorer(&config.head, &parameters)?;
        Ok(Self {
            folder: folder.to_owned(),
            task: config.task,
            classes: config.classes,
            head: config.head,
            parameters,
            decoder,
            scorer,
            store: config.store,
        })
    }
}

/// What makes trees of words that the head scores, where they have heads.
pub(super) fn scorer(
    head: &HeadOptions,
    parameters: &Parameters,
) -> Result<Option<TreeScorer>, CheckpointError> {
    let (Some(parser), Some(sizes)) = (head.parser(), head.parser) else {
        return Ok(None);
    };
    let weight = parameters.values(&parser.words.weight())?;
    let bias = parameters.values(&parser.words.bias())?;
    let root = parameters.values(&parser.root)?;
    let scorer = TreeScorer::new(sizes, head.classes, (&weight, &bias), &root);
    Ok(Some(scorer))
}

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The folder is not that of a run, or its configuration cannot be understood.
    #[error(transparent)]
    Folder(#[from] RunFolderError),
    /// The parameters cannot be read.
    #[error(transparent)]
    Parameters(#[from] CheckpointError),
}

impl HasExitStatus for RunError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Folder(error) => error.exit_status(),
            Self::Parameters(error) => error.exit_status(),
        }
    }
}
