//! The crates `parquet` and `tokenizers` mean to give errors for damaged files, but some of their
//! assertions still panic on them. Bad input is no bug of ours: such a panic becomes an error like
//! any other, and prints nothing.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// What `read` returns, or what it panicked with. What `read` changed before that must not be used.
///
/// # Errors
/// The message of the panic.
pub fn guarded<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let hook = take_hook();
        set_hook(Box::new(move |info| {
            if !READING.get() {
                hook(info);
            }
        }));
    });
    READING.set(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    READING.set(false);
    result.map_err(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        format!("it is damaged ({})", text.unwrap_or("the reader gave up"))
    })
}

#[cfg(test)]
mod tests {
    use super::guarded;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(guarded(|| 3), Ok(3));
        let error = guarded(|| [0][std::hint::black_box(1)]).unwrap_err();
        assert!(error.contains("index out of bounds"), "{error}");
    }
}
