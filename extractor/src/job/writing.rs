//! The threads that fill the store while the encoder runs: one writes rows, and one seals the parts
//! that have all of theirs, so that neither the encoder nor the next part's rows wait for a disk to
//! sync.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use cache::{PartStatistics, PartWriter, StoreError};

use super::convert::Rows;
use super::error::JobError;

/// Batches that may wait for the disk: with the one being written and the one being filled, four
/// are in memory.
const WAITING: usize = 2;

/// Parts that may wait to be sealed while another one is: their files are open.
const WAITING_PARTS: usize = 1;

/// What the writing thread is told.
pub(super) enum Message {
    /// A part begins; the one before it is finished.
    Begin(Box<PartWriter>),
    /// Rows of the part.
    Rows(Rows),
    /// The part has all its rows.
    Finish(PartStatistics),
    /// The part will not be finished.
    Drop,
}

/// The encoder's end of the channel to the writing thread.
pub(super) struct Writing<'scope> {
    messages: SyncSender<Message>,
    spares: Receiver<Rows>,
    thread: ScopedJoinHandle<'scope, Result<Duration, StoreError>>,
}

impl<'scope> Writing<'scope> {
    pub(super) fn start(scope: &'scope Scope<'scope, '_>) -> Self {
        let (messages, received) = sync_channel(WAITING);
        let (returned, spares) = channel();
        let thread = scope.spawn(move || write_and_seal(received, &returned));
        Self {
            messages,
            spares,
            thread,
        }
    }

    /// Hands a message over; waits while the thread is behind. Fails when the thread has ended,
    /// whose result tells why.
    pub(super) fn send(&self, message: Message) -> Result<(), JobError> {
        self.messages.send(message).map_err(|_| JobError::Thread)
    }

    /// Memory of rows that are written, to be used again.
    pub(super) fn spare(&self) -> Rows {
        self.spares.try_recv().unwrap_or_default()
    }

    /// Waits until what was handed over is written and sealed; how long that took, both threads'
    /// time added.
    pub(super) fn end(self) -> Result<Duration, JobError> {
        drop(self.messages);
        match self.thread.join() {
            Ok(busy) => Ok(busy?),
            Err(_) => Err(JobError::Thread),
        }
    }
}

/// A part that has all its rows, and the statistics of them.
type Whole = (Box<PartWriter>, PartStatistics);

fn write_and_seal(
    messages: Receiver<Message>,
    spares: &Sender<Rows>,
) -> Result<Duration, StoreError> {
    std::thread::scope(|scope| {
        let (whole, received) = sync_channel(WAITING_PARTS);
        let sealing = scope.spawn(move || seal(&received));
        let written = write(messages, spares, &whole, &sealing);
        drop(whole);
        match sealing.join() {
            // Of two errors, the one of the part that was written first.
            Ok(sealed) => Ok(sealed? + written?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Writes until there are no more messages, or a part could not be sealed.
#[expect(
    clippy::needless_pass_by_value,
    reason = "whoever sends messages must learn that nobody takes them, before a part is sealed"
)]
fn write(
    messages: Receiver<Message>,
    spares: &Sender<Rows>,
    whole: &SyncSender<Whole>,
    sealing: &ScopedJoinHandle<'_, Result<Duration, StoreError>>,
) -> Result<Duration, StoreError> {
    let mut busy = Duration::ZERO;
    let mut part: Option<Box<PartWriter>> = None;
    for message in &messages {
        // It ends before its time only with an error.
        if sealing.is_finished() {
            break;
        }
        match message {
            Message::Begin(begun) => part = Some(begun),
            Message::Rows(mut rows) => {
                let started = Instant::now();
                if let Some(part) = &mut part {
                    write_rows(part, &rows)?;
                }
                busy += started.elapsed();
                rows.clear();
                // When nobody takes it back, the extraction is ending.
                let _ = spares.send(rows);
            }
            Message::Finish(statistics) => {
                let whole_part = part.take().map(|part| (part, statistics));
                if whole_part.is_some_and(|part| whole.send(part).is_err()) {
                    break;
                }
            }
            Message::Drop => part = None,
        }
    }
    Ok(busy)
}

/// Rows that a GPU made come faster than one thread writes, and the CPU has nothing else to do;
/// where the CPU is the encoder, one thread is enough and takes nothing away from it.
fn write_rows(part: &mut PartWriter, rows: &Rows) -> Result<(), StoreError> {
    let bytes = rows.bytes();
    if rows.are_made_by_graph() {
        return part.write_pieces(&rows.pieces, bytes);
    }
    let row_bytes = bytes.len() / usize::try_from(rows.tokens()).unwrap_or(usize::MAX).max(1);
    let mut at = 0;
    for &(first_token, tokens) in &rows.pieces {
        let end = at + tokens * row_bytes;
        part.write(first_token, &bytes[at..end])?;
        at = end;
    }
    Ok(())
}

/// Seals parts in the order in which they come, until there are no more or one cannot be sealed.
fn seal(parts: &Receiver<Whole>) -> Result<Duration, StoreError> {
    let mut busy = Duration::ZERO;
    for (part, statistics) in parts {
        let started = Instant::now();
        part.finish(&statistics)?;
        busy += started.elapsed();
    }
    Ok(busy)
}

#[cfg(test)]
mod tests {
    use cache::{OpenMode, Opened, SplitTables, StoreWriter};
    use serde_json::json;
    use shared::datasets::SplitName;

    use super::*;

    /// A store of two parts of 4 tokens, of 4 bytes each.
    fn store(folder: &std::path::Path) -> StoreWriter {
        let table = SplitTables {
            name: SplitName::Train,
            offsets: vec![0, 4, 8],
            sentence_of: vec![0, 1],
            input_ids: vec![1; 8],
            word_ids: vec![-1; 8],
            words: vec![Vec::new(); 2],
            second_text: Vec::new(),
            labels: Vec::new(),
        };
        let manifest = json!({
            "format_version": cache::FORMAT_VERSION,
            "model": {
                "id": "m", "revision": null, "weights_digest": "", "family": "bert", "layers_in_model": 1,
            },
            "tokenizer_digest": "",
            "dataset": { "id": "d", "digest": "", "task": "pos", "scheme": null },
            "splits": { "train": table.size() },
            "max_length": 8, "long": "split", "long_sentences": 0,
            "layers": [0], "hidden": 2, "compute_dtype": "float32", "max_batch_tokens": 8,
            "store_dtype": "float16", "codec": "none", "provider": "cpu",
            "chunk_tokens": 2, "file_tokens": 2, "part_files": 2, "versions": {},
        });
        let manifest = serde_json::from_value(manifest).unwrap();
        match StoreWriter::open(folder, &manifest, &[table], OpenMode::Resume).unwrap() {
            Opened::Writer(writer) => writer,
            Opened::Complete(_) => panic!("it is complete already"),
        }
    }

    fn begin(store: &StoreWriter, part: usize) -> Message {
        Message::Begin(Box::new(store.begin(&store.parts()[part]).unwrap()))
    }

    fn rows(first: u64) -> Message {
        let mut rows = Rows::default();
        rows.pieces.push((first, 4));
        rows.fill(&[7; 16]);
        Message::Rows(rows)
    }

    #[test]
    fn parts_are_written_and_sealed_and_one_that_is_dropped_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        std::thread::scope(|scope| {
            let writing = Writing::start(scope);
            for (part, is_whole) in [(0, true), (1, false)] {
                writing.send(begin(&store, part)).unwrap();
                writing.send(rows(4 * part as u64)).unwrap();
                let end = Message::Finish(PartStatistics::new(1));
                let end = if is_whole { end } else { Message::Drop };
                writing.send(end).unwrap();
            }
            writing.end().unwrap();
        });
        let done: Vec<bool> = store
            .parts()
            .iter()
            .map(|part| store.is_done(part))
            .collect();
        assert_eq!(done, [true, false]);
    }

    #[test]
    fn a_part_that_cannot_be_sealed_stops_the_writing_and_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        std::thread::scope(|scope| {
            let writing = Writing::start(scope);
            writing.send(begin(&store, 0)).unwrap();
            writing
                .send(Message::Finish(PartStatistics::new(1)))
                .unwrap();
            writing.send(begin(&store, 1)).unwrap();
            // Until the thread learns of it.
            while writing.send(rows(4)).is_ok() {}
            let error = writing.end().unwrap_err();
            assert!(
                error.to_string().contains("token 0 was never written"),
                "{error}"
            );
        });
        assert!(
            store.begin(&store.parts()[1]).is_ok(),
            "its claim is given back"
        );
    }
}
