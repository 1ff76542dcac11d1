//! Random numbers that are the same on every machine and in every version: the order of the training data
//! must not change when a library does.

/// `SplitMix64` (Steele, Lea and Flood, 2014): small, and the same on every machine for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream number `stream` of `seed`.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed);
        // Passed through the mixer once: streams of neighbouring seeds have nothing in common.
        random.0 = random.next() ^ stream.wrapping_mul(0xd134_2543_de82_ef95);
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, each equally likely (Lemire, 2019).
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        loop {
            let product = u128::from(self.next()) * u128::from(bound);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the halves of the product are wanted"
            )]
            let (high, low) = ((product >> 64) as u64, product as u64);
            if low >= bound.wrapping_neg() % bound {
                #[expect(clippy::cast_possible_truncation, reason = "below a usize")]
                return high as usize;
            }
        }
    }
}
