//! Sentences to label, read ahead on a thread of their own: from a file as many at a time as are
//! labelled together, from a pipe no longer than the next one takes to come, so that whoever writes
//! into it gets an answer to each line.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use clap::ValueEnum;
use shared::datasets::{Line, LineError, Lines, is_blank, texts_of_json};
use shared::signals::StopFlag;

use super::PredictError;
use super::pair::{columns_of_pair, pair};
use super::sentence::{Sentence, separated, text};

/// The longest line.
const LONGEST: usize = 1 << 20;
/// Sentences that are read ahead.
const AHEAD: usize = 256;
/// How much text is labelled together: sentences, and words of sentences, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portion {
    /// Sentences.
    pub sentences: usize,
    /// Words.
    pub words: usize,
}

impl Portion {
    /// Enough for the batches of a CPU.
    pub const FOR_CPU: Self = Self {
        sentences: 512,
        words: 16_384,
    };
    /// Enough for several of the large batches of a GPU, so that sentences of similar length come
    /// together.
    pub const FOR_GPU: Self = Self {
        sentences: 8_192,
        words: 131_072,
    };
}

/// How long to wait for another sentence from a pipe, and how often to look whether a stop was
/// asked for.
const BURST: Duration = Duration::from_millis(10);
const LOOK: Duration = Duration::from_millis(100);

/// How the input is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InputFormat {
    /// A sentence a line, cut into words at white space and punctuation.
    Text,
    /// A sentence a line, words separated by white space.
    Words,
    /// A word a line, in a column; sentences separated by empty lines.
    Columns,
    /// CoNLL-U.
    Conllu,
    /// A JSON object a line, with a text, or the two of a pair, under the names that data sets have
    /// for them.
    Jsonl,
}

impl InputFormat {
    /// By the ending of a file's name; text where it tells nothing.
    #[must_use]
    pub fn by_ending(path: &Path) -> Self {
        let name = path.to_string_lossy().to_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "conllu" => Self::Conllu,
            "jsonl" | "ndjson" => Self::Jsonl,
            "conll" | "conll03" | "iob" | "iob1" | "iob2" | "bio" | "bioes" | "bilou" | "ner" => {
                Self::Columns
            }
            _ => Self::Text,
        }
    }
}

/// Where sentences come from.
#[derive(Debug, Clone)]
pub struct Input {
    /// A file; none for standard input.
    pub path: Option<PathBuf>,
    /// How it is written.
    pub format: InputFormat,
    /// The column of the words, from 0.
    pub column: usize,
    /// Cut raw text at white space alone: what heads that label whole texts are trained on.
    pub whole_texts: bool,
    /// Two texts a line: what heads that label pairs of texts are trained on.
    pub pairs: bool,
}

impl Input {
    /// What errors call it.
    #[must_use]
    pub fn name(&self) -> PathBuf {
        self.path
            .clone()
            .unwrap_or_else(|| PathBuf::from("standard input"))
    }

    /// Starts to read.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(self) -> Result<Stream, PredictError> {
        let (live, bytes) = self
            .kind()
            .map_err(|source| PredictError::NoInput { source })?;
        let (sender, receiver) = sync_channel(AHEAD);
        // It ends with the input, or when nobody takes its sentences; a read that never returns
        // ends with the program.
        std::thread::spawn(move || {
            let mut reader = Reader {
                input: &self,
                sender,
                sentence: Sentence::default(),
            };
            if let Err(error) = reader.read() {
                let _ = reader.sender.send(Err(error));
            }
        });
        Ok(Stream {
            receiver,
            live,
            failed: None,
            bytes,
        })
    }

    /// Whether somebody may be waiting for answers, and the bytes of a plain file.
    fn kind(&self) -> io::Result<(bool, Option<u64>)> {
        use std::os::fd::AsFd;
        let metadata = if let Some(path) = &self.path {
            let file = fs_err::File::open(path)?;
            let metadata = file.metadata()?;
            if metadata.is_dir() {
                let folder = format!("{} is a folder", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, folder));
            }
            metadata
        } else {
            let input = io::stdin().as_fd().try_clone_to_owned()?;
            std::fs::File::from(input).metadata()?
        };
        let plain = metadata.is_file();
        Ok((!plain, plain.then_some(metadata.len())))
    }
}

/// Sentences as they come.
pub struct Stream {
    receiver: Receiver<Result<Sentence, PredictError>>,
    live: bool,
    failed: Option<PredictError>,
    /// Bytes of a plain file.
    pub bytes: Option<u64>,
}

impl Stream {
    /// The next sentences, to be labelled together; none at the end, or when a stop was asked for.
    /// What was read before an error comes before it.
    ///
    /// # Errors
    /// When the input cannot be read further.
    pub fn next(&mut self, most: Portion, stop: &StopFlag) -> Result<Vec<Sentence>, PredictError> {
        let mut sentences = Vec::new();
        let mut words = 0;
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        while sentences.len() < most.sentences && words < most.words && !stop.stopped() {
            let answer = self.live && !sentences.is_empty();
            match self
                .receiver
                .recv_timeout(if answer { BURST } else { LOOK })
            {
                Ok(Ok(sentence)) => {
                    words += sentence.words.len();
                    sentences.push(sentence);
                }
                Ok(Err(error)) if sentences.is_empty() => return Err(error),
                Ok(Err(error)) => {
                    self.failed = Some(error);
                    break;
                }
                Err(RecvTimeoutError::Timeout) if answer => break,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(sentences)
    }
}

/// Reads lines and sends sentences.
struct Reader<'i> {
    input: &'i Input,
    sender: SyncSender<Result<Sentence, PredictError>>,
    /// Of a column file, up to now.
    sentence: Sentence,
}

/// Nobody takes the sentences any more.
struct Gone;

impl Reader<'_> {
    fn read(&mut self) -> Result<(), PredictError> {
        let name = self.input.name();
        let mut lines = match &self.input.path {
            Some(path) => Lines::open(path)?,
            None => Lines::from_reader(&name, io::stdin())?,
        };
        // Columns of the first line with a word, which tell comments from words that begin with
        // `#`.
        let mut columns = None;
        while let Some(line) = lines.next()? {
            if line.text.len() > LONGEST {
                return Err(line.error(LineError::TooLong { limit: LONGEST }).into());
            }
            let sent = match self.input.format {
                InputFormat::Jsonl => self.send(self.json(&line)?),
                InputFormat::Text | InputFormat::Words if self.input.pairs => {
                    self.send(columns_of_pair(&line)?)
                }
                InputFormat::Text => {
                    self.send(text(line.text, line.number, self.input.whole_texts))
                }
                InputFormat::Words => self.send(separated(line.text, line.number)),
                InputFormat::Columns | InputFormat::Conllu => self.column(&line, &mut columns)?,
            };
            if sent.is_err() {
                return Ok(());
            }
        }
        if !self.sentence.words.is_empty() {
            let last = std::mem::take(&mut self.sentence);
            let _ = self.send(last);
        }
        Ok(())
    }

    fn send(&self, sentence: Sentence) -> Result<(), Gone> {
        self.sender.send(Ok(sentence)).map_err(|_| Gone)
    }

    /// A line of JSON.
    fn json(&self, line: &Line<'_>) -> Result<Sentence, PredictError> {
        if is_blank(line.text) {
            return Ok(separated(line.text, line.number));
        }
        let texts = texts_of_json(line.text).map_err(|cause| line.error(cause))?;
        let (first, second) = texts;
        match (self.input.pairs, second) {
            (true, Some(second)) => Ok(pair(line, [first, second])),
            (true, None) => {
                let column = "a second field, such as text_pair".to_owned();
                Err(line.error(LineError::NoSecondText { column }).into())
            }
            (false, Some(_)) => {
                let expected = "one text: the head was trained on single texts".to_owned();
                let got = "a pair of texts".to_owned();
                Err(line.error(LineError::Fields { expected, got }).into())
            }
            (false, None) => {
                let sentence = text(&first, line.number, self.input.whole_texts);
                Ok(Sentence {
                    bytes: line.text.len() + 1,
                    ..sentence
                })
            }
        }
    }

    /// Takes a line of a column file.
    fn column(
        &mut self,
        line: &Line<'_>,
        columns: &mut Option<usize>,
    ) -> Result<Result<(), Gone>, PredictError> {
        self.sentence.bytes += line.text.len() + 1;
        if is_blank(line.text) || line.text.starts_with("-DOCSTART-") {
            if self.sentence.words.is_empty() {
                return Ok(Ok(()));
            }
            let sentence = std::mem::take(&mut self.sentence);
            return Ok(self.send(sentence));
        }
        let conllu = self.input.format == InputFormat::Conllu;
        let fields: Vec<&str> = if line.text.contains('\t') {
            line.text
                .split('\t')
                .map(|field| field.trim_matches(' '))
                .collect()
        } else {
            line.text.split_ascii_whitespace().collect()
        };
        if line.text.starts_with('#') && (conllu || *columns != Some(fields.len())) {
            return Ok(Ok(()));
        }
        columns.get_or_insert(fields.len());
        // `8-9` is a contraction whose parts follow, `8.1` a word that is not in the text.
        if conllu && fields[0].contains(['-', '.']) {
            return Ok(Ok(()));
        }
        let Some(word) = fields.get(self.input.column) else {
            return Err(PredictError::Column {
                path: self.input.name(),
                line: line.number,
                column: self.input.column,
                got: fields.len(),
            });
        };
        if self.sentence.words.is_empty() {
            self.sentence.line = line.number;
        }
        // An empty word is read as extraction reads it.
        let word = if word.is_empty() { "\u{fffd}" } else { *word };
        self.sentence.words.push(word.to_owned());
        Ok(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: InputFormat, column: usize, text: &str) -> Result<Vec<Sentence>, PredictError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        fs_err::write(&path, text).unwrap();
        let input = Input {
            path: Some(path),
            format,
            column,
            whole_texts: false,
            pairs: false,
        };
        let mut stream = input.open()?;
        let mut all = Vec::new();
        loop {
            let sentences = stream.next(Portion::FOR_CPU, &StopFlag::default())?;
            if sentences.is_empty() {
                return Ok(all);
            }
            all.extend(sentences);
        }
    }

    fn words_of(sentences: &[Sentence]) -> Vec<Vec<&str>> {
        fn words(sentence: &Sentence) -> Vec<&str> {
            sentence.words.iter().map(String::as_str).collect()
        }
        sentences.iter().map(words).collect()
    }

    #[test]
    fn raw_text_keeps_its_places_in_characters() {
        let sentences = read(InputFormat::Text, 0, "Ärger, Bo!\n\nx").unwrap();
        assert_eq!(
            words_of(&sentences),
            [vec!["Ärger", ",", "Bo", "!"], vec![], vec!["x"]]
        );
        let (_, places) = sentences[0].source.as_ref().unwrap();
        assert_eq!(*places, [(0, 5), (5, 6), (7, 9), (9, 10)]);
        assert_eq!(sentences[2].line, 3);
    }

    #[test]
    fn columns_are_read_without_comments_and_boundaries() {
        let file = "# id 1\n-DOCSTART- O\n\nThe\tO\n#tag\tO\n# a comment\n\n\nEnd\tO";
        let sentences = read(InputFormat::Columns, 0, file).unwrap();
        assert_eq!(words_of(&sentences), [vec!["The", "#tag"], vec!["End"]]);
        assert_eq!((sentences[0].line, sentences[1].line), (4, 9));
        let error = read(InputFormat::Columns, 2, "a O x\nb O\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("text:2: words are read from column 2"),
            "{error}"
        );
    }

    #[test]
    fn conllu_has_contractions_and_unspoken_words_left_out() {
        let file = "# text = du\n1-2\tdu\t_\n1\tde\t_\n2\tle\t_\n2.1\tx\t_\n\n";
        let sentences = read(InputFormat::Conllu, 1, file).unwrap();
        assert_eq!(words_of(&sentences), [vec!["de", "le"]]);
    }

    #[test]
    fn bad_lines_are_told_after_the_good_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        fs_err::write(&path, b"good\n\xff\n").unwrap();
        let input = Input {
            path: Some(path.clone()),
            format: InputFormat::Text,
            column: 0,
            whole_texts: false,
            pairs: false,
        };
        let mut stream = input.clone().open().unwrap();
        let stop = StopFlag::default();
        assert_eq!(stream.next(Portion::FOR_CPU, &stop).unwrap().len(), 1);
        let error = stream
            .next(Portion::FOR_CPU, &stop)
            .unwrap_err()
            .to_string();
        assert!(error.contains("text:2: not UTF-8"), "{error}");
        fs_err::write(&path, "x".repeat(LONGEST + 1)).unwrap();
        let error = input
            .open()
            .unwrap()
            .next(Portion::FOR_CPU, &stop)
            .unwrap_err()
            .to_string();
        assert!(error.contains("longer than 1048576 bytes"), "{error}");
    }

    #[test]
    fn endings_tell_columns_from_text() {
        for (name, format) in [
            ("a.conllu", InputFormat::Conllu),
            ("b.CONLL.gz", InputFormat::Columns),
            ("c.txt", InputFormat::Text),
            ("d", InputFormat::Text),
        ] {
            assert_eq!(InputFormat::by_ending(Path::new(name)), format, "{name}");
        }
    }
}
