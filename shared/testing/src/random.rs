//! Chance that is the same in every run, so that what a test met can be met again.

/// Numbers of a linear congruence with 31 good bits; the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// The next number, in `0.0..1.0`.
    #[expect(clippy::cast_precision_loss, reason = "31 bits")]
    pub fn unit(&mut self) -> f64 {
        self.next() as f64 / (1_u64 << 31) as f64
    }

    /// The next number in `0..bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// The next number in `-0.5..0.5`, one of a thousand.
    #[expect(clippy::cast_precision_loss, reason = "below 1000")]
    pub fn noise(&mut self) -> f32 {
        self.below(1000) as f32 / 1000.0 - 0.5
    }
}
