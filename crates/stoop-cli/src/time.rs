//! Durations on the command line: `500ms`, `2s`, `1.5s`, `1m`, `2h`. A number without a unit is in
//! seconds, as in curl, timeout and sleep.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The units. Of two with a common ending, the longer is first.
const UNITS: [(&str, f64); 4] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// Parses a duration.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let unit = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let (number, seconds) = unit.unwrap_or((text, 1.0));
    let digits = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if let (true, Ok(count)) = (digits, number.parse()) {
        return whole(count, Duration::from_secs_f64(seconds)).ok_or_else(|| "too long".into());
    }
    let number: f64 =
        number.parse().ok().filter(|_| digits).ok_or("not a duration, as in 2, 500ms, 2s or 1m")?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| "too long".into())
}

/// Multiplies exactly, as fractions of seconds are not.
fn whole(count: u64, unit: Duration) -> Option<Duration> {
    let nanos = unit.as_nanos() * u128::from(count);
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    Some(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
}

/// Formats a duration as it would be typed.
pub(crate) fn show(span: Duration) -> String {
    match (span.as_secs(), span.subsec_millis()) {
        (0, millis) => format!("{millis}ms"),
        (seconds, 0) if seconds % 60 == 0 => format!("{}m", seconds / 60),
        (seconds, 0) => format!("{seconds}s"),
        _ => format!("{}ms", span.as_millis()),
    }
}

/// Formats a long duration in its two largest units: `3d 4h`, `12m 5s`, `8s`.
pub(crate) fn about(span: Duration) -> String {
    let seconds = span.as_secs();
    let parts =
        [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let from = parts.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let shown = parts[from..].iter().take(2).filter(|(count, _)| *count > 0 || from == 3);
    shown.map(|(count, unit)| format!("{count}{unit}")).collect::<Vec<_>>().join(" ")
}

/// Formats a time in UTC, as in `2026-11-22T22:10:03Z`. Times before 1970 are shown as its start.
pub(crate) fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Formats a time in UTC to the millisecond, as in `2026-11-22T22:10:03.250Z`.
pub(crate) fn utc_millis(time: SystemTime) -> String {
    let millis = time.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_millis();
    utc(time).replace('Z', &format!(".{millis:03}Z"))
}

/// Converts days since 1970 to year, month and day. Years are counted from March, so that the leap
/// day is the last day.
fn civil(days: u64) -> (u64, u64, u64) {
    const OF_400_YEARS: u64 = 146_097;
    let days = days + 719_468;
    let (cycle, day) = (days / OF_400_YEARS, days % OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (cycle * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_durations_are_shown_in_two_units() {
        let table = [(0, "0s"), (8, "8s"), (725, "12m 5s"), (3600, "1h"), (273_600, "3d 4h"), (86_401, "1d")];
        for (seconds, text) in table {
            assert_eq!(about(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn times_are_shown_in_utc() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
        ];
        for (seconds, text) in table {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn times_are_shown_to_the_millisecond() {
        let time = UNIX_EPOCH + Duration::from_millis(951_782_400_007);
        assert_eq!(utc_millis(time), "2000-02-29T00:00:00.007Z");
    }

    #[test]
    fn durations_are_parsed() {
        for (text, millis) in [
            ("500ms", 500),
            ("999999990990ms", 999_999_990_990),
            ("2s", 2000),
            ("1.5s", 1500),
            ("1m", 60_000),
            ("2h", 7_200_000),
            ("0s", 0),
            ("5", 5000),
            ("0.2", 200),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn invalid_durations_are_rejected() {
        for text in [
            "",
            ".",
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
    fn shown_durations_can_be_parsed() {
        for millis in [0, 1, 500, 1000, 1500, 59_000, 60_000, 61_000, 3_600_000] {
            let span = Duration::from_millis(millis);
            assert_eq!(parse(&show(span)), Ok(span));
        }
    }
}
