//! Which transport to use for what. Follows from the figures and from nothing else: no opinion is built in, and a difference
//! that may be chance is none.

use serde::Serialize;

use super::measure::Figures;
use super::render::units;
use super::report::Rows;
use super::transport::Transport;
use super::work::Work;

/// Neighbours nearer than this cannot be told apart on a machine that does other things as well.
const NOTICEABLE: f64 = 1.25;

/// One recommendation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Advice {
    /// What is wanted.
    pub(super) need: String,
    /// What to use, the best first; those after it cannot be told from it.
    #[serde(rename = "use")]
    pub(super) choose: Vec<&'static str>,
    pub(super) because: String,
}

/// What the figures say.
pub(super) fn advise(rows: Rows<'_>) -> Vec<Advice> {
    let small = |work| rows.sizes(work).first().copied();
    let large = |work| rows.sizes(work).last().copied().filter(|&size| size >= 4096);
    let any = |_: Transport| true;
    let sure = |transport: Transport| !transport.is_lossy();
    let keeps = |transport: Transport| {
        matches!(transport, Transport::SeqPacket | Transport::Datagram | Transport::Framed | Transport::PosixQueue)
    };
    let needs: [(&str, Work, Option<usize>, Want, &dyn Fn(Transport) -> bool); 7] = [
        ("answers as soon as possible", Work::PingPong, small(Work::PingPong), Want::Latency, &any),
        ("answers for the least processor time", Work::PingPong, small(Work::PingPong), Want::Processor, &any),
        ("many small messages", Work::OneWay, small(Work::OneWay), Want::Rate, &sure),
        ("messages that keep their boundaries", Work::OneWay, small(Work::OneWay), Want::Rate, &keeps),
        ("much data", Work::OneWay, large(Work::OneWay), Want::Bytes, &sure),
        ("many clients at once", Work::FanIn, small(Work::FanIn), Want::Rate, &sure),
        ("short connections", Work::Connect, small(Work::Connect), Want::Rate, &any),
    ];
    let mut advice: Vec<Advice> = needs
        .into_iter()
        .filter_map(|(need, work, size, want, among)| best(rows, need, (work, size?), want, among))
        .collect();
    advice.extend(beside(rows, Work::Descriptors, "open files passed along"));
    advice.extend(beside(rows, Work::Credentials, "to know who sent each message"));
    advice
}

/// What is compared.
#[derive(Clone, Copy)]
enum Want {
    Latency,
    Processor,
    Rate,
    Bytes,
}

impl Want {
    /// The less, the better.
    fn cost(self, figures: &Figures) -> Option<f64> {
        match self {
            Want::Latency => figures.latency.map(|latency| latency.p50_us),
            Want::Processor => figures.cpu_us,
            Want::Rate | Want::Bytes => Some(1.0 / figures.per_second),
        }
    }

    fn show(self, cost: f64, size: usize) -> String {
        match self {
            Want::Latency => format!("{} a round trip", units::micros(cost)),
            Want::Processor => format!("{} of processor time a round trip", units::micros(cost)),
            Want::Rate => units::rate(1.0 / cost),
            Want::Bytes => units::bytes_rate(size as f64 / cost),
        }
    }
}

fn best(
    rows: Rows<'_>,
    need: &str,
    (work, size): (Work, usize),
    want: Want,
    among: &dyn Fn(Transport) -> bool,
) -> Option<Advice> {
    let mut costs: Vec<(f64, Transport)> = rows
        .measured(work, size)
        .filter(|(transport, _)| among(*transport))
        .filter_map(|(transport, figures)| want.cost(figures).map(|cost| (cost, transport)))
        .collect();
    costs.sort_by(|one, other| one.0.total_cmp(&other.0));
    let &(least, _) = costs.first()?;
    let is_alike = |&&(cost, _): &&(f64, Transport)| cost < least * NOTICEABLE;
    let choose: Vec<&str> = costs.iter().take_while(is_alike).map(|(_, transport)| transport.name()).collect();
    let mut because = want.show(least, size);
    if let Some(&(cost, next)) = costs.get(choose.len()) {
        let (next, shown) = (next.name(), want.show(cost, size));
        because = format!("{because}; next is {next}, {:.1} × as much ({shown})", cost / least);
        if matches!(want, Want::Rate | Want::Bytes) {
            because = format!("{}; next is {next} with {shown}", want.show(least, size));
        }
    }
    let need = format!("{need} ({})", units::size(size));
    Some(Advice { need, choose, because })
}

/// What something beside a message adds to it, where that is cheapest.
fn beside(rows: Rows<'_>, work: Work, need: &str) -> Option<Advice> {
    let size = *rows.sizes(work).first()?;
    let mut added: Vec<(f64, Transport)> = rows
        .measured(work, size)
        .filter_map(|(transport, figures)| Some((added_us(figures)?, transport)))
        .collect();
    added.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (&(least, best), &(most, worst)) = (added.first()?, added.last()?);
    let because = match added.len() {
        1 => format!("adds {} to a message", units::micros(least)),
        _ => format!(
            "adds {} to a message on {}, {} on {}",
            units::micros(least),
            best.name(),
            units::micros(most),
            worst.name()
        ),
    };
    Some(Advice { need: need.into(), choose: vec![best.name()], because })
}

/// How much longer a message takes than one without, in microseconds; what chance makes negative is nothing.
pub(super) fn added_us(figures: &Figures) -> Option<f64> {
    figures.plain_per_second.map(|plain| ((1.0 / figures.per_second - 1.0 / plain) * 1e6).max(0.0))
}
