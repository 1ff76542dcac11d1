//! The header of a safetensors file (<https://huggingface.co/docs/safetensors>, "Format"), for
//! checkpoints that the developer commands make up.

use serde_json::{Map, Value, json};

/// What stands before the numbers of a file.
pub(crate) struct Header {
    /// Its length and itself.
    pub(crate) bytes: Vec<u8>,
    /// Bytes of the numbers.
    pub(crate) numbers: u64,
}

impl Header {
    /// Of tensors one after another, each with its name, number format, bytes of a number, and shape.
    pub(crate) fn new(tensors: impl Iterator<Item = (String, String, u64, Vec<u64>)>) -> Self {
        let (mut entries, mut end) = (Map::new(), 0);
        for (name, dtype, bytes, shape) in tensors {
            let begin = end;
            end += bytes * shape.iter().product::<u64>();
            let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, end]});
            entries.insert(name, entry);
        }
        let mut text = Value::Object(entries).to_string();
        // Tensors begin at multiples of eight.
        while !text.len().is_multiple_of(8) {
            text.push(' ');
        }
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.into_bytes());
        Self {
            bytes,
            numbers: end,
        }
    }

    /// Bytes of the whole file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.bytes.len() as u64 + self.numbers
    }
}
