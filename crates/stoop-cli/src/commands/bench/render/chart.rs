//! Draws plots as SVG: bars on a logarithmic scale, and throughput over message size. No scripts,
//! and no external fonts or images.

use std::fmt::Write as _;

use super::units;
use crate::commands::bench::results::Rows;
use crate::commands::bench::transport::Transport;
use crate::commands::bench::workload::Workload;
use crate::output::escape;

pub(super) const WIDTH: f64 = 860.0;

/// The end of the names and start of the bars, and the end of the longest bar.
const LEFT: f64 = 128.0;
const RIGHT: f64 = WIDTH - 118.0;
/// The space above the first bar: title and subtitle.
const TOP: f64 = 58.0;
const BAR_STEP: f64 = 27.0;
const BAR: f64 = 16.0;
/// The height of the plot area for curves, and the minimum distance of two lines of text.
const FIELD: f64 = 320.0;
const TEXT_STEP: f64 = 16.0;

/// A plot: SVG elements in a box of [`WIDTH`] and this height.
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) body: String,
    pub(super) height: f64,
}

/// A bar: its name, its value, and optionally a tail that extends further.
struct Bar {
    transport: Transport,
    value: f64,
    tail: Option<f64>,
    label: String,
}

/// Draws median round trip times, with a tail to the 99th percentile.
pub(super) fn latency(rows: Rows<'_>, size: usize) -> Option<Chart> {
    let bar = |(transport, latency): (Transport, crate::commands::bench::measure::Latency)| Bar {
        transport,
        value: latency.p50_us,
        tail: Some(latency.p99_us),
        label: units::micros(latency.p50_us),
    };
    let measured = rows.measured(Workload::PingPong, size);
    let mut bars: Vec<Bar> =
        measured.filter_map(|(transport, figures)| Some(bar((transport, figures.latency?)))).collect();
    bars.sort_by(|one, other| one.value.total_cmp(&other.value));
    let title = format!("Round trip of {}", units::size(size));
    bar_chart(
        title,
        "median, with a line to the 99th percentile; logarithmic; shorter is better",
        &bars,
        units::micros,
    )
}

/// Draws messages per second.
pub(super) fn messages(rows: Rows<'_>, size: usize) -> Option<Chart> {
    let measured = rows.measured(Workload::OneWay, size);
    let mut bars: Vec<Bar> = measured
        .map(|(transport, figures)| {
            let label = units::rate(figures.per_second);
            Bar { transport, value: figures.per_second, tail: None, label }
        })
        .collect();
    bars.sort_by(|one, other| other.value.total_cmp(&one.value));
    let title = format!("One-way messages of {}", units::size(size));
    bar_chart(title, "messages per second; logarithmic; longer is better", &bars, units::rate)
}

fn bar_chart(title: String, subtitle: &str, bars: &[Bar], unit: fn(f64) -> String) -> Option<Chart> {
    let best = bars.first()?.transport;
    let values = bars.iter().flat_map(|bar| [Some(bar.value), bar.tail]).flatten();
    let scale = Log::around(values, LEFT, RIGHT)?;
    let bottom = TOP + BAR_STEP * bars.len() as f64;
    let mut body = heading(&title, subtitle);
    for tick in scale.ticks() {
        let x = scale.at(tick);
        let _ = write!(body, r#"<line class="rule" x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom:.1}"/>"#);
        let label = escape(&units::round(&unit(tick)));
        let _ = write!(
            body,
            r#"<text class="soft" x="{x:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#,
            bottom + 18.0
        );
    }
    for (line, bar) in (0..).map(f64::from).zip(bars) {
        let (y, end) = (TOP + BAR_STEP * line + (BAR_STEP - BAR) / 2.0, scale.at(bar.value));
        let (class, middle, base) = (class(bar.transport, best), y + BAR / 2.0, y + BAR - 3.5);
        let name = escape(bar.transport.name());
        let _ = write!(body, r#"<text x="{:.1}" y="{base:.1}" text-anchor="end">{name}</text>"#, LEFT - 10.0);
        let width = (end - LEFT).max(2.0);
        let _ = write!(
            body,
            r#"<rect class="bar {class}" x="{LEFT}" y="{y:.1}" width="{width:.1}" height="{BAR}" rx="3"/>"#
        );
        let mut label_at = end;
        if let Some(tail) = bar.tail.map(|tail| scale.at(tail).max(end)) {
            let (up, down) = (middle - 4.0, middle + 4.0);
            let _ = write!(
                body,
                r#"<path class="tail" d="M{end:.1} {middle:.1}H{tail:.1}M{tail:.1} {up:.1}V{down:.1}"/>"#
            );
            label_at = tail;
        }
        let _ =
            write!(body, r#"<text x="{:.1}" y="{base:.1}">{}</text>"#, label_at + 9.0, escape(&bar.label));
    }
    Some(Chart { title, body, height: bottom + 26.0 })
}

/// Draws bytes per second over message size, with a curve for each transport.
pub(super) fn throughput(rows: Rows<'_>) -> Option<Chart> {
    let sizes = rows.sizes(Workload::OneWay);
    let (&first, &last) = (sizes.first()?, sizes.last()?);
    let mut curves: Vec<(Transport, Vec<(f64, f64)>)> = Vec::new();
    for transport in rows.transports(Workload::OneWay) {
        let point = |&size: &usize| {
            let figures = rows.figures(transport, Workload::OneWay, size)?;
            Some((size as f64, figures.per_second * size as f64))
        };
        let points: Vec<_> = sizes.iter().filter_map(point).collect();
        curves.extend((points.len() > 1).then_some((transport, points)));
    }
    let bottom = TOP + FIELD;
    let across = Log { low: first as f64, high: last as f64, from: LEFT + 14.0, to: RIGHT - 4.0 };
    let up = Log::around(curves.iter().flat_map(|(_, points)| points).map(|point| point.1), bottom, TOP)?;
    let title = String::from("Throughput by message size");
    let mut body = heading(&title, "bytes per second, one way; both scales logarithmic; higher is better");
    for tick in up.powers(8.0) {
        let y = up.at(tick);
        let _ =
            write!(body, r#"<line class="rule" x1="{LEFT}" y1="{y:.1}" x2="{:.1}" y2="{y:.1}"/>"#, across.to);
        let label = escape(&units::round(&units::bytes_rate(tick)));
        let _ = write!(
            body,
            r#"<text class="soft" x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#,
            LEFT - 10.0,
            y + 4.0
        );
    }
    for &size in &sizes {
        let (x, y, label) = (across.at(size as f64), bottom + 20.0, units::size(size));
        let _ =
            write!(body, r#"<text class="soft" x="{x:.1}" y="{y:.1}" text-anchor="middle">{label}</text>"#);
    }
    let best = curves.iter().max_by(|one, other| end(one).total_cmp(&end(other))).map(|curve| curve.0)?;
    // Names that end in the same column are moved apart if they would overlap.
    let mut lowest = vec![f64::MIN; sizes.len()];
    curves.sort_by(|one, other| end(other).total_cmp(&end(one)));
    for (transport, points) in &curves {
        let places: Vec<_> = points.iter().map(|point| (across.at(point.0), up.at(point.1))).collect();
        let Some(&(x, mut y)) = places.last() else { continue };
        let last = points.last().map_or(0.0, |point| point.0);
        if let Some(lowest) = sizes.iter().position(|&size| size as f64 == last).map(|at| &mut lowest[at]) {
            y = y.max(*lowest + TEXT_STEP);
            *lowest = y;
        }
        body.push_str(&curve(class(*transport, best), transport.name(), &places, (x + 12.0, y + 4.0)));
    }
    Some(Chart { title, body, height: lowest.into_iter().fold(bottom, f64::max) + 30.0 })
}

/// Draws a curve with a mark for each point, and its name.
fn curve(class: &str, name: &str, places: &[(f64, f64)], (x, y): (f64, f64)) -> String {
    let (name, path) =
        (escape(name), places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>());
    let mut text =
        format!(r#"<g class="series"><polyline class="curve {class}" points="{}"/>"#, path.join(" "));
    for (x, y) in places {
        let _ = write!(text, r#"<circle class="dot {class}" cx="{x:.1}" cy="{y:.1}" r="3.2"/>"#);
    }
    let _ = write!(text, r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{name}</text></g>"#);
    text
}

/// Returns the end of a curve, used for sorting.
fn end(curve: &(Transport, Vec<(f64, f64)>)) -> f64 {
    curve.1.last().map_or(0.0, |point| point.1)
}

fn heading(title: &str, subtitle: &str) -> String {
    let (title, subtitle) = (escape(title), escape(subtitle));
    format!(
        r#"<text class="title" x="0" y="18">{title}</text><text class="soft" x="0" y="38">{subtitle}</text>"#
    )
}

/// Returns the colour class: that of the family, or that of the best.
fn class(transport: Transport, best: Transport) -> &'static str {
    match transport {
        _ if transport == best => "best",
        Transport::Tcp | Transport::Udp => "inet",
        Transport::Pipe | Transport::Fifo | Transport::File => "pipe",
        local if local.is_local_socket() => "local",
        _ => "queue",
    }
}

/// A logarithmic scale.
#[derive(Clone, Copy)]
struct Log {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Log {
    /// Creates a scale for all of these values. It starts below the least, because a bar without
    /// length shows nothing.
    fn around(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Option<Log> {
        let (least, most) = values
            .filter(|value| value.is_finite() && *value > 0.0)
            .fold((f64::MAX, 0.0), |(least, most): (f64, f64), value| (least.min(value), most.max(value)));
        (most > 0.0).then(|| Log { low: least / 1.8, high: most * 1.05, from, to })
    }

    fn at(self, value: f64) -> f64 {
        let share = (value / self.low).ln() / (self.high / self.low).ln();
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self.from + share * (self.to - self.from)
    }

    /// Returns round numbers: powers of ten, and numbers between them if those are few.
    fn ticks(self) -> Vec<f64> {
        let powers = self.powers(10.0);
        if powers.len() > 2 {
            return powers;
        }
        let below = powers.first().map_or(10f64.powf(self.low.log10().floor()), |first| first / 10.0);
        let decades = (0..4).map(|power| below * 10f64.powi(power));
        let all = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|step| step * decade));
        all.filter(|tick| (self.low..=self.high).contains(tick)).collect()
    }

    /// Returns the powers of this base in the scale.
    fn powers(self, base: f64) -> Vec<f64> {
        let (first, last) = (self.low.log(base).ceil() as i32, self.high.log(base).floor() as i32);
        (first..=last).map(|power| base.powi(power)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_map_to_their_range() {
        let log = Log { low: 1.0, high: 100.0, from: 0.0, to: 10.0 };
        assert_eq!([log.at(1.0), log.at(10.0), log.at(100.0), log.at(1e9)], [0.0, 5.0, 10.0, 10.0]);
        assert_eq!(log.ticks(), [1.0, 10.0, 100.0]);
        let narrow = Log { low: 1.5, high: 12.0, ..log };
        assert_eq!(narrow.ticks(), [2.0, 5.0, 10.0]);
        assert_eq!(log.powers(8.0), [1.0, 8.0, 64.0]);
        assert!(Log::around([f64::NAN, 0.0].into_iter(), 0.0, 1.0).is_none());
    }
}
