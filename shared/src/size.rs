//! Numbers of bytes as people type and read them.

/// Units of bytes: powers of ten, as disks are sold, and powers of two, as memory is.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// A text that is no number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no number of bytes: expected a number, with a unit or without, such as 64MB, 1.5GiB or 512000000"
)]
pub struct SizeError {
    /// The text.
    pub text: String,
}

/// Reads a number of bytes: `512000000`, `64MB`, `1.5 GiB`. Upper and lower case are the same; a
/// unit may be without its B.
///
/// # Errors
/// When it is no number of bytes, or more than 64 bits hold.
pub fn parse_bytes(text: &str) -> Result<u64, SizeError> {
    let error = || SizeError {
        text: text.to_owned(),
    };
    let trimmed = text.trim();
    let end = trimmed
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let unit = unit_bytes(unit.trim()).ok_or_else(error)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().map_err(|_| error())?;
    if number.ends_with('.') || fraction.len() > 9 {
        return Err(error());
    }
    let bytes = whole.checked_mul(unit).ok_or_else(error)?;
    let mut part = 0;
    if !fraction.is_empty() {
        let digits: u64 = fraction.parse().map_err(|_| error())?;
        let scale = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| error())?);
        let scaled = u128::from(digits) * u128::from(unit) / scale;
        part = u64::try_from(scaled).map_err(|_| error())?;
    }
    bytes.checked_add(part).ok_or_else(error)
}

fn unit_bytes(unit: &str) -> Option<u64> {
    if unit.is_empty() {
        return Some(1);
    }
    let names = |name: &str| {
        let short = name.strip_suffix('B').filter(|short| !short.is_empty());
        unit.eq_ignore_ascii_case(name)
            || short.is_some_and(|short| unit.eq_ignore_ascii_case(short))
    };
    let found = UNITS.iter().find(|(name, _)| names(name));
    found.map(|(_, bytes)| *bytes)
}

/// A number of bytes for a person, with one decimal in powers of ten: `1.5 GB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "for a person to read")]
pub fn format_bytes(bytes: u64) -> String {
    let powers_of_ten = UNITS[1..5].iter().rev();
    let mut fitting = powers_of_ten.filter(|(_, unit)| bytes >= *unit);
    match fitting.next() {
        Some((name, unit)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_or_none() {
        for (text, bytes) in [
            ("0", 0),
            ("512000000", 512_000_000),
            ("64MB", 64_000_000),
            ("64 mb", 64_000_000),
            ("64M", 64_000_000),
            ("100B", 100),
            ("1GiB", 1 << 30),
            ("1gi", 1 << 30),
            ("1.5GiB", 3 << 29),
            ("0.25 kB", 250),
            (" 2TB ", 2_000_000_000_000),
            ("3KiB", 3072),
            ("2MiB", 2_097_152),
            ("1TiB", 1_099_511_627_776),
            ("1.123456789GB", 1_123_456_789),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_quoted_with_what_would_be() {
        for text in [
            "",
            "MB",
            "-1",
            "1.",
            ".5MB",
            "1.2.3",
            "64 parrots",
            "1e6",
            "99999999999999999999",
            "17179869184GiB",
            "64MBB",
            "1.0000000001GB",
        ] {
            let error = parse_bytes(text).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("64MB"), "{error}");
        }
    }

    #[test]
    fn people_read_sizes_in_powers_of_ten() {
        assert_eq!(format_bytes(999), "999 bytes");
        assert_eq!(format_bytes(1000), "1.0 kB");
        assert_eq!(format_bytes(2_048_000), "2.0 MB");
        assert_eq!(format_bytes(1_500_000_000), "1.5 GB");
        assert_eq!(format_bytes(32_000_000_000_000), "32.0 TB");
    }
}
