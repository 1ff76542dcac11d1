//! `extractor inspect`: what is in a store, from its metadata alone.

use cache::inspect::{Inspection, SplitInspection, inspect};
use shared::exit::ExitStatus;
use shared::size::format_bytes;
use shared::tasks::Output;
use shared::terminal::Terminal;

use super::error::CliError;
use super::options::StoreOptions;

pub(super) fn run(options: &StoreOptions, terminal: &Terminal) -> Result<ExitStatus, CliError> {
    let path = cache::find_store(&options.store, None, None)?;
    let found = inspect(&path)?;
    if options.json {
        // Strings, numbers and maps with names as keys: nothing that JSON could refuse.
        terminal.result(serde_json::to_string(&found).unwrap_or_default());
    } else {
        for line in lines(&found) {
            terminal.result(line);
        }
    }
    Ok(ExitStatus::Success)
}

fn lines(found: &Inspection) -> Vec<String> {
    let manifest = &found.manifest;
    let state = if found.complete {
        "complete".to_owned()
    } else {
        format!(
            "incomplete: {} of {} parts are done",
            found.parts_done, found.parts
        )
    };
    let revision = manifest
        .model
        .revision
        .as_deref()
        .map_or_else(String::new, |commit| format!(" at {commit}"));
    let mut lines = vec![
        format!("store      {}", found.path.display()),
        format!("state      {state}"),
        format!("identity   {}", found.identity),
        format!(
            "model      {}{revision} ({})",
            manifest.model.name(),
            manifest.model.family
        ),
        format!(
            "data set   {} ({})",
            manifest.dataset.id, manifest.dataset.task
        ),
        format!(
            "layers     {:?} of {}",
            manifest.layers, manifest.model.layers_in_model
        ),
        format!(
            "values     {}, {} wide, computed in {} on {}",
            manifest.store_dtype, manifest.hidden, manifest.compute_dtype, manifest.provider
        ),
        format!("size       {}", format_bytes(found.bytes)),
    ];
    if !manifest.codec.is_none() {
        let (codec, stored) = (manifest.codec, format_bytes(found.stored_bytes));
        lines.push(format!("compressed {codec}, {stored} on disk"));
    }
    for (name, split) in &found.splits {
        lines.extend(split_lines(&name.to_string(), split));
    }
    lines
}

fn split_lines(name: &str, split: &SplitInspection) -> Vec<String> {
    let [tokens, layers, hidden] = split.shape;
    let mut lines = vec![
        String::new(),
        format!(
            "{name:<10} {} sentences, {} sequences, {} words; hidden states [{tokens}, {layers}, {hidden}], {} in {} files",
            split.size.sentences,
            split.size.sequences,
            split.size.words,
            format_bytes(split.bytes),
            split.files
        ),
    ];
    for (task, labels) in &split.tasks {
        lines.push(format!(
            "{:<10} {}",
            task.to_string(),
            match task.output() {
                Output::Number => "numbers".to_owned(),
                Output::Class | Output::Set => labels.classes.join(" "),
            }
        ));
    }
    // What rounding did, where the store says it.
    let with_error = split
        .layers
        .iter()
        .any(|layer| layer.statistics.error.is_some());
    let heading = if with_error { "    error" } else { "" };
    lines.push(format!(
        "{:>10} {:>12} {:>12} {:>12} {:>8} {:>8}{heading}",
        "layer", "minimum", "maximum", "mean |x|", "NaN", "Inf"
    ));
    for layer in &split.layers {
        let of = &layer.statistics;
        let error = of
            .error
            .map_or_else(String::new, |error| format!(" {error:>8.4}"));
        lines.push(format!(
            "{:>10} {:>12.4} {:>12.4} {:>12.4} {:>8} {:>8}{error}",
            layer.layer, of.minimum, of.maximum, of.mean_absolute, of.nan, of.infinite
        ));
    }
    lines
}
