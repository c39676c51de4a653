//! The JSON forms of `Timestamp` (RFC 3339) and `Duration`. Does no I/O.

use std::fmt::Write;

/// The seconds of 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, the limits of a timestamp.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// The limit of a duration: about 10,000 years.
const DURATION_MAX_SECONDS: u64 = 315_576_000_000;

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// Returns a timestamp in RFC 3339, or `None` if it is not valid.
pub(super) fn timestamp_text(seconds: i64, nanos: i32) -> Option<String> {
    let nanos = u32::try_from(nanos).ok().filter(|&nanos| nanos < NANOS_PER_SECOND)?;
    if !TIMESTAMP_SECONDS.contains(&seconds) {
        return None;
    }
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    fraction(&mut text, nanos);
    text.push('Z');
    Some(text)
}

/// Returns the seconds and nanoseconds of a time in RFC 3339.
pub(super) fn timestamp(text: &str) -> Option<(i64, i32)> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, rest) = rest.strip_prefix('T')?.split_at_checked(8)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let is_time = hour < 24 && minute < 60 && second < 60;
    if !is_time || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let (nanos, zone) = nanos(rest)?;
    let local = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let seconds = local - offset(zone)?;
    TIMESTAMP_SECONDS.contains(&seconds).then_some((seconds, nanos))
}

/// Returns the seconds of an offset from UTC: `Z`, `+01:00`.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let [hours, minutes] = numbers(zone.get(1..)?, ':', [2, 2])?;
    (hours < 24 && minutes < 60).then(|| sign * (hours * 3600 + minutes * 60))
}

/// Returns a duration in seconds, or `None` if it is not valid.
pub(super) fn duration_text(seconds: i64, nanos: i32) -> Option<String> {
    let is_negative = seconds < 0 || nanos < 0;
    let agrees = !(seconds > 0 && nanos < 0 || seconds < 0 && nanos > 0);
    let in_range = seconds.unsigned_abs() <= DURATION_MAX_SECONDS && nanos.unsigned_abs() < NANOS_PER_SECOND;
    if !agrees || !in_range {
        return None;
    }
    let mut text = format!("{}{}", if is_negative { "-" } else { "" }, seconds.unsigned_abs());
    fraction(&mut text, nanos.unsigned_abs());
    text.push('s');
    Some(text)
}

/// Returns the seconds and nanoseconds of a duration.
pub(super) fn duration(text: &str) -> Option<(i64, i32)> {
    let (sign, magnitude) = match text.strip_prefix('-') {
        Some(magnitude) => (-1, magnitude),
        None => (1, text),
    };
    let end = magnitude.find(|c: char| !c.is_ascii_digit())?;
    let seconds = magnitude[..end].parse::<i64>().ok()?;
    let (nanos, unit) = nanos(&magnitude[end..])?;
    let in_range = seconds.unsigned_abs() <= DURATION_MAX_SECONDS;
    (unit == "s" && in_range).then_some((sign * seconds, sign as i32 * nanos))
}

/// Appends a fraction of a second with three, six or nine digits, as many as it needs.
fn fraction(text: &mut String, nanos: u32) {
    let result = match nanos {
        0 => Ok(()),
        _ if nanos.is_multiple_of(1_000_000) => write!(text, ".{:03}", nanos / 1_000_000),
        _ if nanos.is_multiple_of(1_000) => write!(text, ".{:06}", nanos / 1_000),
        _ => write!(text, ".{nanos:09}"),
    };
    // Writing to a string cannot fail.
    let _ = result;
}

/// Reads a fraction of one to nine digits, if there is one, and returns what follows.
fn nanos(text: &str) -> Option<(i32, &str)> {
    let Some(text) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if !(1..=9).contains(&digits.len()) {
        return None;
    }
    Some((format!("{digits:0<9}").parse().ok()?, rest))
}

/// Reads numbers of exactly these widths.
fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width)?;
        *number = part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(numbers)
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the days since 1970-01-01 of a date in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March have their leap day at the end.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + day_of_year - 719_468
}

/// Returns the date of a day, counted from 1970-01-01.
fn date(days_since: i64) -> (i64, i64, i64) {
    // The mean length of a year gives the year, or one beside it.
    let mut year = 1970 + days_since * 400 / 146_097;
    while days(year, 1, 1) > days_since {
        year -= 1;
    }
    while days(year + 1, 1, 1) <= days_since {
        year += 1;
    }
    let mut day = days_since - days(year, 1, 1) + 1;
    let mut month = 1;
    while day > days_in(year, month) {
        day -= days_in(year, month);
        month += 1;
    }
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339() {
        for (text, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("0001-01-01T00:00:00Z", -62_135_596_800, 0),
            ("9999-12-31T23:59:59.999999999Z", 253_402_300_799, 999_999_999),
            ("1969-12-31T23:59:59.500Z", -1, 500_000_000),
            ("2000-02-29T12:30:00.000001Z", 951_827_400, 1000),
            ("2024-02-29T23:59:59Z", 1_709_251_199, 0),
        ] {
            assert_eq!(timestamp(text), Some((seconds, nanos)), "{text}");
            assert_eq!(timestamp_text(seconds, nanos).as_deref(), Some(text));
        }
        assert_eq!(timestamp("1970-01-01T08:00:01.1+08:00"), Some((1, 100_000_000)));
        assert_eq!(timestamp("1969-12-31T16:00:01-08:00"), Some((1, 0)));
        for wrong in [
            "",
            "1970-01-01T00:00:00",
            "1970-01-01t00:00:00Z",
            "1970-01-01T00:00:00z",
            "1970-01-01 00:00:00Z",
            "1970-01-01T00:00:60Z",
            "1970-01-01T24:00:00Z",
            "1970-02-29T00:00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-00-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.1234567890Z",
            "1970-01-01T00:00:00+0100",
            "1970-01-01T00:00:00+24:00",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "1970-01-01T00:00:00Zx",
            "197é-01-01T00:00:00Z",
        ] {
            assert_eq!(timestamp(wrong), None, "{wrong}");
        }
        for (seconds, nanos) in [(i64::MAX, 0), (253_402_300_800, 0), (0, -1), (0, 1_000_000_000)] {
            assert_eq!(timestamp_text(seconds, nanos), None, "{seconds} {nanos}");
        }
    }

    #[test]
    fn durations_have_one_sign() {
        for (text, seconds, nanos) in [
            ("0s", 0, 0),
            ("1.500s", 1, 500_000_000),
            ("-1.500s", -1, -500_000_000),
            ("-0.000000001s", 0, -1),
            ("315576000000.999999999s", 315_576_000_000, 999_999_999),
            ("-315576000000s", -315_576_000_000, 0),
        ] {
            assert_eq!(duration(text), Some((seconds, nanos)), "{text}");
            assert_eq!(duration_text(seconds, nanos).as_deref(), Some(text));
        }
        for wrong in
            ["", "1", "s", "1.s", ".5s", "+1s", "--1s", "1m", "1.0123456789s", "315576000001s", "1s "]
        {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        for (seconds, nanos) in [(1, -1), (-1, 1), (0, i32::MIN), (315_576_000_001, 0), (i64::MIN, 0)] {
            assert_eq!(duration_text(seconds, nanos), None, "{seconds} {nanos}");
        }
    }

    proptest::proptest! {
        #[test]
        fn times_round_trip(seconds in TIMESTAMP_SECONDS, nanos in 0..1_000_000_000_i32) {
            let text = timestamp_text(seconds, nanos).unwrap();
            proptest::prop_assert_eq!(timestamp(&text), Some((seconds, nanos)), "{}", text);
        }

        #[test]
        fn any_text_is_read_or_rejected(text in "[-0-9TZ:.+s]{0,40}") {
            let _ = (timestamp(&text), duration(&text));
        }

        #[test]
        fn days_follow_each_other(day in -719_162_i64..2_932_896) {
            let (year, month, of_month) = date(day);
            proptest::prop_assert_eq!(days(year, month, of_month), day);
        }
    }
}
