//! Random numbers in place of trained weights: what an encoder has before it is trained, which probing
//! compares with. The numbers are defined here and in `docs/random-weights.md`, and do not depend on
//! machine, library or number of threads: they are made of integer arithmetic and of the operations
//! that IEEE 754 rounds in one way only (`+ - * /` and the square root).

use shared::files::sha256_bytes;

use crate::random;

/// Version of the definition: other numbers for a seed need another one.
pub(crate) const VERSION: u32 = 1;

/// How an encoder's weights are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomWeights {
    /// Which of all possible weights.
    pub seed: u64,
    /// Standard deviation of matrices and tables.
    pub deviation: f64,
    /// What checkpoints of the encoder store for a norm that changes nothing: 1, or 0 where weights
    /// are stored as what they have more than 1.
    pub norm: f32,
}

/// What a tensor is filled with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Filling {
    /// One number.
    One(f32),
    /// Numbers of a normal distribution.
    Normal(Normal),
}

impl RandomWeights {
    /// What the tensor called `name`, without a prefix, is filled with: biases are 0, other vectors
    /// belong to norms.
    pub(super) fn filling(&self, name: &str, shape: &[usize]) -> Filling {
        match shape {
            _ if name.ends_with("bias") => Filling::One(0.0),
            [_] => Filling::One(self.norm),
            _ => Filling::Normal(Normal {
                start: self.start(name),
                first: 0,
                deviation: self.deviation,
            }),
        }
    }

    /// Where the generator starts for a tensor: the first 16 hexadecimal digits of a SHA-256.
    fn start(&self, name: &str) -> u64 {
        let text = format!("random weights {VERSION}\n{}\n{name}\n", self.seed);
        let digest = sha256_bytes(text.as_bytes());
        u64::from_str_radix(digest.get(..16).unwrap_or_default(), 16).unwrap_or_default()
    }
}

/// Consecutive numbers of a normal distribution around 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Normal {
    start: u64,
    /// Index of the first of them.
    first: u64,
    deviation: f64,
}

impl Normal {
    /// Where they are among all numbers that a seed gives: the start of the generator, and the first
    /// number after it.
    pub(super) fn place(&self) -> (u64, u64) {
        (self.start, self.first)
    }

    /// The same without the first `count`.
    pub(super) fn skip(self, count: usize) -> Self {
        Self {
            first: self.first + count as u64,
            ..self
        }
    }

    /// Number `index`, from 0.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "53 bits fit a float64, and weights are float32"
    )]
    pub(super) fn number(&self, index: usize) -> f32 {
        let bits = random::number(self.start, self.first + index as u64) >> 11;
        let uniform = (bits as f64 + 0.5) / (1_u64 << 53) as f64;
        (quantile(uniform) * self.deviation) as f32
    }
}

/// The number below which a standard normal distribution has `probability`, with seven digits:
/// algorithm AS 241, PPND7 (Wichura 1988, Applied Statistics 37, 477-484).
fn quantile(probability: f64) -> f64 {
    let centred = probability - 0.5;
    if centred.abs() <= 0.425 {
        let r = 0.180_625 - centred * centred;
        let above = polynomial(
            r,
            &[
                3.387_132_717_9,
                50.434_271_938,
                159.291_132_02,
                59.109_374_720,
            ],
        );
        let below = polynomial(r, &[1.0, 17.895_169_469, 78.757_757_664, 67.187_563_600]);
        return centred * above / below;
    }
    let tail = if centred < 0.0 {
        probability
    } else {
        1.0 - probability
    };
    let r = (-logarithm(tail)).sqrt();
    let size = if r <= 5.0 {
        let r = r - 1.6;
        let above = polynomial(
            r,
            &[
                1.423_437_277_7,
                2.756_815_390_0,
                1.306_728_481_6,
                0.170_238_211_03,
            ],
        );
        above / polynomial(r, &[1.0, 0.737_001_642_50, 0.120_211_329_75])
    } else {
        let r = r - 5.0;
        let above = polynomial(
            r,
            &[
                6.657_905_115_0,
                3.081_226_386_0,
                0.428_682_943_37,
                0.017_337_203_997,
            ],
        );
        above / polynomial(r, &[1.0, 0.241_978_942_25, 0.012_258_202_635])
    };
    size.copysign(centred)
}

/// A polynomial of these coefficients, the constant first, by Horner's rule. Without fused operations,
/// which round otherwise and which not every machine has.
fn polynomial(x: f64, coefficients: &[f64]) -> f64 {
    let descending = coefficients.iter().rev();
    descending.fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// The natural logarithm of a normal positive number, of a series: those of systems' libraries
/// differ in their last digit.
fn logarithm(x: f64) -> f64 {
    /// 1, 1/3, 1/5, ...
    const SERIES: [f64; 10] = [
        1.0,
        1.0 / 3.0,
        1.0 / 5.0,
        1.0 / 7.0,
        1.0 / 9.0,
        1.0 / 11.0,
        1.0 / 13.0,
        1.0 / 15.0,
        1.0 / 17.0,
        1.0 / 19.0,
    ];
    const FRACTION: u64 = (1 << 52) - 1;
    let bits = x.to_bits();
    let mut exponent = i32::try_from(bits >> 52).unwrap_or(i32::MAX) - 1023;
    // Between 1 and 2, then between 3/4 and 3/2, where the series is short.
    let mut fraction = f64::from_bits((bits & FRACTION) | 1.0_f64.to_bits());
    if fraction > 1.5 {
        fraction /= 2.0;
        exponent += 1;
    }
    let ratio = (fraction - 1.0) / (fraction + 1.0);
    let of_fraction = 2.0 * ratio * polynomial(ratio * ratio, &SERIES);
    f64::from(exponent) * std::f64::consts::LN_2 + of_fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHTS: RandomWeights = RandomWeights {
        seed: 7,
        deviation: 0.02,
        norm: 1.0,
    };

    fn normal(name: &str) -> Normal {
        let Filling::Normal(normal) = WEIGHTS.filling(name, &[3, 5]) else {
            panic!("a matrix is random");
        };
        normal
    }

    #[test]
    fn quantiles_are_those_of_the_normal_distribution() {
        // Python 3, statistics.NormalDist().inv_cdf.
        let expected = [
            (1e-16, -8.222_082_216_130_435),
            (1e-12, -7.034_483_825_301_132),
            (0.001, -3.090_232_306_167_813),
            (0.0749, -1.440_238_267_527_963_2),
            (0.0751, -1.438_825_392_752_539_8),
            (0.3, -0.524_400_512_708_040_7),
            (0.51, 0.025_068_908_258_711_057),
            (0.9, 1.281_551_565_544_600_8),
            (0.99999, 4.264_890_793_923_84),
        ];
        for (probability, expected) in expected {
            let difference = (quantile(probability) - expected).abs();
            assert!(
                difference < 3e-7 * f64::abs(expected).max(1.0),
                "{probability}: {difference:e}"
            );
        }
        assert!(quantile(0.5).abs() < 1e-12);
    }

    #[test]
    fn logarithms_have_twelve_digits() {
        for x in [1e-300, 1e-16, 0.003, 0.074, 0.5, 0.9, 3.5] {
            assert!((logarithm(x) - x.ln()).abs() <= 1e-12 * x.ln().abs(), "{x}");
        }
    }

    #[test]
    fn numbers_of_a_seed_are_those_that_are_documented() {
        // The Python of docs/random-weights.md.
        const EXPECTED: [u32; 4] = [0x3cec_9e60, 0xbc8e_f80e, 0x3c74_a5bd, 0xbc01_895e];
        let numbers: Vec<u32> = (0..4)
            .map(|index| normal("layer.0.query.weight").number(index).to_bits())
            .collect();
        assert_eq!(numbers, EXPECTED);
        let skipped = normal("layer.0.query.weight").skip(2);
        assert_eq!(skipped.number(1).to_bits(), EXPECTED[3]);
    }

    #[test]
    fn matrices_are_normal_and_differ_by_name_and_seed() {
        let normal = normal("words.weight");
        let numbers: Vec<f64> = (0..100_000)
            .map(|index| f64::from(normal.number(index)) / 0.02)
            .collect();
        let moment =
            |power: i32| numbers.iter().map(|number| number.powi(power)).sum::<f64>() / 1e5;
        assert!(moment(1).abs() < 0.01 && (moment(2) - 1.0).abs() < 0.02);
        assert!(moment(3).abs() < 0.05 && (moment(4) - 3.0).abs() < 0.15);
        assert_ne!(normal, self::normal("positions.weight"));
        let other = RandomWeights { seed: 8, ..WEIGHTS };
        assert_ne!(
            WEIGHTS.filling("words.weight", &[3, 5]),
            other.filling("words.weight", &[3, 5])
        );
    }

    #[test]
    fn biases_are_zero_and_norms_change_nothing() {
        for bias in ["query.bias", "attention.self.q_bias"] {
            assert_eq!(WEIGHTS.filling(bias, &[5]), Filling::One(0.0), "{bias}");
        }
        assert_eq!(WEIGHTS.filling("norm.weight", &[5]), Filling::One(1.0));
        let less_one = RandomWeights {
            norm: 0.0,
            ..WEIGHTS
        };
        assert_eq!(less_one.filling("norm.weight", &[5]), Filling::One(0.0));
    }
}
