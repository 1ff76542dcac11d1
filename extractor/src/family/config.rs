//! `config.json`: typed access to its fields, with errors that name file and
//! field. A field that is null counts as absent, as it does in transformers.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::FamilyError;

/// A model's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    path: PathBuf,
    fields: Map<String, Value>,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// When the file cannot be read or is not a JSON object.
    pub fn read(path: &Path) -> Result<Self, FamilyError> {
        let text = fs_err::read(path)?;
        let syntax = |problem: String| FamilyError::Syntax {
            path: path.to_owned(),
            problem,
        };
        match serde_json::from_slice(&text) {
            Ok(Value::Object(fields)) => Ok(Self {
                path: path.to_owned(),
                fields,
            }),
            Ok(_) => Err(syntax("expected a JSON object".to_owned())),
            Err(error) => Err(syntax(error.to_string())),
        }
    }

    /// Where it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The error for a field with a value that it cannot have.
    pub(super) fn wrong(&self, field: &str, expected: &str, got: impl Display) -> FamilyError {
        FamilyError::Field {
            path: self.path.clone(),
            field: field.to_owned(),
            expected: expected.to_owned(),
            got: got.to_string(),
        }
    }

    /// Whether there is such a field.
    pub(super) fn has(&self, field: &str) -> bool {
        self.get(field).is_some()
    }

    /// The same configuration with fields under other names, pairs of old and new.
    pub(super) fn renamed(mut self, names: &[(&str, &str)]) -> Self {
        for (old, new) in names {
            if let Some(value) = self.fields.remove(*old) {
                self.fields.insert((*new).to_owned(), value);
            }
        }
        self
    }

    /// An error if `field` is missing, or says anything but `supported`.
    pub(super) fn require(&self, field: &str, supported: &Value) -> Result<(), FamilyError> {
        match self.get(field) {
            None => Err(self.wrong(field, &supported.to_string(), "missing")),
            Some(value) if value == supported => Ok(()),
            Some(value) => Err(self.unsupported(field, value, &supported.to_string())),
        }
    }

    fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    /// A field that must be there, as text.
    pub(crate) fn text(&self, field: &str) -> Result<&str, FamilyError> {
        let expected = "a text";
        let value = self
            .get(field)
            .ok_or_else(|| self.wrong(field, expected, "missing"))?;
        value
            .as_str()
            .ok_or_else(|| self.wrong(field, expected, value))
    }

    /// A text, or what transformers takes where there is none.
    pub(super) fn text_or<'a>(
        &'a self,
        field: &str,
        default: &'a str,
    ) -> Result<&'a str, FamilyError> {
        self.get(field).map_or(Ok(default), |_| self.text(field))
    }

    /// A size that must be there, under one of its names; `names` is not empty.
    pub(crate) fn size(&self, names: &[&str]) -> Result<usize, FamilyError> {
        let found = names.iter().find_map(|name| Some((*name, self.get(name)?)));
        let expected = "a whole number of at least 1";
        let (name, value) = found.ok_or_else(|| self.wrong(names[0], expected, "missing"))?;
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        // Larger sizes are mistakes, and their products would overflow.
        let sensible = size.filter(|size| (1..=1 << 31).contains(size));
        sensible.ok_or_else(|| self.wrong(name, expected, value))
    }

    /// The size of each of so many heads that share the hidden size.
    pub(super) fn head_size(&self, hidden: usize, heads: usize) -> Result<usize, FamilyError> {
        if hidden.is_multiple_of(heads) {
            Ok(hidden / heads)
        } else {
            let expected = format!("a divisor of the hidden size {hidden}");
            Err(self.wrong("num_attention_heads", &expected, heads))
        }
    }

    /// A size, or what transformers takes where there is none.
    pub(super) fn size_or(&self, names: &[&str], default: usize) -> Result<usize, FamilyError> {
        if names.iter().any(|name| self.get(name).is_some()) {
            self.size(names)
        } else {
            Ok(default)
        }
    }

    /// A number of things of which there may be none, or what transformers takes where there is no
    /// such field.
    pub(super) fn count_or(&self, field: &str, default: usize) -> Result<usize, FamilyError> {
        match self.get(field) {
            None => Ok(default),
            Some(value) if value.as_u64() == Some(0) => Ok(0),
            Some(_) => self.size(&[field]),
        }
    }

    /// A size; none where it is less than 1 or not there.
    pub(super) fn positive_or_none(&self, field: &str) -> Result<Option<usize>, FamilyError> {
        match self.get(field) {
            None => Ok(None),
            Some(value) if value.as_i64().is_some_and(|number| number < 1) => Ok(None),
            Some(_) => self.size(&[field]).map(Some),
        }
    }

    /// A token's id, or what transformers takes where there is none.
    pub(super) fn token_or(&self, field: &str, default: i32) -> Result<i32, FamilyError> {
        let Some(value) = self.fields.get(field) else {
            return Ok(default);
        };
        let id = value
            .as_i64()
            .and_then(|id| i32::try_from(id).ok())
            .filter(|id| *id >= 0);
        id.ok_or_else(|| self.wrong(field, "a token's id", value))
    }

    /// A token's id that must be there.
    pub(super) fn token(&self, field: &str) -> Result<i32, FamilyError> {
        if self.get(field).is_none() {
            return Err(self.wrong(field, "a token's id", "missing"));
        }
        self.token_or(field, 0)
    }

    /// The small number that layer norms add.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "transformers rounds it to float32 too"
    )]
    pub(super) fn epsilon_or(&self, field: &str, default: f32) -> Result<f32, FamilyError> {
        let Some(value) = self.get(field) else {
            return Ok(default);
        };
        let epsilon = value
            .as_f64()
            .filter(|epsilon| epsilon.is_finite() && *epsilon >= 0.0);
        epsilon
            .map(|epsilon| epsilon as f32)
            .ok_or_else(|| self.wrong(field, "a small positive number", value))
    }

    /// A positive number, or what transformers takes where there is none.
    pub(super) fn number_or(&self, field: &str, default: f64) -> Result<f64, FamilyError> {
        let Some(value) = self.get(field) else {
            return Ok(default);
        };
        let number = value
            .as_f64()
            .filter(|number| number.is_finite() && *number > 0.0);
        number.ok_or_else(|| self.wrong(field, "a positive number", value))
    }

    /// A positive number that may be null, which is none; or what transformers takes where there
    /// is no such field.
    pub(super) fn nullable(
        &self,
        field: &str,
        default: Option<f64>,
    ) -> Result<Option<f64>, FamilyError> {
        self.unless_null(field, default, || self.number_or(field, 0.0))
    }

    /// A size that may be null, which is none; or what transformers takes where there is no such
    /// field.
    pub(super) fn nullable_size(
        &self,
        field: &str,
        default: Option<usize>,
    ) -> Result<Option<usize>, FamilyError> {
        self.unless_null(field, default, || self.size(&[field]))
    }

    /// What `read` finds in a field; none where that is null, `default` where there is none.
    fn unless_null<T>(
        &self,
        field: &str,
        default: Option<T>,
        read: impl FnOnce() -> Result<T, FamilyError>,
    ) -> Result<Option<T>, FamilyError> {
        match self.fields.get(field) {
            Some(Value::Null) => Ok(None),
            None => Ok(default),
            Some(_) => read().map(Some),
        }
    }

    /// An object, if the field is there.
    pub(super) fn object(&self, field: &str) -> Result<Option<Map<String, Value>>, FamilyError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object.clone())),
            Some(value) => Err(self.wrong(field, "an object", value)),
        }
    }

    /// A list of texts, if the field is there.
    pub(super) fn texts(&self, field: &str) -> Result<Option<Vec<&str>>, FamilyError> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        let texts = value
            .as_array()
            .and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        texts
            .map(Some)
            .ok_or_else(|| self.wrong(field, "a list of texts", value))
    }

    /// A list of texts, or one text with `separator` between them, which is read in lower case; if
    /// the field is there.
    pub(super) fn texts_or_split(
        &self,
        field: &str,
        separator: char,
    ) -> Result<Option<Vec<String>>, FamilyError> {
        if let Some(Value::String(text)) = self.get(field) {
            let text = text.to_lowercase();
            let parts = text.split(separator).map(|part| part.trim().to_owned());
            return Ok(Some(parts.collect()));
        }
        let texts = self.texts(field)?;
        Ok(texts.map(|texts| texts.into_iter().map(str::to_owned).collect()))
    }

    /// A switch, or what transformers takes where there is none.
    pub(super) fn switch_or(&self, field: &str, default: bool) -> Result<bool, FamilyError> {
        let Some(value) = self.get(field) else {
            return Ok(default);
        };
        value
            .as_bool()
            .ok_or_else(|| self.wrong(field, "true or false", value))
    }

    /// An error if `field` says anything but `supported`.
    pub(super) fn require_text(&self, field: &str, supported: &str) -> Result<(), FamilyError> {
        let value = self.text_or(field, supported)?;
        if value == supported {
            Ok(())
        } else {
            Err(self.unsupported(field, value, supported))
        }
    }

    /// An error if `field` is true.
    pub(super) fn require_off(&self, field: &str) -> Result<(), FamilyError> {
        if self.switch_or(field, false)? {
            Err(self.unsupported(field, "true", "false"))
        } else {
            Ok(())
        }
    }

    /// The error for a setting that would change the result.
    pub(super) fn unsupported(
        &self,
        field: &str,
        value: impl Display,
        supported: &str,
    ) -> FamilyError {
        FamilyError::Setting {
            path: self.path.clone(),
            field: field.to_owned(),
            value: value.to_string(),
            supported: supported.to_owned(),
        }
    }

    /// Settings of every family that mean "the weights are not what their names say".
    pub(super) fn refuse_what_changes_weights(&self) -> Result<(), FamilyError> {
        if let Some(value) = self.get("quantization_config") {
            return Err(self.unsupported("quantization_config", value, "none"));
        }
        match self.get("pruned_heads") {
            Some(Value::Object(heads)) if heads.is_empty() => Ok(()),
            Some(value) => Err(self.unsupported("pruned_heads", value, "none")),
            None => Ok(()),
        }
    }
}
