//! Numbers as JSON writes them, read exactly. Does no I/O.

/// Returns whether the text is a JSON number, with nothing around it.
pub(super) fn is_number(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let ends = text.ends_with(|c: char| c.is_ascii_digit());
    starts && ends && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
}

/// Returns the value of a JSON number that is an integer, however it is written: `100`, `1e2`,
/// `100.0`. Returns `None` if it has a fraction, or exceeds 64 bits.
pub(super) fn integer(number: &str) -> Option<i128> {
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent),
        None => (number, "0"),
    };
    let (sign, magnitude) = match mantissa.strip_prefix('-') {
        Some(magnitude) => (-1, magnitude),
        None => (1, mantissa),
    };
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let trimmed = significant.trim_end_matches('0');
    // The number is `trimmed`, times ten to this power.
    let power = exponent.parse::<i64>().ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let power = power.checked_add(i64::try_from(significant.len() - trimmed.len()).ok()?)?;
    // 2 to the power of 64 has 20 digits.
    let power = u32::try_from(power).ok().filter(|&power| trimmed.len() + power as usize <= 20)?;
    Some(sign * trimmed.parse::<i128>().ok()? * 10_i128.pow(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_in_any_notation() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("0e99999999999999999999", 0),
            ("1e5", 100_000),
            ("1E+5", 100_000),
            ("1.5e1", 15),
            ("100.000", 100),
            ("1000e-3", 1),
            ("-9223372036854775808", i64::MIN.into()),
            ("18446744073709551615", u64::MAX.into()),
            ("1.8446744073709551615e19", u64::MAX.into()),
        ] {
            assert_eq!(integer(text), Some(value), "{text}");
        }
        for text in ["0.5", "1e-1", "1.05e1", "1e20", "1e99999999999999999999", "1e-99999999999999999999"] {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    #[test]
    fn only_json_numbers_are_numbers() {
        for text in ["0", "-1", "1.5", "1e5", "-2.5E-3"] {
            assert!(is_number(text), "{text}");
        }
        for text in ["", " 1", "1 ", "+1", "01", "1.", ".5", "0x1", "1e", "NaN", "-", "1_0", "--1", "١"] {
            assert!(!is_number(text), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn integers_survive_every_notation(value: i64, zeros in 0_usize..6) {
            let zeroes = "0".repeat(zeros);
            let texts = [
                value.to_string(),
                format!("{value}.{}0", zeroes),
                format!("{value}{zeroes}e-{zeros}"),
                format!("{value}E+0"),
            ];
            for text in texts {
                proptest::prop_assert!(is_number(&text), "{}", text);
                proptest::prop_assert_eq!(integer(&text), Some(value.into()), "{}", text);
            }
        }
    }
}
