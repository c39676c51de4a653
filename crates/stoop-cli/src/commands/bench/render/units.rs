//! Formats figures: three significant digits, and a suitable unit.

/// Formats three significant digits.
fn digits(number: f64) -> String {
    match number.abs() {
        n if n >= 99.95 => format!("{number:.0}"),
        n if n >= 9.995 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// Formats a number with the first unit in which it is below a thousand.
fn scaled(number: f64, units: &[(f64, &str)]) -> String {
    let last = units.last().copied().unwrap_or((1.0, ""));
    // A number that would be rounded up to a thousand gets the next unit.
    let (factor, unit) = units.iter().copied().find(|(factor, _)| number / factor < 999.5).unwrap_or(last);
    format!("{} {unit}", digits(number / factor))
}

/// Formats a time in microseconds.
pub(in crate::commands::bench) fn micros(us: f64) -> String {
    scaled(us * 1e3, &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")])
}

/// Formats messages per second.
pub(in crate::commands::bench) fn rate(per_second: f64) -> String {
    scaled(per_second, &[(1.0, "/s"), (1e3, "k/s"), (1e6, "M/s")])
}

/// Formats bytes per second.
pub(in crate::commands::bench) fn bytes_rate(per_second: f64) -> String {
    const KI: f64 = 1024.0;
    let units = [(1.0, "B/s"), (KI, "KiB/s"), (KI * KI, "MiB/s"), (KI * KI * KI, "GiB/s")];
    scaled(per_second, &units)
}

/// Removes trailing zeros of a round number.
pub(in crate::commands::bench) fn round(shown: &str) -> String {
    shown.replacen(".00 ", " ", 1).replacen(".0 ", " ", 1)
}

/// Formats a message size in bytes.
pub(in crate::commands::bench) fn size(bytes: usize) -> String {
    match bytes {
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        let shown =
            [micros(0.0571), micros(9.994), micros(9.996), micros(66.66), micros(999.4), micros(999.6)];
        assert_eq!(shown, ["57.1 ns", "9.99 µs", "10.0 µs", "66.7 µs", "999 µs", "1.00 ms"]);
        assert_eq!(micros(2.5e7), "25.0 s");
        assert_eq!([round("10.0 µs"), round("1.00 M/s"), round("2.50 s")], ["10 µs", "1 M/s", "2.50 s"]);
        assert_eq!([rate(12.0), rate(412_345.0), rate(4e7)], ["12.0 /s", "412 k/s", "40.0 M/s"]);
        assert_eq!(bytes_rate(5.5 * 1024.0 * 1024.0 * 1024.0), "5.50 GiB/s");
    }

    #[test]
    fn sizes_are_exact() {
        let shown = [64, 1000, 1024, 1536, 65536, 1 << 20].map(size);
        assert_eq!(shown, ["64 B", "1000 B", "1 KiB", "1536 B", "64 KiB", "1 MiB"]);
    }
}
