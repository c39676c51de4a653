//! Recommends transports. The recommendations follow from the figures alone, and a difference that
//! may be due to chance does not count.

use super::measure::Figures;
use super::render::units;
use super::results::{Advice, Rows};
use super::transport::Transport;
use super::workload::Workload;

/// The smallest ratio that counts as a difference on a machine that also does other work.
const NOTICEABLE: f64 = 1.25;

/// The size from which a message counts as bulk data.
const LARGE_BYTES: usize = 4096;

/// A requirement, and the figure by which transports are compared.
struct Need {
    what: &'static str,
    work: Workload,
    /// Whether the largest message size decides, instead of the smallest.
    is_large: bool,
    want: Want,
    /// Selects the candidates.
    among: fn(Transport) -> bool,
}

const NEEDS: [Need; 9] = [
    Need::new("lowest latency", Workload::PingPong, Want::Latency),
    Need::new("least processor time per round trip", Workload::PingPong, Want::Processor),
    Need::new("many small messages", Workload::OneWay, Want::Rate),
    Need { among: keeps_boundaries, ..Need::new("messages with boundaries", Workload::OneWay, Want::Rate) },
    Need { is_large: true, ..Need::new("bulk data", Workload::OneWay, Want::Bytes) },
    Need::new("many clients at once", Workload::FanIn, Want::Rate),
    Need::new("short connections", Workload::Connect, Want::Rate),
    Need::new("passing file descriptors", Workload::Descriptors, Want::Rate),
    Need::new("credentials with each message", Workload::Credentials, Want::Rate),
];

impl Need {
    const fn new(what: &'static str, work: Workload, want: Want) -> Need {
        Need { what, work, is_large: false, want, among: loses_nothing }
    }
}

fn loses_nothing(transport: Transport) -> bool {
    !transport.is_lossy()
}

fn keeps_boundaries(transport: Transport) -> bool {
    use Transport::*;
    matches!(transport, SeqPacket | Datagram | Framed | PosixQueue | SysVQueue | SharedFutex | SharedSpin)
}

/// Derives the recommendations from the figures.
pub(super) fn advise(rows: Rows<'_>) -> Vec<Advice> {
    NEEDS.iter().filter_map(|need| best(rows, need)).collect()
}

/// The figure that is compared.
#[derive(Clone, Copy)]
enum Want {
    Latency,
    Processor,
    Rate,
    Bytes,
}

impl Want {
    /// Returns a cost: less is better.
    fn cost(self, figures: &Figures) -> Option<f64> {
        match self {
            Want::Latency => figures.latency.map(|latency| latency.p50_us),
            Want::Processor => figures.cpu_us,
            Want::Rate | Want::Bytes => Some(1.0 / figures.per_second),
        }
    }

    /// Returns what the figure measures.
    fn of(self) -> &'static str {
        match self {
            Want::Latency => " per round trip",
            Want::Processor => " of processor time per round trip",
            Want::Rate | Want::Bytes => "",
        }
    }

    fn show(self, cost: f64, size: usize) -> String {
        match self {
            Want::Latency | Want::Processor => units::micros(cost),
            Want::Rate => units::rate(1.0 / cost),
            Want::Bytes => units::bytes_rate(size as f64 / cost),
        }
    }
}

fn best(rows: Rows<'_>, need: &Need) -> Option<Advice> {
    let Need { work, want, .. } = *need;
    let sizes = rows.sizes(work);
    let size = match need.is_large {
        // With small messages only, bulk transfer was not measured.
        true => sizes.last().copied().filter(|&size| size >= LARGE_BYTES)?,
        false => *sizes.first()?,
    };
    let mut costs: Vec<(f64, Transport)> = rows
        .measured(work, size)
        .filter(|(transport, _)| (need.among)(*transport))
        .filter_map(|(transport, figures)| want.cost(figures).map(|cost| (cost, transport)))
        .collect();
    costs.sort_by(|one, other| one.0.total_cmp(&other.0));
    let &(least, _) = costs.first()?;
    let is_alike = |&&(cost, _): &&(f64, Transport)| cost < least * NOTICEABLE;
    let choose: Vec<&str> =
        costs.iter().take_while(is_alike).map(|(_, transport)| transport.name()).collect();
    let mut because = want.show(least, size) + want.of();
    if let Some((cost, next)) = costs.get(choose.len()) {
        because += &format!("; next is {} with {}", next.name(), want.show(*cost, size));
    }
    because += &added(rows, work, size).unwrap_or_default();
    Some(Advice { need: format!("{} ({})", need.what, units::size(size)), choose, because })
}

/// Describes the cost of ancillary data per message, on the transports where it is lowest and
/// highest.
fn added(rows: Rows<'_>, work: Workload, size: usize) -> Option<String> {
    let mut added: Vec<f64> =
        rows.measured(work, size).filter_map(|(_, figures)| added_us(figures)).collect();
    added.sort_by(f64::total_cmp);
    let (&least, &most) = (added.first()?, added.last()?);
    Some(match (least > 0.0, most > 0.0) {
        (_, false) => "; adds nothing measurable per message".into(),
        (false, true) => format!("; adds up to {} per message", units::micros(most)),
        _ if added.len() == 1 => format!("; adds {} per message", units::micros(most)),
        _ => format!("; adds {} to {} per message", units::micros(least), units::micros(most)),
    })
}

/// Returns how much longer a message takes than one without ancillary data, in microseconds.
/// Negative noise becomes 0.
pub(super) fn added_us(figures: &Figures) -> Option<f64> {
    figures.plain_per_second.map(|plain| ((1.0 / figures.per_second - 1.0 / plain) * 1e6).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::super::plan::Cell;
    use super::super::results::{CellOutcome, Row};
    use super::*;

    fn row(transport: Transport, work: Workload, size: usize, per_second: f64, plain: Option<f64>) -> Row {
        let figures = Figures {
            messages: 1,
            per_second,
            cpu_us: None,
            lost: 0,
            latency: None,
            plain_per_second: plain,
        };
        Row { cell: Cell { transport, work, size }, outcome: CellOutcome::Measured(figures) }
    }

    #[test]
    fn small_differences_do_not_count() {
        let one_way = |transport, rate| row(transport, Workload::OneWay, 64, rate, None);
        let rows = [
            one_way(Transport::Stream, 90.0),
            one_way(Transport::Pipe, 100.0),
            one_way(Transport::Tcp, 50.0),
        ];
        let advice = advise(Rows(&rows));
        assert_eq!(advice[0].choose, ["pipe", "stream"]);
        assert_eq!(advice[0].because, "100 /s; next is tcp with 50.0 /s");
        assert_eq!(
            advice.len(),
            1,
            "nothing keeps boundaries here, and there is no large message: {advice:?}"
        );
    }

    #[test]
    fn lossy_transports_are_never_recommended() {
        let rows = [Transport::Udp, Transport::Tcp]
            .map(|transport| row(transport, Workload::OneWay, 65536, 1.0, None));
        for advice in advise(Rows(&rows)) {
            assert_eq!(advice.choose, ["tcp"], "{advice:?}");
        }
    }

    #[test]
    fn added_cost_is_the_difference_in_time() {
        let with = |transport, rate| row(transport, Workload::Descriptors, 64, rate, Some(1e6));
        let one = [with(Transport::Stream, 500_000.0)];
        assert!(advise(Rows(&one))[0].because.ends_with("; adds 1.00 µs per message"));
        let two = [with(Transport::Stream, 500_000.0), with(Transport::SeqPacket, 2e6)];
        assert!(advise(Rows(&two))[0].because.ends_with("; adds up to 1.00 µs per message"));
    }
}
