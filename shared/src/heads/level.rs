//! What gets a class, as `config.json` of a run writes it: `token` or `sequence`. To be given to
//! `#[serde(with)]`.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

use crate::tasks::Level;

const TOKEN: &str = "token";
const SEQUENCE: &str = "sequence";

/// Its name in `config.json`.
#[must_use]
pub fn name(level: Level) -> &'static str {
    match level {
        Level::Token => TOKEN,
        Level::Sentence => SEQUENCE,
    }
}

/// Writes the name.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(level: &Level, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name(*level))
}

/// Reads the name.
///
/// # Errors
/// When it is another one.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        TOKEN => Ok(Level::Token),
        SEQUENCE => Ok(Level::Sentence),
        other => Err(D::Error::unknown_variant(other, &[TOKEN, SEQUENCE])),
    }
}
