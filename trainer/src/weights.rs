//! Weights and optimiser state in safetensors files, under the names of a PyTorch state dict, so that PyTorch
//! reads them and we read PyTorch's. Written whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use shared::exit::{ExitStatus, HasExitStatus};
use tch::{Device, Kind, TchError, Tensor};

use crate::torch_error::one_line;

/// A file of weights that cannot be written, read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not a safetensors file, or a damaged one.
    #[error("{path} is not a readable safetensors file: {reason}", path = path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A number format that parameters do not have.
    #[error("{path}: '{name}' is {got}; expected float32, float16, bfloat16, float64 or int64", path = path.display())]
    Number {
        /// Which file.
        path: PathBuf,
        /// Which tensor.
        name: String,
        /// Its format.
        got: String,
    },
    /// The weights of another head.
    #[error("{path} does not fit this head: {}; train or load with the options it was saved with", differences.join("; "), path = path.display())]
    Differs {
        /// Which file.
        path: PathBuf,
        /// Everything that is missing, too much, or of another shape.
        differences: Vec<String>,
    },
    /// libtorch failed.
    #[error("libtorch: {}", one_line(.0))]
    Torch(#[from] TchError),
}

impl HasExitStatus for WeightsError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Io { source, .. } => source.exit_status(),
            Self::Torch(_) => ExitStatus::Machine,
            Self::Format { .. } | Self::Number { .. } | Self::Differs { .. } => ExitStatus::User,
        }
    }
}

impl WeightsError {
    /// Whether the device failed, or has too little memory.
    #[must_use]
    pub const fn is_device_failure(&self) -> bool {
        matches!(self, Self::Torch(_))
    }
}

/// Writes named tensors (float32 or int64) to `path`, with `metadata` as text beside them.
///
/// # Errors
/// The file cannot be written; what was there before is then still there.
pub fn save(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<(), WeightsError> {
    let mut stored = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let (kind, dtype) = match tensor.f_kind()? {
            Kind::Int64 => (Kind::Int64, Dtype::I64),
            _ => (Kind::Float, Dtype::F32),
        };
        let tensor = tensor
            .f_detach()?
            .f_to_device(Device::Cpu)?
            .f_to_kind(kind)?
            .f_contiguous()?;
        let mut bytes = vec![0; tensor.numel() * kind.elt_size_in_bytes()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        let shape: Vec<usize> = tensor
            .size()
            .iter()
            .map(|&size| usize::try_from(size).unwrap_or(0))
            .collect();
        stored.push((name.as_str(), dtype, shape, bytes));
    }
    let format = |reason: String| WeightsError::Format {
        path: path.to_owned(),
        reason,
    };
    let mut views = Vec::with_capacity(stored.len());
    for (name, dtype, shape, bytes) in &stored {
        views.push((
            *name,
            TensorView::new(*dtype, shape.clone(), bytes)
                .map_err(|error| format(error.to_string()))?,
        ));
    }
    // PyTorch's tools look for this entry.
    let mut entries: HashMap<String, String> = metadata.clone().into_iter().collect();
    entries.insert("format".to_owned(), "pt".to_owned());
    let bytes =
        safetensors::serialize(views, Some(entries)).map_err(|error| format(error.to_string()))?;
    shared::files::write_atomic(path, &bytes).map_err(|source| WeightsError::Io {
        path: path.to_owned(),
        source,
    })
}

/// All tensors of a file, floating-point numbers as float32, on the CPU.
///
/// # Errors
/// The file cannot be read or is no safetensors file.
pub fn read(path: &Path) -> Result<Vec<(String, Tensor)>, WeightsError> {
    let bytes = fs_err::read(path).map_err(|source| WeightsError::Io {
        path: path.to_owned(),
        source,
    })?;
    let format = |reason: String| WeightsError::Format {
        path: path.to_owned(),
        reason,
    };
    let file = SafeTensors::deserialize(&bytes).map_err(|error| format(error.to_string()))?;
    let mut tensors = Vec::new();
    for (name, view) in file.tensors() {
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::F64 => Kind::Double,
            Dtype::I64 => Kind::Int64,
            other => {
                return Err(WeightsError::Number {
                    path: path.to_owned(),
                    name,
                    got: format!("{other:?}"),
                });
            }
        };
        let shape: Vec<i64> = view
            .shape()
            .iter()
            .map(|&size| i64::try_from(size).unwrap_or(i64::MAX))
            .collect();
        let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)?;
        tensors.push((
            name,
            if kind == Kind::Int64 {
                tensor
            } else {
                tensor.f_to_kind(Kind::Float)?
            },
        ));
    }
    Ok(tensors)
}

/// Copies the weights of a file into a head's parameters, all of them or none.
///
/// # Errors
/// The file cannot be read, or its tensors are not exactly the parameters: every difference is named.
pub fn load(path: &Path, parameters: &[(String, Tensor)]) -> Result<(), WeightsError> {
    let mut found: BTreeMap<String, Tensor> = read(path)?.into_iter().collect();
    let mut differences = Vec::new();
    let mut pairs = Vec::with_capacity(parameters.len());
    for (name, parameter) in parameters {
        match found.remove(name) {
            None => differences.push(format!("'{name}' {:?} is missing", parameter.size())),
            Some(tensor) if tensor.size() != parameter.size() => {
                differences.push(format!(
                    "'{name}' is {:?}, expected {:?}",
                    tensor.size(),
                    parameter.size()
                ));
            }
            Some(tensor) => pairs.push((parameter, tensor)),
        }
    }
    differences.extend(
        found
            .iter()
            .map(|(name, tensor)| format!("'{name}' {:?} is not part of it", tensor.size())),
    );
    if !differences.is_empty() {
        return Err(WeightsError::Differs {
            path: path.to_owned(),
            differences,
        });
    }
    tch::no_grad(|| {
        for (parameter, tensor) in pairs {
            parameter.f_detach()?.f_copy_(&tensor)?;
        }
        Ok(())
    })
}
