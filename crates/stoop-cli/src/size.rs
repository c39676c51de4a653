//! Numbers of bytes on the command line: `4096`, `64K`, `16M`, `1G`.

/// Parses a number of bytes: 4096, 64K, 16M, 1G.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" => Some(1),
        "K" | "k" => Some(1 << 10),
        "M" | "m" => Some(1 << 20),
        "G" | "g" => Some(1 << 30),
        _ => None,
    };
    let bytes = unit.zip(digits.parse::<u64>().ok()).and_then(|(unit, number)| number.checked_mul(unit));
    bytes.filter(|&bytes| bytes > 0).ok_or_else(|| "not a size, as in 4096, 64K, 16M".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_parsed() {
        assert_eq!(parse("100M"), Ok(100 << 20));
        assert_eq!((parse("4096"), parse("64K"), parse("16M")), (Ok(4096), Ok(65536), Ok(16 << 20)));
        for wrong in ["", "M", "0", "-1", "1T", "1.5M", "99999999999G", "99999999999999999999G"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
