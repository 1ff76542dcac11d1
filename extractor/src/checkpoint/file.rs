//! One mapped safetensors file. Pages are read when a tensor is copied out and
//! given back right after, so that a model is never in memory twice.

use std::path::{Path, PathBuf};

use memmap2::{Mmap, UncheckedAdvice};
use safetensors::tensor::{Dtype, Metadata, SafeTensors};

use super::CheckpointError;

/// Bytes of the header's length, before the header.
const LENGTH_BYTES: usize = 8;

/// Number types of stored weights.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stored {
    F64,
    F32,
    F16,
    Bf16,
}

pub(super) struct MappedFile {
    path: PathBuf,
    map: Mmap,
    metadata: Metadata,
    /// Where the tensors' bytes begin.
    data: usize,
}

impl MappedFile {
    #[expect(
        unsafe_code,
        reason = "mapping a file is the only way not to hold the weights twice"
    )]
    pub(super) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = fs_err::File::open(path)?;
        // SAFETY: the map is read-only and private. Should another process truncate or rewrite the
        // file while it is read, the weights would be wrong or the process would get SIGBUS; as for
        // every program that maps models, that is for the user to avoid.
        let map = unsafe { Mmap::map(file.file()) }.map_err(|source| {
            std::io::Error::new(
                source.kind(),
                format!("cannot map {}: {source}", path.display()),
            )
        })?;
        if map.starts_with(b"version https://git-lfs") {
            return Err(CheckpointError::LfsPointer {
                path: path.to_owned(),
            });
        }
        let (header, metadata) =
            SafeTensors::read_metadata(&map).map_err(|error| CheckpointError::Broken {
                path: path.to_owned(),
                problem: error.to_string(),
            })?;
        Ok(Self {
            path: path.to_owned(),
            map,
            metadata,
            data: LENGTH_BYTES + header,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// The bytes of the tensor called `name`, which must be in this file and have this shape.
    pub(super) fn bytes(
        &self,
        name: &str,
        shape: &[usize],
    ) -> Result<(Stored, &[u8]), CheckpointError> {
        let Some(info) = self.metadata.info(name) else {
            let problem = format!("its header lists no tensor {name}");
            return Err(CheckpointError::Broken {
                path: self.path.clone(),
                problem,
            });
        };
        if info.shape != shape {
            return Err(CheckpointError::Shape {
                path: self.path.clone(),
                tensor: name.to_owned(),
                expected: shape.to_vec(),
                got: info.shape.clone(),
            });
        }
        let stored = match info.dtype {
            Dtype::F64 => Stored::F64,
            Dtype::F32 => Stored::F32,
            Dtype::F16 => Stored::F16,
            Dtype::BF16 => Stored::Bf16,
            other => {
                let got = format!("{other:?}");
                return Err(CheckpointError::Type {
                    path: self.path.clone(),
                    tensor: name.to_owned(),
                    got,
                });
            }
        };
        let (begin, end) = info.data_offsets;
        Ok((stored, &self.map[self.data + begin..self.data + end]))
    }

    /// Tells the system that the pages of `bytes`, a part of this map, are not needed any more.
    #[expect(
        unsafe_code,
        reason = "without it, mapped weights count as memory until the model is loaded"
    )]
    pub(super) fn forget(&self, bytes: &[u8]) {
        let begin = bytes.as_ptr() as usize - self.map.as_ptr() as usize;
        // SAFETY: the map is read-only and backed by a file: pages that are dropped are read anew.
        // It is advice: an error changes nothing.
        let _ = unsafe {
            self.map
                .unchecked_advise_range(UncheckedAdvice::DontNeed, begin, bytes.len())
        };
    }
}
