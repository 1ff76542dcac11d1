//! Rotary position encodings (Su et al. 2021) and the ways to stretch them over longer texts, as
//! `transformers.modeling_rope_utils` reads them from configurations. What a graph needs to know
//! in the end is the frequency of each pair of dimensions.

use serde_json::{Map, Value};

use super::config::Config;
use super::error::FamilyError;

const SUPPORTED: &str = "default, linear, dynamic, llama3, yarn";

/// The angles by which queries and keys are turned: position times frequency.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// Radians a token, `[turned dimensions / 2]`. Dimension `i` is turned with dimension
    /// `i + turned / 2`; those of a head that are left stay as they are.
    pub frequencies: Vec<f32>,
    /// Whether dimension `2 i` is turned with dimension `2 i + 1` instead.
    pub interleaved: bool,
    /// Whether values are turned as queries and keys are.
    pub values: bool,
    /// What sines and cosines are multiplied with.
    pub factor: f32,
    /// Names under which checkpoints may have other frequencies, which count then.
    pub stored: &'static [&'static str],
    /// The name under which checkpoints may have sines and, behind them, cosines,
    /// `[longest, turned dimensions]`, which count then.
    pub table: Option<&'static str>,
}

impl Rotary {
    /// The angles of heads of `head_size` that no setting but the base changes, where a checkpoint
    /// has no frequencies of one of these names.
    pub(super) fn stored(
        config: &Config,
        base: f64,
        head_size: usize,
        names: &'static [&'static str],
    ) -> Result<Self, FamilyError> {
        if !head_size.is_multiple_of(2) {
            return Err(config.wrong("the size of a head", "an even number", head_size));
        }
        Ok(Self {
            stored: names,
            ..Self::unscaled(frequencies(base, head_size))
        })
    }

    /// Angles of these frequencies, whatever a checkpoint has.
    pub(super) fn unscaled(frequencies: Vec<f32>) -> Self {
        Self {
            frequencies,
            interleaved: false,
            values: false,
            factor: 1.0,
            stored: &[],
            table: None,
        }
    }

    /// Dimensions of a head that are turned.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        2 * self.frequencies.len()
    }
}

/// What a family says about its rotary encoding where the configuration says nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct RotaryDefaults<'a> {
    /// The kind of layers in `rope_parameters`, where kinds have their own.
    pub(super) layers: Option<&'a str>,
    /// The base outside `rope_parameters`, by its name and where there is none.
    pub(super) theta: (&'a str, f64),
    /// The share of a head that is turned, by its name outside `rope_parameters` and where there is
    /// none; families without it turn all of it.
    pub(super) share: Option<(&'a str, f64)>,
    /// Whether `rope_scaling`, as older configurations call it, counts.
    pub(super) scaled: bool,
}

impl RotaryDefaults<'_> {
    /// As in Llama: one base of 10,000 and scaling.
    pub(super) const PLAIN: Self = Self {
        layers: None,
        theta: ("rope_theta", 10_000.0),
        share: None,
        scaled: true,
    };
}

/// The rotary encoding of heads of `head_size`, for sequences of up to `longest` tokens.
pub(super) fn rotary(
    config: &Config,
    head_size: usize,
    longest: usize,
    defaults: RotaryDefaults<'_>,
) -> Result<Rotary, FamilyError> {
    let settings = Settings::read(config, defaults)?;
    let base = settings.number_or(
        "rope_theta",
        config.number_or(defaults.theta.0, defaults.theta.1)?,
    )?;
    let share = match defaults.share {
        None => settings.all_is_turned()?,
        Some((name, otherwise)) => {
            settings.number_or("partial_rotary_factor", config.number_or(name, otherwise)?)?
        }
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "transformers truncates too; head sizes are small"
    )]
    let dimensions = (head_size as f64 * share) as usize;
    if dimensions == 0 || dimensions > head_size || !dimensions.is_multiple_of(2) {
        let expected = format!("an even part of a head's {head_size} dimensions");
        return Err(config.wrong("the number of rotary dimensions", &expected, dimensions));
    }
    let plain = frequencies(base, dimensions);
    let unscaled = Rotary::unscaled;
    match settings.kind()? {
        // Grows with texts that are longer than the encoder was made for, which are refused.
        "default" | "dynamic" => Ok(unscaled(plain)),
        "linear" => {
            let factor = settings.f32("factor")?;
            Ok(unscaled(plain.into_iter().map(|at| at / factor).collect()))
        }
        "llama3" => Ok(unscaled(settings.llama3(plain, longest)?)),
        "yarn" => settings.yarn(base, &plain, longest),
        other => Err(config.unsupported("rope_type", other, SUPPORTED)),
    }
}

/// `1 / base^(2 i / dimensions)`, in float32 as in transformers.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "transformers computes in float32 too"
)]
fn frequencies(base: f64, dimensions: usize) -> Vec<f32> {
    (0..dimensions / 2)
        .map(|pair| 1.0 / (base as f32).powf((2 * pair) as f32 / dimensions as f32))
        .collect()
}

/// The settings of one rotary encoding.
struct Settings<'a> {
    config: &'a Config,
    fields: Map<String, Value>,
    layers: Option<&'a str>,
}

impl<'a> Settings<'a> {
    fn read(config: &'a Config, defaults: RotaryDefaults<'a>) -> Result<Self, FamilyError> {
        let mut fields = config.object("rope_parameters")?.unwrap_or_default();
        let old = config.object("rope_scaling")?.filter(|_| defaults.scaled);
        match defaults.layers {
            None => fields = old.filter(|old| !old.is_empty()).unwrap_or(fields),
            Some(layers) => {
                fields = match fields.remove(layers) {
                    Some(Value::Object(own)) => own,
                    _ => Map::new(),
                };
                fields.extend(old.unwrap_or_default());
            }
        }
        // A field that is null counts as absent.
        fields.retain(|_, value| !value.is_null());
        Ok(Self {
            config,
            fields,
            layers: defaults.layers,
        })
    }

    /// What an error calls a field.
    fn path(&self, field: &str) -> String {
        let layers = self
            .layers
            .map_or_else(String::new, |layers| format!("{layers}."));
        format!("rope_parameters.{layers}{field}")
    }

    fn kind(&self) -> Result<&str, FamilyError> {
        let kind = ["rope_type", "type"]
            .into_iter()
            .find_map(|name| self.fields.get(name));
        kind.map_or(Ok("default"), |kind| {
            kind.as_str()
                .ok_or_else(|| self.config.wrong(&self.path("rope_type"), "a text", kind))
        })
    }

    fn number_or(&self, field: &str, otherwise: f64) -> Result<f64, FamilyError> {
        let Some(value) = self.fields.get(field) else {
            return Ok(otherwise);
        };
        let number = value
            .as_f64()
            .filter(|number| number.is_finite() && *number > 0.0);
        number.ok_or_else(|| {
            self.config
                .wrong(&self.path(field), "a positive number", value)
        })
    }

    fn number(&self, field: &str) -> Result<f64, FamilyError> {
        if self.fields.contains_key(field) {
            self.number_or(field, 0.0)
        } else {
            Err(self
                .config
                .wrong(&self.path(field), "a positive number", "missing"))
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "transformers computes in float32 too"
    )]
    fn f32(&self, field: &str) -> Result<f32, FamilyError> {
        Ok(self.number(field)? as f32)
    }

    /// The share of a head that is turned where a family knows no other than all.
    fn all_is_turned(&self) -> Result<f64, FamilyError> {
        let field = "partial_rotary_factor";
        let share = self.number_or(field, self.config.number_or(field, 1.0)?)?;
        if share < 1.0 {
            return Err(self.config.unsupported(field, share, "1.0"));
        }
        Ok(1.0)
    }

    /// Positions that the encoder was first trained with.
    #[expect(clippy::cast_precision_loss, reason = "positions are small numbers")]
    fn original(&self, longest: usize) -> Result<f64, FamilyError> {
        let field = "original_max_position_embeddings";
        self.number_or(field, self.config.number_or(field, longest as f64)?)
    }

    /// Slow frequencies by `factor`, fast ones as they are, and a passage between.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "transformers computes in float32 too"
    )]
    fn llama3(&self, plain: Vec<f32>, longest: usize) -> Result<Vec<f32>, FamilyError> {
        let factor = self.f32("factor")?;
        let (low, high) = (self.f32("low_freq_factor")?, self.f32("high_freq_factor")?);
        let original = self.original(longest)? as f32;
        let scaled = plain.into_iter().map(|frequency| {
            let wavelength = std::f32::consts::TAU / frequency;
            if wavelength < original / high {
                frequency
            } else if wavelength > original / low {
                frequency / factor
            } else {
                let smooth = (original / wavelength - low) / (high - low);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }
        });
        Ok(scaled.collect())
    }

    /// `YaRN` (Peng et al. 2023): the passage is between numbers of turns over the original length,
    /// and scores are sharper.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "transformers computes in float32 too"
    )]
    fn yarn(&self, base: f64, plain: &[f32], longest: usize) -> Result<Rotary, FamilyError> {
        let factor = self.number("factor")?;
        let original = self.original(longest)?;
        let sharper = |by: f64| {
            if factor <= 1.0 {
                1.0
            } else {
                0.1 * by * factor.ln() + 1.0
            }
        };
        let sharpness = match (self.fields.get("mscale"), self.fields.get("mscale_all_dim")) {
            (Some(_), Some(_)) => {
                sharper(self.number("mscale")?) / sharper(self.number("mscale_all_dim")?)
            }
            _ => sharper(1.0),
        };
        let dimensions = (2 * plain.len()) as f64;
        let dimension = |turns: f64| {
            dimensions * (original / (turns * std::f64::consts::TAU)).ln() / (2.0 * base.ln())
        };
        let mut low = dimension(self.number_or("beta_fast", 32.0)?);
        let mut high = dimension(self.number_or("beta_slow", 1.0)?);
        let truncate = self.fields.get("truncate").and_then(Value::as_bool);
        if truncate.unwrap_or(true) {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, mut high) = (low.max(0.0) as f32, high.min(dimensions - 1.0) as f32);
        if low >= high {
            high = low + 0.001;
        }
        let frequencies = plain.iter().enumerate().map(|(pair, &frequency)| {
            let ramp = ((pair as f32 - low) / (high - low)).clamp(0.0, 1.0);
            frequency / factor as f32 * ramp + frequency * (1.0 - ramp)
        });
        Ok(Rotary {
            factor: self.number_or("attention_factor", sharpness)? as f32,
            ..Rotary::unscaled(frequencies.collect())
        })
    }
}
