//! `stoop bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::footer;
use crate::time;
use crate::verbs::bench::{MESSAGE_BYTES, Pin, Transport, Work};

/// Measure what local transports cost on this machine, and say which to use for what.
///
/// Two processes of this command do the same work over each transport in turn, several times over,
/// and check every message: its length and its number at both ends, and all of it in one of 64.
/// Latency is that of a round trip; processor time is that of both processes together. Only sockets
/// and files of this machine are used. What cannot be measured here says why.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop bench                               # everything, in less than 30 seconds
  stoop bench --quick --html report.html
  stoop bench --transports stream,tcp --works ping-pong --pin 0,0
  stoop bench --rate 20000                  # latency under a fixed load"))]
pub(crate) struct Bench {
    /// Measure less: two message sizes, one round, less than 8 seconds
    #[arg(long)]
    pub(crate) quick: bool,

    /// Message sizes in bytes; the works without a size of their own use the first [default:
    /// 64,1024,65536,1048576]
    #[arg(long, value_name = "BYTES", value_delimiter = ',', value_parser = size)]
    pub(crate) sizes: Vec<usize>,

    /// Only these transports: stream, stream+spin, stream+frames, abstract, socketpair, seqpacket,
    /// dgram, pipe, fifo, tcp, udp, posix-mq, sysv, file, memory-futex, memory-spin
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = Transport::parse)]
    pub(crate) transports: Vec<Transport>,

    /// Only these works: ping-pong, one-way, fan-in, connect, descriptors, credentials
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = Work::parse)]
    pub(crate) works: Vec<Work>,

    /// How many connections fan-in has
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(crate) clients: u16,

    /// Send this many round trips a second, whether answers are late or not, and count each latency
    /// from when it was due; measures ping-pong only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) rate: Option<u32>,

    /// Keep the two processes on these processors, as in 0,1, or let them go where the scheduler
    /// puts them: any [default: two different cores, where there are such]
    #[arg(long, value_name = "CPU,CPU", value_parser = Pin::parse)]
    pub(crate) pin: Option<Pin>,

    /// About how long to measure in total, as in 500ms, 2s, 1m [default: 24s, with --quick 5s]
    #[arg(long = "for", value_name = "TIME", value_parser = time::parse)]
    pub(crate) total: Option<Duration>,

    /// Print results as JSON lines
    #[arg(long)]
    pub(crate) json: bool,

    /// Write the plots into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    /// Write a page with plots, figures and advice into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// The other process of a measurement; its standard input is the socket that tells it what to
    /// do
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
    fn help_names_every_transport_and_work() {
        let mut cli = super::super::Cli::command();
        let help = cli.find_subcommand_mut("bench").expect("a verb").render_long_help().to_string();
        let words: Vec<&str> = help.split([' ', ',', '\n']).collect();
        let names = Transport::ALL.map(Transport::name).into_iter().chain(Work::ALL.map(Work::name));
        for name in names {
            assert!(words.contains(&name), "{name}");
        }
    }
}
