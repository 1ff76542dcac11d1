//! `extractor plan`: how much an extraction would encode and write and how long it would take,
//! before it does.

use hub::model::Need;
use serde_json::{Value, json};
use shared::exit::ExitStatus;
use shared::size::format_bytes;
use shared::terminal::Terminal;

use super::error::CliError;
use super::options::PlanOptions;
use super::prepare;
use crate::extract::{Extraction, WeightMemory, dataset_identity, needed_space, too_little_space};
use crate::plan::Tokens;
use crate::trial::{self, Trial};

pub(super) fn run(options: &PlanOptions, terminal: &Terminal) -> Result<ExitStatus, CliError> {
    if let Some(speed) = options.tokens_per_second
        && !(speed.is_finite() && speed > 0.0)
    {
        return Err(CliError::usage(
            format!("--tokens-per-second {speed} is no speed"),
            "give what `extractor` reported at the end of a run",
        ));
    }
    let stop = shared::signals::install()?;
    let mut extraction = prepare::extraction(&options.input, Need::Description, terminal, &stop)?;
    let dataset = dataset_identity(&extraction);
    let tokens = prepare::tokens(&mut extraction, terminal)?;
    let row_bytes = extraction.row_bytes() as u64;
    let (files, splits) = sizes(&tokens, extraction.file_tokens(), row_bytes, terminal);
    let total = tokens.counts.tokens * row_bytes;
    let layer = total / extraction.model.layers.len() as u64;
    terminal.status(format!(
        "total      {} tokens, {} ({} a layer) in {files} files",
        tokens.counts.tokens,
        format_bytes(total),
        format_bytes(layer)
    ));
    let free = free_space(&extraction, &tokens, terminal)?;
    let fits = free.map(|free| free >= needed_space(&extraction, &tokens));
    let memory = weight_memory(&extraction, terminal)?;
    let (trial, seconds) = time(options, &extraction, &tokens, terminal);
    if options.json {
        let model = &extraction.model;
        let plan = json!({
            "model": model.files.id, "family": model.family, "dataset": dataset, "layers": model.layers,
            "splits": Value::Object(splits), "counts": tokens.counts,
            "bytes": total, "bytes_per_layer": layer, "files": files,
            "store": extraction.store, "free_bytes": free, "fits": fits, "memory": memory, "trial": trial, "seconds": seconds,
        });
        terminal.result(plan.to_string());
    }
    match (extraction.store.as_deref(), free) {
        (Some(path), Some(free)) if fits == Some(false) => {
            Err(too_little_space(path, &extraction, &tokens, free).into())
        }
        _ => {
            memory.check()?;
            Ok(ExitStatus::Success)
        }
    }
}

/// What the weights take of memory, told with what would fit where they do not.
fn weight_memory(extraction: &Extraction, terminal: &Terminal) -> Result<WeightMemory, CliError> {
    let weights = extraction.model.weight_bytes()?;
    let memory = WeightMemory::for_model(&extraction.model, weights);
    terminal.status(format!("memory     {}", memory.about()));
    for hint in &memory.hints {
        terminal.status(format!("           {hint}"));
    }
    Ok(memory)
}

/// Files of all splits, and the size of each split.
fn sizes(
    tokens: &Tokens,
    file_tokens: u64,
    row_bytes: u64,
    terminal: &Terminal,
) -> (u64, serde_json::Map<String, Value>) {
    let mut files = 0;
    let mut splits = serde_json::Map::new();
    for (name, size) in &tokens.sizes {
        let split_files = size.tokens.div_ceil(file_tokens);
        files += split_files;
        let line = json!({
            "sentences": size.sentences, "sequences": size.sequences, "words": size.words,
            "tokens": size.tokens, "bytes": size.tokens * row_bytes, "files": split_files,
        });
        terminal.status(format!(
            "{:<10} {} sentences, {} tokens, {} in {split_files} files",
            name.to_string(),
            size.sentences,
            size.tokens,
            format_bytes(size.tokens * row_bytes)
        ));
        splits.insert(name.to_string(), line);
    }
    (files, splits)
}

/// Bytes that are free where the store would go, if it is known where.
fn free_space(
    extraction: &Extraction,
    tokens: &Tokens,
    terminal: &Terminal,
) -> Result<Option<u64>, CliError> {
    let Some(path) = &extraction.store else {
        terminal.status("store      --out ROOT tells whether it fits there");
        return Ok(None);
    };
    let free = shared::resources::free_space(path)?;
    let verdict = if free >= needed_space(extraction, tokens) {
        "it fits"
    } else {
        "it does not fit"
    };
    terminal.status(format!(
        "store      {}: {} free, {verdict}",
        path.display(),
        format_bytes(free)
    ));
    Ok(Some(free))
}

/// How long it would take: by the speed that is given, else by a trial. A machine that cannot try
/// says why; that is no error, as the plan may be for another.
fn time(
    options: &PlanOptions,
    extraction: &Extraction,
    tokens: &Tokens,
    terminal: &Terminal,
) -> (Option<Trial>, Option<f64>) {
    if let Some(speed) = options.tokens_per_second {
        let seconds = seconds(tokens.counts.tokens, speed);
        terminal.status(format!(
            "time       {} at {speed} tokens/s",
            duration(seconds)
        ));
        return (None, Some(seconds));
    }
    let other = "--tokens-per-second N of an earlier run tells";
    let tried = trial::run(
        &extraction.model.files.config,
        &extraction.model.options,
        extraction.model.last_layer(),
        &tokens.tables,
        extraction.max_batch_tokens,
    );
    match tried {
        Ok(Some(trial)) => {
            let seconds = seconds(tokens.counts.tokens, trial.tokens_per_second);
            terminal.status(format!(
                "time       {} by a short trial without weights: {:.0} tokens/s on {}, {} threads",
                duration(seconds),
                trial.tokens_per_second,
                trial.provider,
                trial.threads
            ));
            (Some(trial), Some(seconds))
        }
        Ok(None) => (None, None),
        Err(error) => {
            terminal.status(format!("time       not estimated ({error}); {other}"));
            (None, None)
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn seconds(tokens: u64, speed: f64) -> f64 {
    tokens as f64 / speed
}

/// A time for a person, no more exact than an estimate is.
fn duration(seconds: f64) -> String {
    if seconds < 90.0 {
        format!("about {:.0} seconds", seconds.ceil())
    } else if seconds < 90.0 * 60.0 {
        format!("about {:.0} minutes", seconds / 60.0)
    } else {
        format!("about {:.1} hours", seconds / 3600.0)
    }
}
