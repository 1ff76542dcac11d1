//! The CRC-32C of bytes whose pieces were checked one by one: rows of a chunk arrive in any order,
//! and a piece is in the CPU's cache only while it is written; reading a file again for its
//! checksums costs as much as writing it.
//!
//! A CRC is what is left of a polynomial over GF(2) when it is divided by another one. Bytes that
//! follow multiply what stands before them by a power of x, and a table of powers makes that some
//! ten multiplications, a fraction of a microsecond.

/// The polynomial of CRC-32C without its highest term, the lowest bit being that of x^31.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// x^8, by which a byte that follows multiplies.
const BYTE: u32 = 1 << 23;

/// x^(8 * 2^k): what 2^k bytes that follow multiply by.
const POWERS: [u32; 64] = powers();

const fn powers() -> [u32; 64] {
    let mut powers = [BYTE; 64];
    let mut power = 1;
    while power < powers.len() {
        powers[power] = multiply(powers[power - 1], powers[power - 1]);
        power += 1;
    }
    powers
}

/// The product of two polynomials, divided by the polynomial.
const fn multiply(left: u32, right: u32) -> u32 {
    let (mut right, mut product, mut power) = (right, 0, 0);
    while power < 32 {
        product ^= right & (left >> (31 - power) & 1).wrapping_neg();
        right = right >> 1 ^ POLYNOMIAL & (right & 1).wrapping_neg();
        power += 1;
    }
    product
}

/// `value` as so many bytes that follow leave it.
fn shift(value: u32, bytes: u64) -> u32 {
    let powers = POWERS.iter().enumerate();
    let powers = powers.filter(|&(power, _)| bytes >> power & 1 == 1);
    powers.fold(value, |value, (_, &power)| multiply(power, value))
}

/// The checksum of two pieces, the second one being `bytes` long.
pub(crate) fn combine(first: u32, second: u32, bytes: u64) -> u32 {
    shift(first, bytes) ^ second
}

/// The checksum of a piece with so many zeros after it.
pub(crate) fn append_zeros(checksum: u32, bytes: u64) -> u32 {
    !shift(!checksum, bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_checksum_of_known_bytes() {
        // RFC 3720, B.4: 32 bytes of zeros, and those from 0 to 31.
        assert_eq!(append_zeros(0, 32), 0x8a91_36aa);
        let counting: Vec<u8> = (0..32).collect();
        let halves = counting.split_at(11);
        let (first, second) = (crc32c::crc32c(halves.0), crc32c::crc32c(halves.1));
        assert_eq!(combine(first, second, 21), 0x46dd_794e);
    }

    proptest! {
        #[test]
        fn pieces_have_the_checksum_of_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..3_000),
            cut in any::<prop::sample::Index>(),
            zeros in 0_usize..3_000,
        ) {
            let (first, second) = bytes.split_at(cut.index(bytes.len() + 1));
            let whole = combine(crc32c::crc32c(first), crc32c::crc32c(second), second.len() as u64);
            prop_assert_eq!(whole, crc32c::crc32c(&bytes));
            let mut longer = bytes;
            longer.resize(longer.len() + zeros, 0);
            prop_assert_eq!(append_zeros(whole, zeros as u64), crc32c::crc32c(&longer));
        }

        #[test]
        fn any_length_combines_as_elsewhere(first: u32, second: u32, bytes in 0..1_u64 << 50) {
            let length = usize::try_from(bytes).unwrap();
            prop_assert_eq!(combine(first, second, bytes), crc32c::crc32c_combine(first, second, length));
        }
    }
}
