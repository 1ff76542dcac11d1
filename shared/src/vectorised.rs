//! Loops over float32 numbers compiled for the widest vectors that the CPU has, which is found out when they
//! run. Products are never fused with additions, so that every CPU gives the same bits.

/// Defines a function whose loops the compiler may turn into AVX-512 or AVX2 instructions; the CPU that it
/// runs on decides which version is called.
#[macro_export]
macro_rules! vectorised {
    ($(#[$meta:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        $visibility fn $name($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::inline_always, reason = "each version is compiled with its own CPU features")]
            fn body($($argument: $type),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl")]
                fn wide($($argument: $type),*) $(-> $result)? {
                    body($($argument),*)
                }
                #[target_feature(enable = "avx2")]
                fn medium($($argument: $type),*) $(-> $result)? {
                    body($($argument),*)
                }
                if std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                {
                    #[allow(unsafe_code, reason = "code for CPU features must be called as unsafe")]
                    // SAFETY: the features have just been found on this CPU.
                    return unsafe { wide($($argument),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    #[allow(unsafe_code, reason = "code for CPU features must be called as unsafe")]
                    // SAFETY: the feature has just been found on this CPU.
                    return unsafe { medium($($argument),*) };
                }
            }
            body($($argument),*)
        }
    };
}
