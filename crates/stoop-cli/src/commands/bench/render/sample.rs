//! A report with made-up figures, for tests.

use crate::commands::bench::advice::advise;
use crate::commands::bench::machine::Machine;
use crate::commands::bench::measure::{Figures, Latency};
use crate::commands::bench::plan::Cell;
use crate::commands::bench::results::{CellOutcome, Results, Row, Rows};
use crate::commands::bench::transport::Transport;
use crate::commands::bench::workload::Workload;

pub(super) fn results() -> Results {
    use Transport::*;
    let rows = vec![
        asked(Stream, 64, 66.0, 50.0),
        asked(Spin, 64, 6.0, 12.0),
        asked(Tcp, 64, 105.0, 90.0),
        none(SysVQueue, Workload::PingPong, 64, "larger than kernel.msgmax allows"),
        asked(Stream, 65536, 120.0, 110.0),
        asked(Spin, 65536, 90.0, 120.0),
        asked(Tcp, 65536, 190.0, 200.0),
        none(SysVQueue, Workload::PingPong, 65536, "larger than kernel.msgmax allows"),
        told(Stream, 64, 450_000.0, 0),
        told(SeqPacket, 64, 420_000.0, 0),
        told(Udp, 64, 700_000.0, 250),
        told(Stream, 65536, 30_000.0, 0),
        told(SeqPacket, 65536, 70_000.0, 0),
        none(Udp, Workload::OneWay, 65536, "larger than the maximum message size"),
        Row {
            cell: Cell { transport: Stream, work: Workload::Descriptors, size: 64 },
            outcome: CellOutcome::Measured(Figures {
                plain_per_second: Some(400_000.0),
                ..rate(200_000.0, 0)
            }),
        },
    ];
    let machine = Machine {
        kernel: "6.18.0".into(),
        processor: "Some <CPU> @ 2 GHz".into(),
        processors: 2,
        is_virtual: true,
        wmem_max_bytes: Some(212_992),
        load: Some(0.25),
        pin: Some((0, 1)),
        stoop: "0.1.0",
    };
    let advice = advise(Rows(&rows));
    Results { machine, rows, rate: None, clients: 8, advice }
}

fn asked(transport: Transport, size: usize, p50_us: f64, cpu_us: f64) -> Row {
    let latency = Latency { p50_us, p90_us: 80.0, p99_us: 170.0, p999_us: 400.0, max_us: 900.0 };
    let figures = Figures { latency: Some(latency), cpu_us: Some(cpu_us), ..rate(990_000.0 / p50_us, 0) };
    row(transport, Workload::PingPong, size, CellOutcome::Measured(figures))
}

fn told(transport: Transport, size: usize, per_second: f64, lost: u64) -> Row {
    row(transport, Workload::OneWay, size, CellOutcome::Measured(rate(per_second, lost)))
}

fn none(transport: Transport, work: Workload, size: usize, why: &str) -> Row {
    row(transport, work, size, CellOutcome::NotMeasured(why.into()))
}

fn row(transport: Transport, work: Workload, size: usize, outcome: CellOutcome) -> Row {
    Row { cell: Cell { transport, work, size }, outcome }
}

fn rate(per_second: f64, lost: u64) -> Figures {
    Figures { messages: 1000, per_second, cpu_us: Some(3.5), lost, latency: None, plain_per_second: None }
}
