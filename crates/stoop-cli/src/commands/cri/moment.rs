//! Times: nanoseconds since 1970, as the interface and log files write them. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::time;

const NANOS: i64 = 1_000_000_000;

/// Returns the nanoseconds of a time.
pub(super) fn nanos(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Formats a time in UTC, as in `2026-11-29T10:00:00.123456789Z`.
pub(super) fn rfc3339(nanos: i64) -> String {
    let (seconds, rest) = (nanos.div_euclid(NANOS), nanos.rem_euclid(NANOS));
    let whole = time::utc(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default()));
    match rest {
        0 => whole,
        _ => whole.replace('Z', format!(".{rest:09}").trim_end_matches('0')) + "Z",
    }
}

/// Parses a time, as in `2026-11-29T10:00:00.123456789+01:00`.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (date, clock) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-').map(digits);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let end = clock.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = clock.split_at(end);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut clock = clock.splitn(3, ':').map(digits);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let fits =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let fraction = digits(&format!("{fraction:0<9}")[..9])?;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset(zone)?;
    // Times that do not fit are as far away as any.
    fits.then(|| seconds.saturating_mul(NANOS).saturating_add(fraction))
}

/// Parses at most nine digits.
fn digits(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// Returns the seconds by which a zone is ahead of UTC: `Z`, `+01:00`.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let ahead = digits(hours)? * 3600 + digits(minutes)? * 60;
    Some(if zone.starts_with('-') { -ahead } else { ahead })
}

/// Returns the days from 1970 to a date. Years are counted from March, so that the leap day is the
/// last day.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// The start of what is of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// This long ago.
    Ago(Duration),
    At(i64),
}

impl Since {
    pub(super) fn nanos(self, now: i64) -> i64 {
        match self {
            Since::Ago(span) => now.saturating_sub(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)),
            Since::At(nanos) => nanos,
        }
    }
}

/// Parses a duration or a time.
pub(super) fn since(text: &str) -> Result<Since, &'static str> {
    let ago = time::parse(text).map(Since::Ago).ok();
    ago.or_else(|| parse(text).map(Since::At))
        .ok_or("not a duration or a time, as in 10m or 2026-11-29T10:00:00Z")
}

/// Formats how long ago something happened, in the words of crictl.
pub(super) fn ago(then: i64, now: i64) -> String {
    let seconds = now.saturating_sub(then).max(0) / NANOS;
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    let span = match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 14 => format!("{} days", hours / 24),
        () if hours < 24 * 60 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 730 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    };
    format!("{span} ago")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_parsed() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2000-02-29T01:30:00+01:30", 951_782_400),
            ("2024-02-29T18:59:59-05:00", 1_709_251_199),
        ] {
            assert_eq!(parse(text), Some(seconds * NANOS), "{text}");
        }
        assert_eq!(parse("1970-01-01T00:00:01.000000002Z"), Some(NANOS + 2));
        assert_eq!(parse("1970-01-01T00:00:01.5Z"), Some(NANOS + NANOS / 2));
        for wrong in
            ["", "10m", "2026-11-29", "2026-13-01T00:00:00Z", "2026-11-29T25:00:00Z", "2026-11-29T00:00:00"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ages_are_worded() {
        let of = |seconds: i64| ago(0, seconds * NANOS);
        let table = [
            (0, "Less than a second ago"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (60, "About a minute ago"),
            (150, "2 minutes ago"),
            (3600, "About an hour ago"),
            (7200, "2 hours ago"),
            (3 * 86_400, "3 days ago"),
            (21 * 86_400, "3 weeks ago"),
            (90 * 86_400, "3 months ago"),
            (800 * 86_400, "2 years ago"),
        ];
        for (seconds, text) in table {
            assert_eq!(of(seconds), text);
        }
        assert_eq!(ago(5 * NANOS, 0), "Less than a second ago", "a clock that was set back");
    }

    proptest! {
        #[test]
        fn what_is_formatted_is_parsed_back(nanos in 0..i64::MAX) {
            prop_assert_eq!(parse(&rfc3339(nanos)), Some(nanos));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}", clock in "[0-9T:.Z+-]{0,40}") {
            let _ = (parse(&text), parse(&clock));
        }
    }
}
