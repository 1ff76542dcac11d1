//! The weights of a model: one or more safetensors files, mapped into memory and
//! read as if they were one. What people's checkpoints differ in (prefixes of a
//! task model, old names of layer norms, precision, number of files) ends here.
//!
//! Format: <https://huggingface.co/docs/safetensors>, "Format".

mod error;
mod file;
mod index;
mod random;
mod tensor;

use std::collections::HashMap;
use std::path::PathBuf;

pub use self::error::CheckpointError;
use self::file::MappedFile;
pub use self::index::Index;
use self::random::Filling;
pub use self::random::RandomWeights;
pub(crate) use self::random::VERSION as RANDOM_VERSION;
pub use self::tensor::{Element, Origin, Tensor};

/// What a tensor without numbers is full of: no zero, which graphs are simplified by, and exact in
/// every type.
const BLANK: f32 = 1.0 / 64.0;

/// The tensors of a model, by name.
pub struct Checkpoint {
    files: Vec<MappedFile>,
    /// Which file a tensor is in.
    tensors: HashMap<String, usize>,
    /// What every tensor is filled with, where none is in a file.
    made: Option<Made>,
}

/// Tensors that are in no file.
enum Made {
    /// All of one number.
    Blank,
    /// Random ones.
    Random(RandomWeights),
}

impl Checkpoint {
    /// Maps `files` and reads their headers.
    ///
    /// # Errors
    /// When a file cannot be opened, is not a whole safetensors file, or holds a tensor that
    /// another one holds too.
    pub fn open(files: &[PathBuf]) -> Result<Self, CheckpointError> {
        let files = files
            .iter()
            .map(|path| MappedFile::open(path))
            .collect::<Result<Vec<_>, _>>()?;
        let mut tensors = HashMap::new();
        for (number, file) in files.iter().enumerate() {
            for name in file.names() {
                if let Some(first) = tensors.insert(name.clone(), number) {
                    let files = [&files[first], file].map(|file| file.path().to_owned());
                    return Err(CheckpointError::Duplicate {
                        tensor: name,
                        files: Box::new(files),
                    });
                }
            }
        }
        Ok(Self {
            files,
            tensors,
            made: None,
        })
    }

    fn made(made: Made) -> Self {
        Self {
            files: Vec::new(),
            tensors: HashMap::new(),
            made: Some(made),
        }
    }

    /// A checkpoint that has every tensor that is asked for, in any shape, of random numbers.
    #[must_use]
    pub fn random(weights: RandomWeights) -> Self {
        Self::made(Made::Random(weights))
    }

    /// A checkpoint that has every tensor that is asked for, in any shape, all of one number:
    /// computing with it takes the time that it takes with weights.
    #[must_use]
    pub fn blank() -> Self {
        Self::made(Made::Blank)
    }

    /// Whether its tensors are in files; else whatever is asked for is made, and no tensor tells
    /// what an encoder was trained with.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.made.is_none()
    }

    /// The tensor called `name`, which must have `shape`. It is looked for behind each of
    /// `prefixes` in turn, and, if it belongs to a layer norm, under its old TensorFlow name.
    ///
    /// # Errors
    /// When there is no such tensor, or it has another shape or a type that is no weight's.
    pub fn tensor(
        &self,
        prefixes: &[&str],
        name: &str,
        shape: &[usize],
    ) -> Result<Tensor<'_>, CheckpointError> {
        match &self.made {
            None => {}
            Some(Made::Blank) => return Ok(Tensor::made(shape, Filling::One(BLANK))),
            Some(Made::Random(weights)) => {
                return Ok(Tensor::made(shape, weights.filling(name, shape)));
            }
        }
        let names = candidates(prefixes, name);
        let Some((name, number)) = names
            .iter()
            .find_map(|name| Some((name, *self.tensors.get(name)?)))
        else {
            return Err(self.missing(names, shape));
        };
        let file = &self.files[number];
        let (stored, bytes) = file.bytes(name, shape)?;
        Ok(Tensor::new(file, stored, shape, bytes))
    }

    fn missing(&self, tried: Vec<String>, expected: &[usize]) -> CheckpointError {
        let files = self
            .files
            .iter()
            .map(|file| file.path().display().to_string())
            .collect::<Vec<_>>()
            .join(", ");
        let name = tried.first().map_or("", String::as_str);
        let ending = name.rsplit_once('.').map_or(name, |(_, ending)| ending);
        // The name most like the missing one, to show what the file calls such things.
        let shared_ending = |other: &str| {
            name.bytes()
                .rev()
                .zip(other.bytes().rev())
                .take_while(|(ours, theirs)| ours == theirs)
                .count()
        };
        let similar = self
            .tensors
            .keys()
            .filter(|other| other.ends_with(ending))
            .max_by_key(|other| (shared_ending(other), std::cmp::Reverse(other.as_str())))
            .cloned();
        CheckpointError::Missing {
            files,
            tried,
            expected: expected.to_vec(),
            similar,
        }
    }
}

/// Every name that a tensor may have, the likeliest first.
fn candidates(prefixes: &[&str], name: &str) -> Vec<String> {
    let old = name
        .strip_suffix("LayerNorm.weight")
        .map(|layer| format!("{layer}LayerNorm.gamma"))
        .or_else(|| {
            name.strip_suffix("LayerNorm.bias")
                .map(|layer| format!("{layer}LayerNorm.beta"))
        });
    let names = std::iter::once(name.to_owned()).chain(old);
    names
        .flat_map(|name| prefixes.iter().map(move |prefix| format!("{prefix}{name}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_norm_is_looked_for_under_its_old_name_too() {
        assert_eq!(
            candidates(&["", "bert."], "embeddings.LayerNorm.bias"),
            [
                "embeddings.LayerNorm.bias",
                "bert.embeddings.LayerNorm.bias",
                "embeddings.LayerNorm.beta",
                "bert.embeddings.LayerNorm.beta"
            ]
        );
        assert_eq!(candidates(&[""], "h.0.ln_1.weight"), ["h.0.ln_1.weight"]);
    }
}
