//! `extractor label`: labels of another task for the text of a store, without encoding it again.

use cache::{Io, Store};
use serde_json::json;
use shared::exit::ExitStatus;
use shared::terminal::Terminal;

use super::error::CliError;
use super::options::LabelOptions;
use super::prepare::what;
use super::source;
use crate::label::{Labelling, Matches};

pub(super) fn run(options: &LabelOptions, terminal: &Terminal) -> Result<ExitStatus, CliError> {
    if options.data.dataset.is_none() && options.data.files().is_empty() {
        return Err(CliError::usage(
            "--dataset is missing: where are the labels?",
            "--dataset ud-ewt/ --task pos, for example",
        ));
    }
    let stop = shared::signals::install()?;
    let path = cache::find_store(&options.store, None, None)?;
    let store = Store::open(&path, Io::Read)?;
    let dataset = source::dataset(&options.data, terminal, &stop)?;
    terminal.status(format!("store      {}", path.display()));
    terminal.status(format!(
        "data set   {} ({}, {})",
        dataset.id,
        dataset.task,
        what(dataset.task, dataset.classes.len())
    ));
    for note in &dataset.notes {
        terminal.status(format!("           {note}"));
    }
    for warning in &dataset.warnings {
        terminal.warn(warning);
    }
    let labelling = Labelling::new(&store, &dataset)?;
    let replaced = store
        .splits()
        .any(|split| split.labels(dataset.task).is_some());
    drop(store);
    for (name, matches) in &labelling.matches {
        terminal.status(line(&name.to_string(), *matches));
    }
    let missing: usize = labelling.matches.values().map(Matches::missing).sum();
    if missing > 0 {
        let first = labelling
            .first_missing
            .as_ref()
            .map_or_else(String::new, |first| format!(": {first}"));
        terminal.warn(format!(
            "{missing} sentences of the store are not in {} and get no label{first}",
            dataset.id
        ));
    }
    if labelling.unused > 0 {
        terminal.status(format!(
            "           {} sentences of {} are not in the store",
            labelling.unused, dataset.id
        ));
    }
    Store::add_labels(&path, &labelling.labels)?;
    terminal.status(format!(
        "labels     {} {} in {}; trainer --task {} uses them",
        dataset.task,
        if replaced { "replaced" } else { "added" },
        path.display(),
        dataset.task
    ));
    if options.json {
        let report = json!({
            "store": path, "task": dataset.task, "classes": dataset.classes, "splits": labelling.matches,
            "missing": missing, "first_missing": labelling.first_missing, "unused": labelling.unused, "replaced": replaced,
        });
        terminal.result(report.to_string());
    }
    Ok(ExitStatus::Success)
}

fn line(name: &str, matches: Matches) -> String {
    let Matches {
        sentences,
        matched,
        elsewhere,
        labelled,
    } = matches;
    let others = if elsewhere > 0 {
        format!(", {elsewhere} in other splits")
    } else {
        String::new()
    };
    format!("{name:<10} {matched} of {sentences} sentences found{others}; {labelled} labels")
}
