//! TensorBoard event files. Researchers watch runs side by side in TensorBoard, so every run leaves a file
//! that it reads; the little of the two formats that scalars need is written here by hand.
//!
//! Sources: the record framing of TensorFlow's `TFRecord` files (length, masked CRC of the length, data,
//! masked CRC of the data) and the field numbers of TensorBoard's `event.proto` and `summary.proto`.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use fs_err::File;

/// What TensorBoard expects in the first record of a file.
const FILE_VERSION: &str = "brain.Event:2";

/// One event file that grows by scalars.
#[derive(Debug)]
pub struct EventFile {
    file: BufWriter<File>,
}

impl EventFile {
    /// Starts a new event file in `folder`.
    ///
    /// With `first_step` above zero, steps from there on that earlier files of the folder hold are void:
    /// they come from a run that was killed and is now going on from an earlier checkpoint.
    ///
    /// # Errors
    /// When the file cannot be made or written; the error names it.
    pub fn create(folder: &Path, first_step: u64) -> std::io::Result<Self> {
        let mut file = Self {
            file: BufWriter::new(File::create(file_name(folder))?),
        };
        file.write(Event {
            step: 0,
            what: What::FileVersion,
        })?;
        if first_step > 0 {
            file.write(Event {
                step: first_step,
                what: What::SessionStart,
            })?;
        }
        file.flush()?;
        Ok(file)
    }

    /// Adds the number `value` under `tag` (such as `train/loss`) at `step`.
    ///
    /// # Errors
    /// When the file cannot be written.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "TensorBoard's scalars are 32 bits wide"
    )]
    pub fn scalar(&mut self, tag: &str, step: u64, value: f64) -> std::io::Result<()> {
        self.write(Event {
            step,
            what: What::Scalar {
                tag,
                value: value as f32,
            },
        })
    }

    /// Hands everything written so far to the operating system.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }

    fn write(&mut self, event: Event<'_>) -> std::io::Result<()> {
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        self.file.write_all(&record(&event.encode(time)))
    }
}

/// A name that TensorBoard recognises and that sorts by time; the process id keeps two runs apart.
fn file_name(folder: &Path) -> PathBuf {
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let host = fs_err::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host
        .trim()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    let host = if host.is_empty() { "localhost" } else { &host };
    folder.join(format!(
        "events.out.tfevents.{:010}.{host}.{}.{}",
        time.as_secs(),
        std::process::id(),
        time.subsec_nanos()
    ))
}

/// One `Event` message.
#[derive(Clone, Copy, Debug)]
struct Event<'a> {
    step: u64,
    what: What<'a>,
}

#[derive(Clone, Copy, Debug)]
enum What<'a> {
    FileVersion,
    SessionStart,
    Scalar { tag: &'a str, value: f32 },
}

impl Event<'_> {
    fn encode(&self, wall_time: f64) -> Vec<u8> {
        let mut event = Vec::new();
        event.push(key(1, 1));
        event.extend(wall_time.to_le_bytes());
        event.push(key(2, 0));
        varint(&mut event, self.step);
        match self.what {
            What::FileVersion => bytes(&mut event, 3, FILE_VERSION.as_bytes()),
            // SessionLog { status: START }
            What::SessionStart => bytes(&mut event, 7, &[key(1, 0), 1]),
            What::Scalar { tag, value } => {
                let mut scalar = Vec::new();
                bytes(&mut scalar, 1, tag.as_bytes());
                scalar.push(key(2, 5));
                scalar.extend(value.to_le_bytes());
                let mut summary = Vec::new();
                bytes(&mut summary, 1, &scalar);
                bytes(&mut event, 5, &summary);
            }
        }
        event
    }
}

/// A field's number and wire type, for numbers below 16.
const fn key(field: u8, wire_type: u8) -> u8 {
    field << 3 | wire_type
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    out.push(key(field, 2));
    varint(out, content.len() as u64);
    out.extend(content);
}

/// Frames `data` as one `TFRecord`.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_crc(data).to_le_bytes());
    record
}

/// A CRC stored beside its data is masked, since the CRC of data that contains its own CRC is constant.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits a file into the data of its records, checking every length and checksum.
    fn records(mut file: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while !file.is_empty() {
            let length =
                usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
            assert_eq!(
                u32::from_le_bytes(file[8..12].try_into().unwrap()),
                masked_crc(&file[..8])
            );
            let data = &file[12..12 + length];
            assert_eq!(
                u32::from_le_bytes(file[12 + length..16 + length].try_into().unwrap()),
                masked_crc(data)
            );
            found.push(data.to_vec());
            file = &file[16 + length..];
        }
        found
    }

    #[test]
    fn a_file_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(folder.path(), 0).unwrap();
        file.scalar("train/loss", 300, 0.5).unwrap();
        file.flush().unwrap();
        let path = fs_err::read_dir(folder.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let records = records(&fs_err::read(path).unwrap());

        assert_eq!(records.len(), 2);
        assert_eq!(&records[0][9..], b"\x10\x00\x1a\x0dbrain.Event:2");
        let scalar = b"\x10\xac\x02\x2a\x13\x0a\x11\x0a\x0atrain/loss\x15\x00\x00\x00\x3f";
        assert_eq!(&records[1][9..], scalar);
        let wall_time = f64::from_le_bytes(records[1][1..9].try_into().unwrap());
        assert!(wall_time > 1.7e9, "a time in seconds: {wall_time}");
    }

    #[test]
    fn a_run_that_goes_on_voids_later_steps() {
        let folder = tempfile::tempdir().unwrap();
        drop(EventFile::create(folder.path(), 7).unwrap());
        let path = fs_err::read_dir(folder.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let records = records(&fs_err::read(path).unwrap());
        assert_eq!(&records[1][9..], b"\x10\x07\x3a\x02\x08\x01");
    }

    /// The CRC of eight zero bytes, and its mask, computed apart.
    #[test]
    fn checksums_are_masked() {
        assert_eq!(crc32c::crc32c(&[0; 8]), 0x8c28_b28a);
        assert_eq!(masked_crc(&[0; 8]), 0x0798_0329);
    }
}
