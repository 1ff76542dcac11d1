//! `extractor predict`: labels new text with the head of a run.

use std::io::ErrorKind;
use std::path::PathBuf;

use clap::Args;
use hub::model::Need;
use shared::device::DeviceChoice;
use shared::exit::ExitStatus;
use shared::signals::StopFlag;
use shared::terminal::{Progress, Terminal};

use super::error::CliError;
use super::source;
use crate::encoder::{EncoderOptions, LayerSelection, runtime};
use crate::graph::ComputeDtype;
use crate::head::{Level, Run};
use crate::model::ModelFiles;
use crate::predict::{Input, InputFormat, OutputFormat, Sentence, Tagger, Writer};

/// A run, and where its encoder is.
#[derive(Debug, Args)]
pub(super) struct RunOptions {
    /// Folder of the run whose head labels.
    #[arg(long, value_name = "DIR", help_heading = "Head")]
    pub(super) run: PathBuf,
    /// The encoder that the head was trained with: a folder, or a name on the hub. Needed where the
    /// store was made from a folder; else the run knows name and revision.
    #[arg(long, value_name = "ID|DIR", help_heading = "Head")]
    pub(super) model: Option<String>,
    /// Branch, tag or commit of a model of the hub; the one that the head was trained with by
    /// default.
    #[arg(long, value_name = "REVISION", help_heading = "Head")]
    pub(super) revision: Option<String>,
}

/// Options of `extractor predict`.
#[derive(Debug, Args)]
pub(super) struct PredictOptions {
    #[command(flatten)]
    pub(super) head: RunOptions,
    /// The text, a file or - for standard input; .gz files are unpacked.
    #[arg(
        long,
        value_name = "FILE|-",
        default_value = "-",
        help_heading = "Text"
    )]
    input: PathBuf,
    /// How the text is written; told by the file's ending (.conllu, .conll, .bio, ...), else text.
    #[arg(long, visible_alias = "format", value_enum, help_heading = "Text")]
    input_format: Option<InputFormat>,
    /// Column of the words, from 0, in columns and CoNLL-U; 0 and 1 by default.
    #[arg(long, value_name = "N", help_heading = "Text")]
    token_column: Option<usize>,
    /// How the labelled text is written to stdout: conll by default, jsonl for pairs of texts,
    /// which have no columns.
    #[arg(long, value_enum, help_heading = "Text")]
    output_format: Option<OutputFormat>,
    /// Number format of the encoder's weights and arithmetic; f16 and bf16 need a GPU. The head
    /// computes in f32.
    #[arg(long, value_enum, default_value = "f32", help_heading = "Machine")]
    dtype: ComputeDtype,
    /// auto, cpu, cuda or cuda:N; cuda never falls back to the CPU.
    #[arg(long, default_value = "auto", help_heading = "Machine")]
    device: DeviceChoice,
    /// Most tokens of a batch, padding included: 2048 on a CPU by default, 16384 on a GPU, or what
    /// its memory holds.
    #[arg(long, value_name = "N", help_heading = "Machine")]
    max_batch_tokens: Option<usize>,
    /// Threads; the job's share of the machine by default.
    #[arg(long, value_name = "N", help_heading = "Machine")]
    threads: Option<usize>,
}

impl PredictOptions {
    fn input(&self, run: &Run) -> Input {
        let path = (self.input.as_os_str() != "-").then(|| self.input.clone());
        let told = path.as_deref().map(InputFormat::by_ending);
        let format = self.input_format.or(told).unwrap_or(InputFormat::Text);
        let usual = usize::from(format == InputFormat::Conllu);
        Input {
            path,
            format,
            column: self.token_column.unwrap_or(usual),
            whole_texts: run.head.level == Level::Sentence,
            pairs: run.head.level == Level::Sentence && run.store.dataset.pairs,
        }
    }
}

pub(super) fn run(options: &PredictOptions, terminal: &Terminal) -> Result<ExitStatus, CliError> {
    let stop = shared::signals::install()?;
    if options.max_batch_tokens == Some(0) {
        return Err(CliError::usage(
            "--max-batch-tokens 0 leaves no room for a token",
            "give at least 1",
        ));
    }
    let run = Run::open(&options.head.run)?;
    let input = options.input(&run);
    let format = match (options.output_format, input.pairs) {
        (Some(OutputFormat::Conll), true) => {
            return Err(CliError::usage(
                "--output-format conll has no columns for pairs of texts",
                "jsonl and inline keep both texts apart",
            ));
        }
        (Some(format), _) => format,
        (None, true) => OutputFormat::Jsonl,
        (None, false) => OutputFormat::Conll,
    };
    let name = input.name();
    // The input is opened before the encoder is loaded: a wrong name shows at once.
    let mut stream = input.open()?;
    let files = encoder(&options.head, &run, terminal, &stop)?;
    let (device, others) = runtime::devices(&options.device)?;
    if !others.is_empty() {
        return Err(CliError::usage(
            format!("--device {}: predict uses one GPU", options.device),
            "give one, or divide the text among several runs",
        ));
    }
    let encoder = EncoderOptions {
        device,
        threads: options.threads.unwrap_or_else(shared::resources::threads),
        layers: LayerSelection::all(),
        dtype: options.dtype,
        ..EncoderOptions::default()
    };
    let started = std::time::Instant::now();
    let mut tagger = Tagger::load(&files, &run, &encoder, options.max_batch_tokens)?;
    for note in tagger.tokenizer_notes() {
        terminal.status(format!("tokenizer  {note}"));
    }
    for note in tagger.notes() {
        terminal.warn(note);
    }
    terminal.status(format!(
        "{} with {} on {}, {} threads, ready after {:.1} s",
        run.folder.display(),
        files.id,
        tagger.provider(),
        encoder.threads,
        started.elapsed().as_secs_f64()
    ));
    let writer = Writer {
        format,
        task: run.task,
        classes: run.classes,
    };
    let progress = stream
        .bytes
        .map(|bytes| terminal.progress("labelling", bytes, "bytes"));
    let mut done = Done::default();
    loop {
        let sentences = stream.next(tagger.portion(), &stop)?;
        if sentences.is_empty() {
            break;
        }
        let mut out = String::new();
        for (sentence, labels) in sentences.iter().zip(tagger.label(&sentences)?) {
            writer.write(sentence, &labels, &mut out);
        }
        match terminal.stream(&out) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitStatus::Success),
            written => written?,
        }
        done.add(&sentences, progress.as_ref());
    }
    if let Some(progress) = progress {
        progress.finish();
    }
    Ok(done.report(&name.display().to_string(), &stop, terminal))
}

/// What was labelled.
#[derive(Default)]
struct Done {
    sentences: usize,
    words: usize,
}

impl Done {
    fn add(&mut self, sentences: &[Sentence], progress: Option<&Progress>) {
        self.sentences += sentences.len();
        self.words += sentences
            .iter()
            .map(|sentence| sentence.words.len())
            .sum::<usize>();
        let bytes: usize = sentences.iter().map(|sentence| sentence.bytes).sum();
        if let Some(progress) = progress {
            progress.inc(bytes as u64);
        }
    }

    fn report(&self, name: &str, stop: &StopFlag, terminal: &Terminal) -> ExitStatus {
        let Self { sentences, words } = self;
        if stop.stopped() {
            terminal.warn(format!(
                "stopped by a signal after {sentences} sentences; what was labelled is written"
            ));
            return ExitStatus::Interrupted;
        }
        if *words == 0 {
            terminal.warn(format!("{name} has no words in it: nothing was labelled"));
        } else {
            terminal.status(format!("{sentences} sentences, {words} words"));
        }
        ExitStatus::Success
    }
}

/// The files of the run's encoder, fetched if they have to be.
pub(super) fn encoder(
    options: &RunOptions,
    run: &Run,
    terminal: &Terminal,
    stop: &StopFlag,
) -> Result<ModelFiles, CliError> {
    let trained = &run.store.model;
    let model = options.model.as_deref().unwrap_or(&trained.id);
    let from_hub = trained.revision.as_deref();
    if options.model.is_none() && from_hub.is_none() && !hub::model::is_folder(model) {
        return Err(CliError::usage(
            format!(
                "{}: the head was trained with an encoder from a folder called {model}, which is not here",
                run.folder.display()
            ),
            "--model DIR says where the folder is now",
        ));
    }
    // The revision belongs to the name that was trained with.
    let revision = options.revision.as_deref();
    let revision = revision.or(from_hub.filter(|_| model == trained.id));
    let revision = if hub::model::is_folder(model) {
        options.revision.as_deref()
    } else {
        revision
    };
    source::named(
        model,
        revision,
        trained.random_seed,
        Need::All,
        (terminal, stop),
    )
}
