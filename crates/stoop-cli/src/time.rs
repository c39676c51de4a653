//! Spans of time as they are typed: `500ms`, `2s`, `1.5s`, `1m`, `2h`. A number without a unit is refused: it would be seconds
//! to one reader and milliseconds to the next.

use std::time::Duration;

/// Units, the longer spelling of a common end first.
const UNITS: [(&str, f64); 4] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// Reads a span of time.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let unit = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    let Some((number, seconds)) = unit else {
        return Err("needs a unit, as in 500ms, 2s or 1m".into());
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = number.parse().ok().filter(|_| digits).ok_or("not a number, as in 500ms, 2s or 1m")?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| "too long".into())
}

/// Shows a span as it would be typed.
pub(crate) fn show(span: Duration) -> String {
    match (span.as_secs(), span.subsec_millis()) {
        (0, millis) => format!("{millis}ms"),
        (seconds, 0) if seconds % 60 == 0 => format!("{}m", seconds / 60),
        (seconds, 0) => format!("{seconds}s"),
        _ => format!("{}ms", span.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        for (text, millis) in
            [("500ms", 500), ("2s", 2000), ("1.5s", 1500), ("1m", 60_000), ("2h", 7_200_000), ("0s", 0)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "ms",
            "-1s",
            "1e3s",
            "infs",
            "NaNs",
            "1 s",
            "1d",
            "99999999999999999999h",
            "1.2.3s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_typed() {
        for millis in [0, 1, 500, 1000, 1500, 59_000, 60_000, 61_000, 3_600_000] {
            let span = Duration::from_millis(millis);
            assert_eq!(parse(&show(span)), Ok(span));
        }
    }
}
