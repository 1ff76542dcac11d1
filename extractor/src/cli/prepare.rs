//! From options to an extraction that is checked, with no weight read but for its digest.

use hub::model::Need;
use shared::signals::StopFlag;
use shared::tasks::{Output, Task};
use shared::terminal::Terminal;

use super::error::CliError;
use super::options::InputOptions;
use super::source;
use crate::extract::{Extraction, Model};
use crate::plan::Tokens;

/// Looks at model, tokenizer and data set, and tells of them.
pub(super) fn extraction(
    options: &InputOptions,
    need: Need,
    terminal: &Terminal,
    stop: &StopFlag,
) -> Result<Extraction, CliError> {
    if options.max_batch_tokens == Some(0) {
        return Err(CliError::usage(
            "--max-batch-tokens 0 leaves no room for a token",
            "give at least 1",
        ));
    }
    let request = options.request();
    let files = source::model(options, need, terminal, stop)?;
    let model = Model::open(files, &request)?;
    let dataset = source::dataset(&options.data, terminal, stop)?;
    let extraction = Extraction::new(model, dataset, &request);
    describe(&extraction, terminal);
    let model = &extraction.model;
    if options.max_length.is_none() && model.limits.max_length < model.max_positions {
        terminal.status(format!(
            "length     {} tokens a sequence at most; the encoder takes {}: --max-length",
            model.limits.max_length, model.max_positions
        ));
    }
    Ok(extraction)
}

/// What labels are, in a word or two.
pub(super) fn what(task: Task, classes: usize) -> String {
    match task.output() {
        Output::Class | Output::Set => format!("{classes} classes"),
        Output::Number => "numbers".to_owned(),
    }
}

fn describe(extraction: &Extraction, terminal: &Terminal) {
    let Extraction { model, dataset, .. } = extraction;
    terminal.status(format!(
        "model      {} ({}, {} of {} layers, hidden size {})",
        model.files.name(),
        model.family,
        model.layers.len(),
        model.states,
        model.hidden
    ));
    for note in model.tokenizer.notes() {
        terminal.status(format!("tokenizer  {note}"));
    }
    let splits: Vec<String> = dataset
        .splits
        .iter()
        .map(|split| format!("{} {}", split.name, split.sentences.len()))
        .collect();
    let scheme = dataset
        .scheme
        .map_or_else(String::new, |scheme| format!(", {scheme}"));
    terminal.status(format!(
        "data set   {} ({}{scheme}, {}; sentences: {})",
        dataset.id,
        dataset.task,
        what(dataset.task, dataset.classes.len()),
        splits.join(", ")
    ));
    for note in &dataset.notes {
        terminal.status(format!("           {note}"));
    }
    for warning in &dataset.warnings {
        terminal.warn(warning);
    }
}

/// Tokenizes the data set and tells what happened to long sentences and to words without a
/// sub-word.
pub(super) fn tokens(extraction: &mut Extraction, terminal: &Terminal) -> Result<Tokens, CliError> {
    let tokens = extraction.tokens()?;
    for line in tokens.counts.lines() {
        terminal.status(line);
    }
    for word in &tokens.counts.words_without_sub_word {
        let label = word.label.as_deref().unwrap_or("-");
        let (split, sentence, text) = (word.split, word.sentence + 1, &word.text);
        terminal.detail(format!(
            "           no sub-word: {split}, sentence {sentence}, {text:?} ({label})"
        ));
    }
    Ok(tokens)
}
