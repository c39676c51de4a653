//! The faults of one direction, and their notation. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use stoop::Kind;

/// The faults of one direction.
///
/// Written as a list: `delay=50ms±20ms,rate=1MiB/s,corrupt=0.1%`.
///
/// | fault | effect |
/// |---|---|
/// | `delay=50ms`, `delay=50ms±20ms` | everything arrives so much later |
/// | `rate=1MiB/s` | no more than so many bytes a second pass |
/// | `corrupt=1%` | a byte is changed: the chance for each KiB of a stream, and for each message |
/// | `drop=1%`, `dup=1%` | messages are lost, or arrive twice |
/// | `reset=1%` | the connection is reset: the chance for each KiB, and for each message |
/// | `reset-after=10KiB` | the connection is reset after so many bytes (of messages: so many) |
/// | `stall-after=10KiB` | nothing more passes after so many bytes (messages) |
/// | `halfopen` | bytes and the end are taken, and never arrive |
/// | `refuse`, `refuse=10%` | clients are closed at once |
///
/// A reset closes the connection while bytes of its sender are unread, which the sender sees as
/// ECONNRESET ([K-END-3]); the other end sees the end of the connection, or over TCP a reset.
///
/// ```
/// use stoop_relay::fault::Faults;
///
/// let faults: Faults = "delay=50ms±20ms,rate=1MiB/s".parse()?;
/// assert_eq!(faults.to_string(), "delay=50ms±20ms,rate=1MiB/s");
/// assert!("delay=soon".parse::<Faults>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [K-END-3]: stoop::kernel_facts#K-END-3
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    /// Bytes a second.
    pub(super) rate: Option<u64>,
    pub(super) corrupt: f64,
    pub(super) drop: f64,
    pub(super) duplicate: f64,
    pub(super) reset: f64,
    pub(super) reset_after: Option<u64>,
    pub(super) stall_after: Option<u64>,
    pub(super) is_half_open: bool,
    pub(super) refuse: f64,
}

/// The error of a text that is not a list of faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultsError(String);

impl fmt::Display for FaultsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FaultsError {}

impl Faults {
    /// Returns whether everything passes as it came.
    pub fn is_empty(&self) -> bool {
        *self == Faults::default()
    }

    /// Returns the fault that sockets of a kind cannot have: streams lose and double nothing, and
    /// datagrams have no connection to reset.
    pub fn impossible_for(&self, kind: Kind) -> Option<&'static str> {
        let found = match kind {
            Kind::Stream => [("drop", self.drop > 0.0), ("dup", self.duplicate > 0.0)],
            Kind::Datagram => [("reset", self.reset > 0.0), ("reset-after", self.reset_after.is_some())],
            Kind::SeqPacket => return None,
        };
        found.into_iter().find_map(|(name, is_set)| is_set.then_some(name))
    }

    /// Returns whether what comes, and the end, never arrive.
    pub(crate) fn is_half_open(&self) -> bool {
        self.is_half_open
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), String> {
        let needed = value.ok_or_else(|| format!("'{name}' needs a value, or is not a fault"));
        match name {
            "delay" => (self.delay, self.jitter) = delay(needed?)?,
            "rate" => self.rate = Some(rate(needed?)?),
            "corrupt" => self.corrupt = chance(needed?)?,
            "drop" => self.drop = chance(needed?)?,
            "dup" => self.duplicate = chance(needed?)?,
            "reset" => self.reset = chance(needed?)?,
            "reset-after" => self.reset_after = Some(size(needed?)?),
            "stall-after" => self.stall_after = Some(size(needed?)?),
            "refuse" => self.refuse = value.map_or(Ok(1.0), chance)?,
            "halfopen" if value.is_none() => self.is_half_open = true,
            "halfopen" => return Err("'halfopen' has no value".into()),
            _ => return Err(format!("'{name}' is not a fault")),
        }
        Ok(())
    }
}

impl FromStr for Faults {
    type Err = FaultsError;

    fn from_str(text: &str) -> Result<Faults, FaultsError> {
        let mut faults = Faults::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim())),
                None => (part, None),
            };
            faults.set(name, value).map_err(FaultsError)?;
        }
        Ok(faults)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match (self.delay, self.jitter) {
            (Duration::ZERO, Duration::ZERO) => {}
            (delay, Duration::ZERO) => parts.push(format!("delay={delay:?}")),
            (delay, jitter) => parts.push(format!("delay={delay:?}±{jitter:?}")),
        }
        parts.extend(self.rate.map(|rate| format!("rate={}/s", show_size(rate))));
        let chances = [
            ("corrupt", self.corrupt),
            ("drop", self.drop),
            ("dup", self.duplicate),
            ("reset", self.reset),
            ("refuse", self.refuse),
        ];
        let chances = chances.into_iter().filter(|(_, chance)| *chance > 0.0);
        parts.extend(chances.map(|(name, chance)| format!("{name}={}%", chance * 100.0)));
        parts.extend(self.reset_after.map(|at| format!("reset-after={}", show_size(at))));
        parts.extend(self.stall_after.map(|at| format!("stall-after={}", show_size(at))));
        parts.extend(self.is_half_open.then(|| "halfopen".to_owned()));
        f.write_str(&parts.join(","))
    }
}

fn delay(text: &str) -> Result<(Duration, Duration), String> {
    let (middle, jitter) = text.split_once('±').or_else(|| text.split_once("+-")).unwrap_or((text, "0s"));
    let (delay, jitter) = (duration(middle)?, duration(jitter)?);
    match jitter <= delay {
        true => Ok((delay, jitter)),
        false => Err(format!("'{text}': the delay varies by more than itself")),
    }
}

/// The longest time that a fault may name.
const LONGEST: Duration = Duration::from_secs(86_400);

fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 5] = [("ns", 1e-9), ("µs", 1e-6), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let text = text.trim();
    let found = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let (number, unit) = found.ok_or_else(|| format!("'{text}' is not a time, as in 50ms or 2s"))?;
    let seconds = positive(number).ok_or_else(|| format!("'{text}' is not a time, as in 50ms or 2s"))?;
    let time = Duration::try_from_secs_f64(seconds * unit).ok().filter(|time| *time <= LONGEST);
    time.ok_or_else(|| format!("'{text}' is too long"))
}

fn rate(text: &str) -> Result<u64, String> {
    match size(text.strip_suffix("/s").unwrap_or(text))? {
        0 => Err(format!("'{text}': nothing would ever pass")),
        rate => Ok(rate),
    }
}

/// The units of sizes. Of two with a common ending, the longer is first.
const SIZES: [(&str, u64); 10] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("k", 1 << 10),
    ("M", 1 << 20),
    ("B", 1),
];

fn size(text: &str) -> Result<u64, String> {
    let found = SIZES.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (number, unit) = found.unwrap_or((text, 1));
    let number = positive(number).ok_or_else(|| format!("'{text}' is not a number of bytes, as in 10KiB"))?;
    // Saturates.
    Ok((number * unit as f64).round() as u64)
}

fn show_size(bytes: u64) -> String {
    let unit = SIZES[..3].iter().rev().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(unit, of)| format!("{}{unit}", bytes / of))
}

fn chance(text: &str) -> Result<f64, String> {
    let wrong = || format!("'{text}' is not a chance, as in 0.1% or 0.001");
    let (number, of) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    Some(positive(number).ok_or_else(wrong)? / of).filter(|chance| *chance <= 1.0).ok_or_else(wrong)
}

/// Reads a number that is not negative, and finite.
fn positive(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Faults, String> {
        text.parse().map_err(|error: FaultsError| error.to_string())
    }

    #[test]
    fn faults_can_be_typed_back() {
        for (text, shown) in [
            ("", ""),
            ("delay=50ms±20ms, rate=1MiB/s", "delay=50ms±20ms,rate=1MiB/s"),
            ("delay=1.5s+-1s", "delay=1.5s±1s"),
            ("rate=1000", "rate=1000/s"),
            ("reset=50%,drop=1%,dup=0.25,refuse", "drop=1%,dup=25%,reset=50%,refuse=100%"),
            ("halfopen,stall-after=10KiB,reset-after=0", "reset-after=0,stall-after=10KiB,halfopen"),
        ] {
            let faults = read(text).unwrap();
            assert_eq!(faults.to_string(), shown, "{text}");
            assert_eq!(read(shown), Ok(faults), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_fault_is_named() {
        for (text, part) in [
            ("delay", "'delay' needs a value"),
            ("delay=50", "'50' is not a time"),
            ("delay=1ms±2ms", "varies by more than itself"),
            ("delay=86401s", "'86401s' is too long"),
            ("rate=0", "nothing would ever pass"),
            ("reset=101%", "'101%' is not a chance"),
            ("reset=-1%", "'-1%' is not a chance"),
            ("corrupt=inf", "'inf' is not a chance"),
            ("stall-after=x", "'x' is not a number of bytes"),
            ("halfopen=1", "'halfopen' has no value"),
            ("lag=1ms", "'lag' is not a fault"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
