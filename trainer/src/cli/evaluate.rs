//! `trainer eval` and `trainer predict`: a trained head over a split of a store, with the numbers of its training.

use cache::Store;
use shared::exit::ExitStatus;
use shared::files::write_atomic;
use shared::heads::run::{self, WEIGHTS};
use shared::terminal::Terminal;
use trainer_options::{EvalArgs, PredictArgs, RunArgs};

use super::placing::Places;
use super::{CommandError, data, finish};
use crate::batches::{BatchSize, LabelledSplit};
use crate::evaluation::{self, Predictions};
use crate::head::{self, AnyHead};
use crate::run::{Config, RunError};
use crate::{predictions, weights};

/// Scores a head on a split.
pub(super) fn eval(options: &EvalArgs, terminal: &Terminal) -> Result<ExitStatus, CommandError> {
    over_split(&options.run, terminal, |split, predicted, _| {
        let scores = predicted.scores(split);
        terminal.status(format!(
            "{}: {} {:.4}, loss {:.4}",
            split.name, scores.metric, scores.value, scores.loss
        ));
        scores.table().iter().for_each(|line| terminal.status(line));
        if options.json {
            terminal.result(serde_json::to_string(&scores)?);
        }
        Ok(())
    })
}

/// Writes the predictions of a head on a split.
pub(super) fn predict(
    options: &PredictArgs,
    terminal: &Terminal,
) -> Result<ExitStatus, CommandError> {
    over_split(&options.run, terminal, |split, predicted, computed| {
        let columns = predictions::file(split, predicted)?;
        if let Some(path) = &options.out {
            write_atomic(path, columns.as_bytes())?;
            terminal.status(format!("Predictions {}", path.display()));
        } else {
            terminal.result(columns.trim_end_matches('\n').to_owned() + "\n");
        }
        if let Some(path) = &options.logits {
            let task = split.table.task;
            if task.has_heads() {
                return Err(CommandError::Option(format!(
                    "--logits: a head for {task} scores pairs of words, not classes; leave the option out, or `extractor export` \
                     a graph that gives the scores"
                )));
            }
            let (head, size) = computed;
            let logits = evaluation::logits(head, split, size)?;
            write_atomic(path, predictions::logits(split, &logits)?.as_bytes())?;
            terminal.status(format!("Logits {}", path.display()));
        }
        Ok(())
    })
}

fn over_split(
    options: &RunArgs,
    terminal: &Terminal,
    then: impl FnOnce(
        &LabelledSplit<'_>,
        &Predictions,
        (&mut AnyHead, BatchSize),
    ) -> Result<(), CommandError>,
) -> Result<ExitStatus, CommandError> {
    let config = Config::load(&options.run).map_err(RunError::from)?;
    let weights_file = run::file(&options.run, WEIGHTS).map_err(RunError::from)?;
    let device = data::device(&options.machine, data::threads(&options.machine), terminal)?;
    let store = data::store(&options.store, device, terminal)?;
    check(&config, &store)?;
    let split = LabelledSplit::open(&store, options.split, config.task)?;
    let placement = Places::streaming(device).placement(split.reader);
    let split = split.placed(placement);
    if split.table.classes != config.classes {
        let (here, there) = (split.table.classes.join(", "), config.classes.join(", "));
        return Err(CommandError::Mismatch(format!(
            "the store's classes are not those the head learned; store: {here}; head: {there}"
        )));
    }
    let mut head = head::build(&config.head, device, config.training.seed)?;
    weights::load(&weights_file, head.parameters())?;
    let predicted = evaluation::predict(head.as_mut(), &split, config.training.batch_size)?;
    let thresholds = config.thresholds(&options.run).map_err(RunError::from)?;
    let predicted = predicted.with_thresholds(Some(thresholds));
    if let Some(warning) = finish::loss_warning(&predicted, split.name) {
        terminal.warn(warning);
    }
    then(
        &split,
        &predicted,
        (head.as_mut(), config.training.batch_size),
    )?;
    Ok(ExitStatus::Success)
}

/// Refuses a store of another encoder than the head was trained on; the data set may be another.
fn check(config: &Config, store: &Store) -> Result<(), CommandError> {
    let (trained, here) = (&config.store, store.manifest());
    let fields = [
        (
            "model.weights_digest",
            trained.model.weights_digest.clone(),
            here.model.weights_digest.clone(),
        ),
        (
            "tokenizer_digest",
            trained.tokenizer_digest.clone(),
            here.tokenizer_digest.clone(),
        ),
        (
            "layers",
            format!("{:?}", trained.layers),
            format!("{:?}", here.layers),
        ),
        (
            "hidden",
            trained.hidden.to_string(),
            here.hidden.to_string(),
        ),
    ];
    let differing = fields.iter().filter(|(_, trained, here)| trained != here);
    let differing: Vec<String> = differing
        .map(|(field, trained, here)| format!("\n  {field}: head {trained}, store {here}"))
        .collect();
    if differing.is_empty() {
        return Ok(());
    }
    let (path, model, list) = (
        store.path().display(),
        trained.model.name(),
        differing.concat(),
    );
    Err(CommandError::Mismatch(format!(
        "{path} holds other activations than the head was trained on; extract with {model}{list}"
    )))
}
