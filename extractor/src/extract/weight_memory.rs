//! Whether the encoder's weights fit the memory of where they would go: the job's on the CPU, the
//! GPU's own on a GPU. What does not fit is told before anything is loaded, with what would.

use serde::Serialize;
use shared::size::format_bytes;

use super::error::ExtractError;
use super::model::Model;
use crate::encoder::Device;
use crate::encoder::runtime::{self, Target};
use crate::graph::ComputeDtype;

/// Program, libraries and data set.
pub(super) const BASE_BYTES: u64 = 64 << 20;
/// While ONNX Runtime packs the matrices for the CPU, the weights are in memory 1.9 times
/// (`docs/models.md`, "True sizes"); files may hold a head that is not loaded.
pub(super) const LOADING: f64 = 1.8;

/// What the weights take of the memory of where they go, and what there is of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WeightMemory {
    /// Where the encoder runs: `cpu`, `cuda:0`.
    pub device: String,
    /// Bytes of the weights up to the last kept layer, in the number format that is computed in.
    pub weights: u64,
    /// Bytes that loading them takes at least.
    pub needed: u64,
    /// Bytes that this job may have or, on a GPU, that are free there; none if neither is known.
    pub available: Option<u64>,
    /// Whether they fit, if that is known.
    pub fits: Option<bool>,
    /// What would fit, where they do not.
    pub hints: Vec<String>,
    /// Whether more cannot be had by waiting: a limit of the job, or the GPU that was asked for.
    #[serde(skip)]
    is_firm: bool,
}

impl WeightMemory {
    /// Looks where `model` would run, whose weights have `weights` bytes.
    #[must_use]
    pub fn for_model(model: &Model, weights: u64) -> Self {
        match (runtime::target(&model.options), model.options.device) {
            // A plan may be for a machine with a GPU, made on one without.
            (Ok((target @ Target::Cuda(number), _)), _) => {
                let free = runtime::free_memory(number).ok();
                Self::on_gpu(model, weights, (target.to_string(), free))
            }
            (Err(_), device @ Device::Cuda(_)) => {
                Self::on_gpu(model, weights, (device.to_string(), None))
            }
            (Err(_), _) if model.options.dtype.needs_gpu() => {
                Self::on_gpu(model, weights, (Device::Cuda(0).to_string(), None))
            }
            (Ok((Target::Cpu, _)) | Err(_), _) => Self::on_cpu(model, weights),
        }
    }

    fn on_gpu(model: &Model, weights: u64, (device, free): (String, Option<u64>)) -> Self {
        let mut hints = Vec::new();
        if free.is_some_and(|free| free < weights) {
            hints.push("a GPU with more memory, or one that nobody else uses".to_owned());
            if model.options.dtype == ComputeDtype::F32 {
                let half = format_bytes(weights / 2);
                hints.push(format!(
                    "--dtype f16 or bf16, in which the weights take {half}"
                ));
            }
            hints.extend(fewer_layers(model, free.unwrap_or(0), 1.0));
        }
        Self {
            device,
            weights,
            needed: weights,
            available: free,
            fits: free.map(|free| weights <= free),
            hints,
            is_firm: model.options.device != Device::Auto,
        }
    }

    fn on_cpu(model: &Model, weights: u64) -> Self {
        // What is exported is loaded by then, and nothing is packed.
        let factor = if model.spec.is_some() { LOADING } else { 1.0 };
        let needed = BASE_BYTES + scaled(weights, factor);
        let limit = shared::resources::memory_limit();
        let available = limit.or_else(shared::resources::memory_available);
        let fits = available.map(|available| needed <= available);
        let mut hints = Vec::new();
        if fits == Some(false) {
            hints.push(format!(
                "ask for more (Slurm: --mem; shell: ulimit -v), {} at least",
                format_bytes(needed)
            ));
            let room = available.unwrap_or(0).saturating_sub(BASE_BYTES);
            hints.extend(fewer_layers(model, room, factor));
            if model.spec.is_some() {
                let half = weights / model.options.dtype.bytes() as u64 * 2;
                hints.push(format!(
                    "a GPU with {} for the weights, or {} with --dtype f16",
                    format_bytes(weights),
                    format_bytes(half)
                ));
            }
        }
        Self {
            device: Device::Cpu.to_string(),
            weights,
            needed,
            available,
            fits,
            hints,
            is_firm: limit.is_some() && model.spec.is_some(),
        }
    }

    /// In a line, without what would fit.
    #[must_use]
    pub fn about(&self) -> String {
        let (weights, needed) = (format_bytes(self.weights), format_bytes(self.needed));
        let there = match (self.device.as_str(), self.available) {
            (_, None) => String::new(),
            ("cpu", Some(bytes)) => format!(", {} may be used", format_bytes(bytes)),
            (_, Some(bytes)) => format!(", {} are free there", format_bytes(bytes)),
        };
        let verdict = match self.fits {
            None => "",
            Some(true) => ": it fits",
            Some(false) => ": it does not fit",
        };
        let loading = if self.needed == self.weights {
            String::new()
        } else {
            format!(", at least {needed} while they are loaded")
        };
        format!(
            "{weights} of weights on {}{loading}{there}{verdict}",
            self.device
        )
    }

    /// An error if it is certain that they do not fit.
    ///
    /// # Errors
    /// [`ExtractError::Memory`], with what would fit.
    pub fn check(self) -> Result<(), ExtractError> {
        match self.available {
            Some(limit) if self.is_firm && self.fits == Some(false) => Err(ExtractError::Memory {
                what: format!("loading the encoder on {}", self.device),
                needed: self.needed,
                limit,
                hints: self.hints,
            }),
            _ => Ok(()),
        }
    }
}

/// The highest layer below the last kept one up to which the encoder is loaded within `room` bytes,
/// as a hint.
fn fewer_layers(model: &Model, room: u64, factor: f64) -> Option<String> {
    let spec = model.spec.as_ref()?;
    let bytes = |layer: usize| spec.weights(layer) * model.options.dtype.bytes() as u64;
    let fits = |layer: &usize| scaled(bytes(*layer), factor) <= room;
    let fitting = (1..model.last_layer()).rev().find(fits)?;
    Some(format!(
        "layers above the last one kept are not loaded: --layers with a list that ends at {fitting} would fit"
    ))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate of a size"
)]
fn scaled(size: u64, by: f64) -> u64 {
    (size as f64 * by) as u64
}
