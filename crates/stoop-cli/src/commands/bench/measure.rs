//! Measures time, processor time and percentiles of one run, and summarizes several runs.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};

/// Latencies have a resolution of one part in a thousand, up to one minute.
const DIGITS: u8 = 3;
const LONGEST_NANOS: u64 = 60_000_000_000;

/// Creates an empty histogram of nanoseconds. Its size is bounded, however much is recorded.
pub(super) fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, LONGEST_NANOS, DIGITS).map_err(|error| Error::failed(error.to_string()))
}

/// Records a latency. One of more than a minute counts as one minute.
pub(super) fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    histogram.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(LONGEST_NANOS).max(1));
}

/// The times when counting starts and when a run ends, as seen by one of its processes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) warm_up: Duration,
    pub(super) counted: Duration,
    /// How many messages are sent between two reads of the clock, each of which costs as much as
    /// copying a few bytes.
    pub(super) stride: u32,
}

impl std::ops::Mul<u32> for Span {
    type Output = Span;

    fn mul(self, factor: u32) -> Span {
        Span { warm_up: self.warm_up * factor, counted: self.counted * factor, ..self }
    }
}

/// Counts messages, and their cost to this process, from the end of the warm-up on.
pub(super) struct Meter {
    span: Span,
    began: Option<Instant>,
    counting: Option<(Instant, Duration)>,
    messages: u64,
    until_look: u32,
    over: bool,
}

impl Meter {
    pub(super) fn new(span: Span) -> Meter {
        Meter { span, began: None, counting: None, messages: 0, until_look: 1, over: false }
    }

    /// Returns whether the warm-up is over.
    pub(super) fn is_counting(&self) -> bool {
        self.counting.is_some()
    }

    /// Counts one message. Returns whether there is time for more.
    pub(super) fn count(&mut self) -> bool {
        self.messages += 1;
        self.until_look -= 1;
        if self.until_look == 0 {
            self.look(Instant::now());
        }
        !self.over
    }

    fn look(&mut self, now: Instant) {
        self.until_look = self.span.stride.max(1);
        let gone = now - *self.began.get_or_insert(now);
        if self.counting.is_none() && gone >= self.span.warm_up {
            (self.counting, self.messages) = (Some((now, processor_time())), 0);
        }
        self.over = gone >= self.span.warm_up + self.span.counted;
    }

    /// Returns what was counted so far.
    pub(super) fn finish(&self) -> Result<Tally> {
        let (since, processor) = self.counting.filter(|_| self.messages > 0).ok_or(Error::TooShort)?;
        let (seconds, cpu) = (since.elapsed(), processor_time().saturating_sub(processor));
        Ok(Tally { messages: self.messages, lost: 0, seconds: seconds.as_secs_f64(), cpu: cpu.as_secs_f64() })
    }
}

/// Returns the processor time of this process so far, user and system.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// The result of one process.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) messages: u64,
    pub(super) lost: u64,
    pub(super) seconds: f64,
    /// The processor time in seconds.
    pub(super) cpu: f64,
}

/// One run of one measurement.
pub(super) struct Sample {
    /// The result of the receiving side, whose count is used.
    pub(super) counted: Tally,
    /// The processor time of both processes per message, in seconds.
    pub(super) cpu: Option<f64>,
    pub(super) latency: Option<Histogram<u64>>,
    /// Messages per second of the same workload without ancillary data.
    pub(super) plain: Option<f64>,
}

impl Tally {
    pub(super) fn per_second(&self) -> f64 {
        self.messages as f64 / self.seconds
    }

    pub(super) fn cpu_per_message(&self) -> f64 {
        self.cpu / self.messages as f64
    }
}

/// The summary of all runs of a measurement. Times are in microseconds, and field names are those
/// of the JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Figures {
    /// The sum of all runs.
    pub(super) messages: u64,
    /// The median of all runs.
    pub(super) per_second: f64,
    /// The processor time of both processes. Unknown if one of them waited actively on purpose.
    pub(super) cpu_us: Option<f64>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) latency: Option<Latency>,
    /// The rate of the same workload without ancillary data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plain_per_second: Option<f64>,
}

/// Percentiles of the round trip time, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) p50_us: f64,
    pub(super) p90_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
    pub(super) max_us: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Figures {
    /// Summarizes runs. Returns `None` if there are none.
    pub(super) fn of(samples: &[Sample]) -> Option<Figures> {
        let rates = samples.iter().map(|sample| sample.counted.per_second());
        let plain = samples.iter().filter_map(|sample| sample.plain);
        let cpu = samples.iter().filter_map(|sample| sample.cpu);
        Some(Figures {
            messages: samples.iter().map(|sample| sample.counted.messages).sum(),
            per_second: median(rates)?,
            cpu_us: median(cpu).map(|seconds| seconds * 1e6),
            lost: samples.iter().map(|sample| sample.counted.lost).sum(),
            latency: Latency::of(samples.iter().filter_map(|sample| sample.latency.as_ref())),
            plain_per_second: median(plain),
        })
    }

    /// Returns the share of lost messages.
    pub(super) fn lost_share(&self) -> f64 {
        self.lost as f64 / (self.lost + self.messages) as f64
    }
}

impl Latency {
    fn of<'a>(histograms: impl Iterator<Item = &'a Histogram<u64>>) -> Option<Latency> {
        let mut all = histogram().ok()?;
        for histogram in histograms {
            all.add(histogram).ok()?;
        }
        let at = |percent| all.value_at_percentile(percent) as f64 / 1e3;
        (!all.is_empty()).then(|| Latency {
            p50_us: at(50.0),
            p90_us: at(90.0),
            p99_us: at(99.0),
            p999_us: at(99.9),
            max_us: all.max() as f64 / 1e3,
        })
    }
}

/// Returns the median of some numbers.
fn median(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(low.midpoint(*high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rate: u64, latencies_us: &[u64]) -> Sample {
        let mut latency = histogram().unwrap();
        for &us in latencies_us {
            record(&mut latency, Duration::from_micros(us));
        }
        let counted = Tally { messages: rate, lost: 1, seconds: 1.0, cpu: 0.5 };
        Sample { counted, cpu: Some(counted.cpu_per_message()), latency: Some(latency), plain: None }
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn runs_are_summarized() {
        let figures =
            Figures::of(&[sample(100, &[10; 50]), sample(300, &[20; 50]), sample(200, &[])]).unwrap();
        assert_eq!((figures.messages, figures.lost), (600, 3));
        assert_eq!(figures.per_second, 200.0);
        assert_eq!(figures.lost_share(), 3.0 / 603.0);
        let latency = figures.latency.unwrap();
        assert!((latency.p50_us - 10.0).abs() < 0.02 && (latency.p99_us - 20.0).abs() < 0.04, "{latency:?}");
        assert_eq!(Figures::of(&[]), None);
    }

    #[test]
    fn out_of_range_latencies_are_clamped() {
        let mut histogram = histogram().unwrap();
        record(&mut histogram, Duration::from_secs(3600));
        record(&mut histogram, Duration::ZERO);
        assert_eq!(histogram.len(), 2);
        assert!(histogram.max() >= LONGEST_NANOS);
    }

    #[test]
    fn a_meter_counts_after_the_warm_up_only() {
        let span = Span { warm_up: Duration::ZERO, counted: Duration::ZERO, stride: 1 };
        let mut meter = Meter::new(span);
        assert!(meter.finish().is_err());
        assert!(!meter.count(), "no time at all: over at the first look");
        assert!(
            meter.is_counting() && meter.finish().is_err(),
            "the message before the clock does not count"
        );
        meter.count();
        assert_eq!(meter.finish().unwrap().messages, 1);
    }
}
