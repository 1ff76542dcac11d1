//! Rotary positions (Su et al. 2021): the angles by which queries and keys are turned, with the
//! scalings by which encoders are made to read longer texts than they were trained on. Settings are
//! read as transformers 5 writes them (`rope_parameters`) and as older configurations do
//! (`rope_theta`, `rope_scaling`).

use serde_json::{Map, Value};

use super::config::Config;
use super::error::FamilyError;

/// What each position turns a head's numbers by: number `i` and number `i + size / 2` together by
/// the angle `position * frequencies[i]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotation {
    /// Radians for each position, `[turned size / 2]`.
    pub frequencies: Vec<f32>,
    /// What sines and cosines are multiplied with.
    pub scale: f32,
}

impl Rotation {
    /// Cosines and sines, `[positions, turned size / 2]` each.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "positions are counted in float32 by transformers too"
    )]
    pub fn tables(&self, positions: usize) -> [Vec<f32>; 2] {
        let angles = |of: fn(f32) -> f32| {
            let rows = (0..positions).flat_map(|position| {
                let position = position as f32;
                let row = self.frequencies.iter();
                row.map(move |frequency| of(position * frequency) * self.scale)
            });
            rows.collect()
        };
        [angles(f32::cos), angles(f32::sin)]
    }
}

/// What a configuration says about rotary positions; `layer_type` names the entry where there is
/// one for each type of layer.
pub(super) struct Settings<'c> {
    config: &'c Config,
    fields: Option<&'c Map<String, Value>>,
    /// The base of the frequencies where no field says it.
    base: f64,
    /// Size of a head.
    head_size: usize,
}

impl<'c> Settings<'c> {
    /// # Errors
    /// When a field is not of the type that it must have.
    pub(super) fn new(
        config: &'c Config,
        layer_type: Option<&str>,
        base: f64,
        head_size: usize,
    ) -> Result<Self, FamilyError> {
        let mut fields = config.object("rope_parameters")?;
        if let Some(layer_type) = layer_type {
            fields = fields.and_then(|fields| fields.get(layer_type)?.as_object());
        }
        if fields.is_none() {
            fields = config.object("rope_scaling")?;
        }
        Ok(Self {
            config,
            fields,
            base,
            head_size,
        })
    }

    fn number(&self, field: &str) -> Result<Option<f64>, FamilyError> {
        let Some(value) = self.fields.and_then(|fields| fields.get(field)) else {
            return Ok(None);
        };
        if value.is_null() {
            return Ok(None);
        }
        let number = value.as_f64().filter(|number| number.is_finite());
        number.map(Some).ok_or_else(|| {
            self.config
                .wrong(&format!("rope {field}"), "a number", value)
        })
    }

    fn needed(&self, field: &str) -> Result<f64, FamilyError> {
        let positive = self.number(field)?.filter(|number| *number > 0.0);
        positive.ok_or_else(|| {
            let name = format!("rope {field}");
            self.config
                .wrong(&name, "a number above 0", "another or none")
        })
    }

    /// The angles.
    ///
    /// # Errors
    /// When a setting is missing, or the kind of scaling is not supported.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "sizes are small, and frequencies are rounded to float32 by transformers too"
    )]
    pub(super) fn rotation(&self, positions: usize) -> Result<Rotation, FamilyError> {
        let base = self.number("rope_theta")?.unwrap_or(self.base);
        let part = match self.number("partial_rotary_factor")? {
            Some(part) => part,
            None => self.config.number_or("partial_rotary_factor", 1.0)?,
        };
        let size = (self.head_size as f64 * part) as usize;
        let text = |field| self.fields.and_then(|fields| fields.get(field)?.as_str());
        let kind = text("rope_type")
            .or_else(|| text("type"))
            .unwrap_or("default");
        if size < 2 || !size.is_multiple_of(2) || base <= 1.0 {
            let got = format!("{size} numbers of a head with base {base}");
            return Err(self.config.wrong("rope_parameters", "an even size", got));
        }
        let plain: Vec<f32> = (0..size / 2)
            .map(|place| 1.0 / (base as f32).powf((2 * place) as f32 / size as f32))
            .collect();
        let (frequencies, scale) = match kind {
            "default" => (plain, 1.0),
            // Beyond the positions that the encoder was made for only, which no text is.
            "dynamic" => (plain, 1.0),
            "linear" => {
                let factor = self.needed("factor")? as f32;
                let slower = plain.into_iter().map(|frequency| frequency / factor);
                (slower.collect(), 1.0)
            }
            "llama3" => (self.llama3(plain, positions)?, 1.0),
            "yarn" => self.yarn(&plain, base, size, positions)?,
            other => {
                let supported = "default, linear, dynamic, llama3 or yarn";
                return Err(self.config.unsupported("rope_type", other, supported));
            }
        };
        Ok(Rotation { frequencies, scale })
    }

    /// Positions that the encoder was trained on before it was made to read more.
    #[expect(clippy::cast_precision_loss, reason = "positions are small numbers")]
    fn original(&self, positions: usize) -> Result<f64, FamilyError> {
        let own = self.number("original_max_position_embeddings")?;
        Ok(own.unwrap_or(positions as f64))
    }

    /// Long waves are stretched, short ones are not, and those between in part (Llama 3.1).
    #[expect(
        clippy::cast_possible_truncation,
        reason = "frequencies are float32 in transformers too"
    )]
    fn llama3(&self, plain: Vec<f32>, positions: usize) -> Result<Vec<f32>, FamilyError> {
        let (factor, low, high) = (
            self.needed("factor")? as f32,
            self.needed("low_freq_factor")? as f32,
            self.needed("high_freq_factor")? as f32,
        );
        let original = self.original(positions)? as f32;
        let scaled = plain.into_iter().map(|frequency| {
            let wave = 2.0 * std::f32::consts::PI / frequency;
            if wave > original / low {
                frequency / factor
            } else if wave < original / high {
                frequency
            } else {
                let smooth = (original / wave - low) / (high - low);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }
        });
        Ok(scaled.collect())
    }

    /// Frequencies are stretched along a ramp, and scores sharpened (Peng et al. 2023).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "frequencies are float32 in transformers too"
    )]
    fn yarn(
        &self,
        plain: &[f32],
        base: f64,
        size: usize,
        positions: usize,
    ) -> Result<(Vec<f32>, f32), FamilyError> {
        let factor = self.needed("factor")?;
        let original = self.original(positions)?;
        let sharpness = |scale: f64| {
            if factor <= 1.0 {
                1.0
            } else {
                0.1 * scale * factor.ln() + 1.0
            }
        };
        let scale = match (
            self.number("attention_factor")?,
            self.number("mscale")?.filter(|scale| *scale != 0.0),
            self.number("mscale_all_dim")?.filter(|scale| *scale != 0.0),
        ) {
            (Some(scale), ..) => scale,
            (None, Some(scale), Some(all)) => sharpness(scale) / sharpness(all),
            _ => sharpness(1.0),
        };
        let fast = self.number("beta_fast")?.filter(|beta| *beta != 0.0);
        let slow = self.number("beta_slow")?.filter(|beta| *beta != 0.0);
        // The place of the frequency that turns so often within the original positions.
        let place = |turns: f64| {
            size as f64 * (original / (turns * 2.0 * std::f64::consts::PI)).ln() / (2.0 * base.ln())
        };
        let (mut low, mut high) = (place(fast.unwrap_or(32.0)), place(slow.unwrap_or(1.0)));
        let truncate = self
            .fields
            .and_then(|fields| fields.get("truncate")?.as_bool());
        if truncate.unwrap_or(true) {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, mut high) = (low.max(0.0), high.min(size as f64 - 1.0));
        if (high - low).abs() < f64::EPSILON {
            high += 0.001;
        }
        let stretched = plain.iter().enumerate().map(|(number, frequency)| {
            let ramp = ((number as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
            frequency / factor as f32 * ramp + frequency * (1.0 - ramp)
        });
        Ok((stretched.collect(), scale as f32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_hold_the_angles_of_every_position() {
        let rotation = Rotation {
            frequencies: vec![1.0, 0.5],
            scale: 2.0,
        };
        let [cosines, sines] = rotation.tables(3);
        assert_eq!(cosines.len(), 6);
        assert!((cosines[4] - 2.0 * 2.0_f32.cos()).abs() < 1e-6);
        assert!((sines[5] - 2.0 * 1.0_f32.sin()).abs() < 1e-6);
    }
}
