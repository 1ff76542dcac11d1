//! Conversion of stored numbers to float32: by instructions of the CPU where it has them, else by
//! portable code.

use cache::{StoreDtype, rotation, rows};
use half::{bf16, f16};

/// `values [hidden]` = the values of the stored vector `bytes`.
///
/// # Panics
/// Fewer bytes than values ask for.
pub(crate) fn widen(dtype: StoreDtype, bytes: &[u8], values: &mut [f32]) {
    widen_as_stored(dtype, bytes, values);
    if is_rotated(dtype) {
        rotation::unrotate(values);
    }
}

/// Whether vectors are stored rotated, so that sums of them have to be turned back.
pub(crate) const fn is_rotated(dtype: StoreDtype) -> bool {
    matches!(dtype, StoreDtype::I4)
}

/// `values [hidden]` = the little-endian numbers of the stored vector `bytes`, one for each: rotated where they are
/// stored so.
///
/// # Panics
/// Fewer bytes than values ask for.
pub(crate) fn widen_as_stored(dtype: StoreDtype, bytes: &[u8], values: &mut [f32]) {
    let bytes = &bytes[..dtype.vector_bytes(values.len())];
    match dtype {
        StoreDtype::F16 => widen_half(bytes, values),
        StoreDtype::F32 => {
            for (value, bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        StoreDtype::I8 => {
            let (numbers, scale) = bytes.split_at(values.len());
            let scale = scale.try_into().map_or(0.0, f32::from_le_bytes);
            for (value, &number) in values.iter_mut().zip(numbers) {
                *value = f32::from(i8::from_le_bytes([number])) * scale;
            }
        }
        StoreDtype::I4 => rows::unpack_int4(bytes, values),
        StoreDtype::Bf16 => {
            for (value, bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_bits(u32::from(bf16::from_le_bytes(*bytes).to_bits()) << 16);
            }
        }
    }
}

fn widen_half(bytes: &[u8], values: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            #[expect(unsafe_code, reason = "code for CPU features must be called as unsafe")]
            // SAFETY: the feature has just been found on this CPU.
            unsafe {
                return hardware::widen_sixteen(bytes, values);
            }
        }
        if is_x86_feature_detected!("avx") && is_x86_feature_detected!("f16c") {
            #[expect(unsafe_code, reason = "code for CPU features must be called as unsafe")]
            // SAFETY: the features have just been found on this CPU.
            unsafe {
                return hardware::widen_eight(bytes, values);
            }
        }
    }
    widen_half_portably(bytes, values);
}

fn widen_half_portably(bytes: &[u8], values: &mut [f32]) {
    for (value, bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
        *value = f16::from_le_bytes(*bytes).to_f32_const();
    }
}

#[cfg(target_arch = "x86_64")]
mod hardware {
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm256_cvtph_ps, _mm256_loadu_si256, _mm256_storeu_ps, _mm512_cvtph_ps,
        _mm512_storeu_ps,
    };

    #[target_feature(enable = "avx512f")]
    pub(super) fn widen_sixteen(bytes: &[u8], values: &mut [f32]) {
        let ((sixteens, rest), (blocks, last)) =
            (bytes.as_chunks::<32>(), values.as_chunks_mut::<16>());
        for (bytes, block) in sixteens.iter().zip(blocks) {
            #[expect(
                unsafe_code,
                reason = "the conversion instruction is offered for bare pointers only"
            )]
            // SAFETY: 32 bytes are read and 16 numbers written, as many as there are; no alignment is asked for.
            unsafe {
                _mm512_storeu_ps(
                    block.as_mut_ptr(),
                    _mm512_cvtph_ps(_mm256_loadu_si256(bytes.as_ptr().cast())),
                );
            }
        }
        super::widen_half_portably(rest, last);
    }

    #[target_feature(enable = "avx,f16c")]
    pub(super) fn widen_eight(bytes: &[u8], values: &mut [f32]) {
        let ((eights, rest), (blocks, last)) =
            (bytes.as_chunks::<16>(), values.as_chunks_mut::<8>());
        for (bytes, block) in eights.iter().zip(blocks) {
            #[expect(
                unsafe_code,
                reason = "the conversion instruction is offered for bare pointers only"
            )]
            // SAFETY: 16 bytes are read and 8 numbers written, as many as there are; no alignment is asked for.
            unsafe {
                _mm256_storeu_ps(
                    block.as_mut_ptr(),
                    _mm256_cvtph_ps(_mm_loadu_si128(bytes.as_ptr().cast())),
                );
            }
        }
        super::widen_half_portably(rest, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every float16 there is, with each version that this CPU runs.
    #[test]
    fn float16_is_converted_as_half_converts_it() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let check = |widen: &dyn Fn(&[u8], &mut [f32])| {
            // 65,535 numbers do not fill the last block.
            let mut values = vec![0.0; (1 << 16) - 1];
            widen(&bytes[2..], &mut values);
            for (bits, value) in (1..=u16::MAX).zip(values) {
                let expected = f16::from_bits(bits).to_f32();
                assert!(
                    value.to_bits() == expected.to_bits() || (value.is_nan() && expected.is_nan()),
                    "{bits:#x}"
                );
            }
        };
        check(&widen_half);
        check(&widen_half_portably);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx") && is_x86_feature_detected!("f16c") {
            #[expect(unsafe_code, reason = "code for CPU features must be called as unsafe")]
            // SAFETY: the features have just been found on this CPU.
            check(&|bytes, values| unsafe { hardware::widen_eight(bytes, values) });
        }
    }
}
