//! `stoop tap`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::file_flags::FileFlags;
use super::filter::CallFlags;
use crate::args::footer;
use crate::args::selection::Selection;
use crate::args::shared::QuietFlag;
#[cfg(feature = "grpc")]
use crate::commands::grpc::args::SchemaFlags;
use crate::time;

/// Show what sockets transfer, as it happens, without a change to the processes.
///
/// Each call, answer and message is a line with the processes at both ends, once its receiver has
/// taken its first byte. HTTP, gRPC, ttrpc, varlink, JSON-RPC, Redis, PostgreSQL, MySQL, D-Bus,
/// FastCGI, uwsgi, Wayland, X11, SSH agents, gpg-agent, syslog and sd_notify are decoded, and
/// answers are paired with calls; everything else is shown as text or bytes. Messages of gRPC and
/// ttrpc are JSON, by --proto, --descriptor-set or the built-in definitions of Kubernetes and
/// containerd: the server is not asked. Sockets are selected as by `stoop ls`, without a selection
/// all of them; the connections of a listening socket are shown from their first byte. Well-known
/// secrets, such as passwords and Authorization headers, are replaced.
///
/// The kernel's part is a small BPF program: CAP_BPF and CAP_PERFMON are required, or root. It
/// never delays the processes: what does not fit into its buffer is lost, and shown as lost where
/// it happened. Data that no process receives, or that is received with splice(2), is not seen.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop tap docker                             # what Docker's clients ask, and how long it takes
  stoop tap cri                                # what the kubelet asks the container runtime
  stoop tap cri --method 'Run*' --slower 100ms
  stoop tap docker --status error              # only answers that are errors
  stoop tap /run/postgresql/.s.PGSQL.5432      # statements and their results
  stoop tap pid:812 --no-payload               # only who talks to whom, and how much
  stoop tap docker --stats --timeout 1m        # calls, errors and latencies, for a minute
  stoop tap ./app.sock -w app.pcapng           # for Wireshark
  stoop tap docker -w - | wireshark -k -i -    # the same, live
  stoop tap pid:812 --unread                   # first what it has not read so far
  stoop tap -r app.pcapng --stats              # read it back, in the same forms
  stoop tap -r app.rec -w app.pcapng           # a recording of stoop relay, for Wireshark
  stoop tap -- docker ps                       # what a command says, without privileges
  stoop tap redis --json | jq 'select(.latency_ns > 1e6)'"))]
pub(crate) struct Tap {
    #[command(flatten)]
    pub(crate) selection: Selection,

    #[command(flatten)]
    pub(crate) calls: CallFlags,

    /// Also show bodies of HTTP, if they are JSON
    #[arg(long, conflicts_with_all = ["write", "no_payload"])]
    pub(crate) bodies: bool,

    #[cfg(feature = "grpc")]
    #[command(flatten)]
    pub(crate) schema: SchemaFlags,

    /// Do not capture contents, only lengths
    #[arg(long)]
    pub(crate) no_payload: bool,

    /// Also show what waits unread in the sockets' queues at the start
    ///
    /// It is read with MSG_PEEK, which leaves it in the queue, and is not shown again when it is
    /// received. Of datagrams and packets, only the first of a queue can be seen before; of a
    /// stream, what ends with the first message that passes file descriptors. A socket with a peek
    /// offset (SO_PEEK_OFF) is left alone, since a look would move it. Linux 6.3 or later is
    /// required, or on x86-64 an older kernel that permits programs at functions. The latency of
    /// the answer to an unread call counts from the start.
    #[arg(long, conflicts_with_all = ["read", "program"])]
    pub(crate) unread: bool,

    /// Print a table of calls, errors and latencies at the end, instead of lines
    #[arg(long, conflicts_with = "write")]
    pub(crate) stats: bool,

    #[command(flatten)]
    pub(crate) files: FileFlags,

    /// Stop after this long
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) timeout: Option<Duration>,

    /// Stop after this many calls, answers and messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Print JSON lines: connect, call, response, data, eof, error, missed, lost, stats
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) quiet: QuietFlag,

    /// Run this command, and show on standard error what it and its children send and receive; no
    /// privilege is needed
    ///
    /// Only system calls that can move data are traced, which takes some 10 µs each. The exit code
    /// is that of the command. Programs that it runs do not become another user, unless this is
    /// root. What is done with io_uring, or by 32-bit programs, is not seen.
    #[arg(last = true, value_name = "CMD", conflicts_with = "read")]
    pub(crate) program: Vec<OsString>,
}
