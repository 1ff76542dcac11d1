//! What `--model` and `--dataset` name: a folder or a file on disk, else a name on the hub.

use hub::HubOptions;
use hub::model::Need;
use shared::datasets::{Dataset, Source};
use shared::signals::StopFlag;
use shared::terminal::Terminal;

use super::error::CliError;
use super::options::{DataOptions, InputOptions};
use crate::model::ModelFiles;

/// The data set of the papers, and so the one that goes without saying.
const DEFAULT_DATASET: &str = "conll2003";

/// The encoder's files, fetched if they have to be.
pub(super) fn model(
    options: &InputOptions,
    need: Need,
    terminal: &Terminal,
    stop: &StopFlag,
) -> Result<ModelFiles, CliError> {
    let Some(model) = options.model.as_deref() else {
        return Err(CliError::usage(
            "--model is missing: which encoder?",
            "--model bert-large-cased or another name on the hub, or --model DIR with config.json and model.safetensors",
        ));
    };
    let revision = options.revision.as_deref();
    let seed = options.random_weights;
    named(model, revision, seed, need, (terminal, stop)).map_err(|error| no_folder(model, error))
}

/// The files of a folder or of a name on the hub, with random weights if there is a seed.
pub(super) fn named(
    model: &str,
    revision: Option<&str>,
    seed: Option<u64>,
    need: Need,
    (terminal, stop): (&Terminal, &StopFlag),
) -> Result<ModelFiles, CliError> {
    if hub::model::is_folder(model) {
        return Ok(match seed {
            Some(seed) => ModelFiles::local_random(model, revision, seed)?,
            None => ModelFiles::local(model, revision)?,
        });
    }
    let hub = HubOptions::from_env(terminal.clone(), stop.clone())?;
    Ok(match seed {
        Some(seed) => ModelFiles::resolve_random(model, revision, seed, &hub)?,
        None => ModelFiles::resolve(model, revision, need, &hub)?,
    })
}

/// An error about a name on the hub that was likely meant for a path: says that nothing is there.
fn no_folder(name: &str, mut error: CliError) -> CliError {
    if hub::model::begins_on_disk(name) {
        let message = &error.message;
        error.message =
            format!("there is no file or folder {name}, and as a name on the hub: {message}");
        error.hints.push("correct the path if it is one".to_owned());
    }
    error
}

/// The labelled text, fetched if it has to be.
pub(super) fn dataset(
    options: &DataOptions,
    terminal: &Terminal,
    stop: &StopFlag,
) -> Result<Dataset, CliError> {
    let files = options.files();
    let name = match options.dataset.as_deref() {
        Some(name) => name,
        None if files.is_empty() => DEFAULT_DATASET,
        None => "",
    };
    let source = Source {
        files,
        format: options.format,
        task: options.task,
        scheme: options.scheme,
        token_column: options.token_column.clone(),
        text_pair_column: options.text_pair_column.clone(),
        label_column: options.label_column.clone(),
        relations: options.relations,
        seed: options.split_seed,
        ..Source::new(name)
    };
    let config = options.dataset_config.as_deref();
    if source.files.is_empty() && !hub::dataset::is_path(name) {
        if let Some(format) = options.format {
            return Err(CliError::usage(
                format!("--format {format:?} is for files on this disk, {name} is of the hub"),
                "leave it out, or give a folder or a file as --dataset",
            ));
        }
        let hub = HubOptions::from_env(terminal.clone(), stop.clone())?;
        return hub::dataset::load(name, config, &source, &hub)
            .map_err(|error| no_folder(name, error.into()));
    }
    if let Some(config) = config {
        return Err(CliError::usage(
            format!("--dataset-config {config} is for data sets of the hub, this one is on disk"),
            "leave it out, or give the folder of the configuration as --dataset",
        ));
    }
    Ok(source.load()?)
}
