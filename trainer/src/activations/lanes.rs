//! Stored numbers made float32, sixteen at a time: the hardware's conversion where the processor has one, and
//! portable code elsewhere. Loops over these lanes are written so that the compiler turns them into vectors.

use half::{bf16, f16};

/// Numbers converted at once.
pub(crate) const LANES: usize = 16;

/// A number format of the store.
pub(crate) trait Stored {
    /// Bytes of one number.
    const BYTES: usize;

    /// One number from its little-endian bytes.
    fn one(bytes: &[u8]) -> f32;

    /// [`LANES`] numbers from their little-endian bytes.
    fn lanes(bytes: &[u8]) -> [f32; LANES];
}

/// float32.
pub(crate) struct Single;

/// bfloat16.
pub(crate) struct Brain;

/// float16, without help from the processor.
pub(crate) struct HalfPortable;

/// float16, converted by the `F16C` instructions: only to be used where the processor has them.
#[cfg(target_arch = "x86_64")]
pub(crate) struct HalfHardware;

#[inline(always)]
#[expect(clippy::inline_always, reason = "must be compiled with the features of the kernel that calls it")]
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}

macro_rules! lanes_of_ones {
    () => {
        #[inline(always)]
        fn lanes(bytes: &[u8]) -> [f32; LANES] {
            let bytes = &bytes[..LANES * Self::BYTES];
            std::array::from_fn(|lane| Self::one(&bytes[lane * Self::BYTES..]))
        }
    };
}

#[expect(clippy::inline_always, reason = "must be compiled with the features of the kernel that calls it")]
impl Stored for Single {
    const BYTES: usize = 4;

    #[inline(always)]
    fn one(bytes: &[u8]) -> f32 {
        f32::from_le_bytes(array(bytes))
    }

    lanes_of_ones!();
}

#[expect(clippy::inline_always, reason = "must be compiled with the features of the kernel that calls it")]
impl Stored for Brain {
    const BYTES: usize = 2;

    #[inline(always)]
    fn one(bytes: &[u8]) -> f32 {
        // A bfloat16 is the upper half of a float32; `half` would quiet signalling NaNs, which no store holds.
        f32::from_bits(u32::from(bf16::from_le_bytes(array(bytes)).to_bits()) << 16)
    }

    lanes_of_ones!();
}

#[expect(clippy::inline_always, reason = "must be compiled with the features of the kernel that calls it")]
impl Stored for HalfPortable {
    const BYTES: usize = 2;

    #[inline(always)]
    fn one(bytes: &[u8]) -> f32 {
        f16::from_le_bytes(array(bytes)).to_f32_const()
    }

    lanes_of_ones!();
}

#[cfg(target_arch = "x86_64")]
#[expect(clippy::inline_always, reason = "must be compiled with the features of the kernel that calls it")]
impl Stored for HalfHardware {
    const BYTES: usize = 2;

    #[inline(always)]
    fn one(bytes: &[u8]) -> f32 {
        HalfPortable::one(bytes)
    }

    #[inline(always)]
    fn lanes(bytes: &[u8]) -> [f32; LANES] {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm256_cvtph_ps, _mm256_storeu_ps};
        let bytes = &bytes[..LANES * 2];
        let mut lanes = [0.0; LANES];
        #[expect(unsafe_code, reason = "the conversion instruction is offered for bare pointers only")]
        // SAFETY: the slice holds 32 bytes and the array 16 floats, and none of these instructions asks for
        // alignment. `kernels` uses this type only after it found F16C on the processor.
        unsafe {
            let halves = bytes.as_ptr().cast::<__m128i>();
            _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_cvtph_ps(_mm_loadu_si128(halves)));
            _mm256_storeu_ps(lanes.as_mut_ptr().add(8), _mm256_cvtph_ps(_mm_loadu_si128(halves.add(1))));
        }
        lanes
    }
}
