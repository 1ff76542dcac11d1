//! A generator whose numbers are the same on every machine: it is integer arithmetic, and number `n`
//! follows from the start and `n` alone, so that any thread makes any part of them.
//!
//! `SplitMix64` (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").

/// What the state grows by for each number.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Number `index`, from 0, of the sequence that starts from `start`.
#[must_use]
pub(crate) const fn number(start: u64, index: u64) -> u64 {
    let mut mixed = start.wrapping_add(STEP.wrapping_mul(index.wrapping_add(1)));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_those_of_the_authors_program() {
        // Sebastiano Vigna's splitmix64.c, from the state 1234567.
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        let numbers: Vec<u64> = (0..5).map(|index| number(1_234_567, index)).collect();
        assert_eq!(numbers, expected);
    }
}
