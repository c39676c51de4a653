//! `stoop bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::message::MESSAGE_BYTES;
use super::placement::Pin;
use super::transport::Transport;
use super::workload::Workload;
use crate::args::footer;
use crate::time;

/// Measure what local transports cost on this machine, and recommend one for each use
///
/// Two processes run the same workload over each transport in turn, in several rounds, and check
/// every message: its length and sequence number at both ends, and the whole content of one in 64.
/// Latency is that of a round trip. Processor time is that of both processes together. Only sockets
/// and files of this machine are used. A transport that cannot be measured here is listed with the
/// reason.
///
/// On SIGINT (Ctrl-C) and SIGTERM it stops after the current measurement, without results, and
/// exits with 3. A second signal ends it at once.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop bench                               # all transports, in less than 30 seconds
  stoop bench --quick -o report.html
  stoop bench --transports stream,tcp --workloads ping-pong --pin 0,0
  stoop bench --rate 20000                  # latency at a fixed rate"))]
pub(crate) struct Bench {
    /// Measure less: two message sizes, one round, in less than 8 seconds
    #[arg(long)]
    pub(crate) quick: bool,

    /// Message sizes in bytes; a workload without a size of its own uses the first [default:
    /// 64,1024,65536,1048576]
    #[arg(long, value_name = "BYTES", value_delimiter = ',', value_parser = size)]
    pub(crate) sizes: Vec<usize>,

    /// Measure only these transports: stream, stream+spin, stream+frames, abstract, socketpair,
    /// seqpacket, dgram, pipe, fifo, tcp, udp, posix-mq, sysv, file, memory-futex, memory-spin
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = Transport::parse)]
    pub(crate) transports: Vec<Transport>,

    /// Measure only these workloads: ping-pong, one-way, fan-in, connect, descriptors, credentials
    #[arg(long = "workloads", alias = "works", value_name = "NAMES", value_delimiter = ',', value_parser = Workload::parse)]
    pub(crate) works: Vec<Workload>,

    /// Number of connections for fan-in
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(crate) clients: u16,

    /// Send this many round trips per second, even if answers are late, and measure each latency
    /// from the time it was due; implies ping-pong only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) rate: Option<u32>,

    /// Pin the two processes to these processors, as in 0,1, or use any to leave the choice to the
    /// scheduler [default: two different cores, if there are two]
    #[arg(long, value_name = "CPU,CPU", value_parser = Pin::parse)]
    pub(crate) pin: Option<Pin>,

    /// Approximate total time to measure, as in 2, 500ms, 1m [default: 24s, with --quick 5s]
    #[arg(long = "for", value_name = "TIME", value_parser = time::parse)]
    pub(crate) total: Option<Duration>,

    /// Print results as JSON lines
    #[arg(long)]
    pub(crate) json: bool,

    /// Also write the results to this file: a name ending in .svg gets the plots, one ending in
    /// .html a page with plots, figures and recommendations; may be repeated
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Vec<PathBuf>,

    /// Write the plots to this file, whatever its name
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) svg: Option<PathBuf>,

    /// Write the page to this file, whatever its name
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) html: Option<PathBuf>,

    /// Run as the other process of a measurement, which is controlled through standard input
    #[arg(long, hide = true)]
    pub(crate) peer: bool,
}

fn size(text: &str) -> Result<usize, String> {
    let (least, most) = (MESSAGE_BYTES.start(), MESSAGE_BYTES.end());
    let bytes = text.parse().ok().filter(|bytes| MESSAGE_BYTES.contains(bytes));
    bytes.ok_or_else(|| format!("not a number of bytes from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn help_lists_every_transport_and_workload() {
        let mut cli = crate::args::Cli::command();
        let help = cli.find_subcommand_mut("bench").expect("a verb").render_long_help().to_string();
        let words: Vec<&str> = help.split([' ', ',', '\n']).collect();
        let names = Transport::ALL.map(Transport::name).into_iter().chain(Workload::ALL.map(Workload::name));
        for name in names {
            assert!(words.contains(&name), "{name}");
        }
    }
}
