//! The thread that writes the store while the encoder runs.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use cache::{PartStatistics, PartWriter, StoreError};

use super::convert::Rows;
use super::error::JobError;

/// Batches that may wait for the disk: with the one being written and the one being filled, four
/// are in memory.
const WAITING: usize = 2;

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
        let thread = scope.spawn(move || write(&received, &returned));
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

    /// Waits for the thread to write what it was given; how long it was busy.
    pub(super) fn end(self) -> Result<Duration, JobError> {
        drop(self.messages);
        match self.thread.join() {
            Ok(busy) => Ok(busy?),
            Err(_) => Err(JobError::Thread),
        }
    }
}

fn write(messages: &Receiver<Message>, spares: &Sender<Rows>) -> Result<Duration, StoreError> {
    let mut busy = Duration::ZERO;
    let mut part: Option<Box<PartWriter>> = None;
    for message in messages {
        let started = Instant::now();
        match message {
            Message::Begin(begun) => part = Some(begun),
            Message::Rows(mut rows) => {
                if let Some(part) = &mut part {
                    write_rows(part, &rows)?;
                }
                rows.clear();
                // When nobody takes it back, the extraction is ending.
                let _ = spares.send(rows);
            }
            Message::Finish(statistics) => {
                if let Some(part) = part.take() {
                    part.finish(&statistics)?;
                }
            }
            Message::Drop => part = None,
        }
        busy += started.elapsed();
    }
    Ok(busy)
}

fn write_rows(part: &mut PartWriter, rows: &Rows) -> Result<(), StoreError> {
    let bytes = rows.bytes();
    let row_bytes = bytes.len() / usize::try_from(rows.tokens()).unwrap_or(usize::MAX).max(1);
    let mut at = 0;
    for &(first_token, tokens) in &rows.pieces {
        let end = at + tokens * row_bytes;
        part.write(first_token, &bytes[at..end])?;
        at = end;
    }
    Ok(())
}
