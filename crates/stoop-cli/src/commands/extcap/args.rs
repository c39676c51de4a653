//! `stoop extcap`.

use std::path::PathBuf;

use clap::Args;

use crate::args::footer;

/// Answer Wireshark, which lists Unix sockets as interfaces when a script in its extcap directory
/// calls this.
///
/// The directory is shown by tshark -G folders. The script is executable and consists of two lines:
/// #!/bin/sh, and exec stoop extcap "$@". Capturing requires what stoop tap requires.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop extcap --extcap-interfaces          # the sockets, as Wireshark lists them"))]
pub(crate) struct Extcap {
    /// List the interfaces: all sockets, and each that has a name
    #[arg(long = "extcap-interfaces")]
    pub(crate) interfaces: bool,

    /// Name the link type of an interface
    #[arg(long = "extcap-dlts")]
    pub(crate) dlts: bool,

    /// List what can be set before a capture
    #[arg(long = "extcap-config")]
    pub(crate) config: bool,

    /// Capture from the interface and write to --fifo
    #[arg(long, requires = "interface", requires = "fifo")]
    pub(crate) capture: bool,

    /// Interface, as listed
    #[arg(long = "extcap-interface", value_name = "NAME")]
    pub(crate) interface: Option<String>,

    /// Pipe to write to
    #[arg(long, value_name = "FILE")]
    pub(crate) fifo: Option<PathBuf>,

    /// Further flags of stoop tap that select sockets, separated by blanks
    #[arg(long = "extcap-capture-filter", value_name = "FLAGS", allow_hyphen_values = true)]
    pub(crate) capture_filter: Option<String>,

    /// Version of the program that asks
    #[arg(long = "extcap-version", value_name = "VERSION")]
    pub(crate) asking_version: Option<String>,

    /// Write contents to the file as they are, secrets included
    #[arg(long)]
    pub(crate) secrets: bool,

    /// Capture at most this many bytes of each message
    #[arg(long, value_name = "BYTES")]
    pub(crate) snaplen: Option<u32>,
}
