//! How an input is split where a parser reads several files, or files in several ways.

/// The last byte chooses among ways to read what is before it. Inputs that come from files end with
/// a newline, or with the bracket of a JSON object: they are way 0, and stay whole.
pub(crate) fn way(input: &[u8], ways: u8) -> (u8, &[u8]) {
    match input {
        [before @ .., last] if last.is_ascii_control() && *last != b'\n' => (last % ways, before),
        _ => (0, input),
    }
}

/// The files in an input, separated by bytes 255, which are in no UTF-8 text.
pub(crate) fn files(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split(|&byte| byte == u8::MAX)
}
