//! The actions on containers.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::super::moment::{Since, since};
use crate::time;

/// Print the log of a container.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri logs web
  stoop cri logs -f --tail 20 web
  stoop cri logs -t --since 10m web")]
pub(in super::super) struct Logs {
    /// Container, by id or name
    #[arg(value_name = "ID")]
    pub(in super::super) id: String,

    /// Print what is written from now on, too, until the container exits
    #[arg(long, short)]
    pub(in super::super) follow: bool,

    /// Print only the N last lines
    #[arg(long, short = 'n', value_name = "N", value_parser = tail, allow_hyphen_values = true)]
    pub(in super::super) tail: Option<Tail>,

    /// Print only lines since this time: 10m, or 2026-11-29T10:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(in super::super) since: Option<Since>,

    /// Print the time of each line
    #[arg(long, short)]
    pub(in super::super) timestamps: bool,

    /// Print the log of the previous instance of the container
    #[arg(long, short)]
    pub(in super::super) previous: bool,

    /// Print at most this many bytes
    #[arg(long, value_name = "BYTES")]
    pub(in super::super) limit_bytes: Option<u64>,
}

/// How many lines from the end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Tail(pub(in super::super) Option<usize>);

/// Parses a number of lines. As in crictl, -1 stands for all of them.
fn tail(text: &str) -> Result<Tail, &'static str> {
    match text {
        "-1" | "all" => Ok(Tail(None)),
        text => text.parse().map(|lines| Tail(Some(lines))).map_err(|_| "not a number of lines, as in 20"),
    }
}

/// Run a command in a container, and exit with its exit code.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri exec web cat /etc/hostname
  stoop cri exec -it web sh
  echo word | stoop cri exec -i web cat")]
pub(in super::super) struct Exec {
    /// Pass standard input on
    #[arg(long, short)]
    pub(in super::super) interactive: bool,

    /// Give the command a terminal
    #[arg(long, short)]
    pub(in super::super) tty: bool,

    /// Run it by one call, without a stream: its output is printed when it has exited
    #[arg(long, short, conflicts_with_all = ["interactive", "tty"])]
    pub(in super::super) sync: bool,

    #[command(flatten)]
    pub(in super::super) transport: Transport,

    /// With --sync, kill it after this time
    #[arg(long, value_name = "TIME", value_parser = time::parse, requires = "sync")]
    pub(in super::super) timeout: Option<Duration>,

    /// Container, by id or name
    #[arg(value_name = "ID")]
    pub(in super::super) id: String,

    /// Command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(in super::super) command: Vec<String>,
}

/// What streams are sent by.
#[derive(Args, Debug)]
pub(in super::super) struct Transport {
    /// Accepted for crictl: streams are SPDY
    #[arg(long, short = 'r', hide = true, value_parser = ["spdy"])]
    transport: Option<String>,
}

/// Attach to the first process of a container.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri attach web
  stoop cri attach -it shell")]
pub(in super::super) struct Attach {
    /// Pass standard input on
    #[arg(long, short, visible_alias = "stdin")]
    pub(in super::super) interactive: bool,

    /// Attach the terminal: the container must have one
    #[arg(long, short)]
    pub(in super::super) tty: bool,

    #[command(flatten)]
    pub(in super::super) transport: Transport,

    /// Container, by id or name
    #[arg(value_name = "ID")]
    pub(in super::super) id: String,
}

/// Run a pod with one container, as two files describe them.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri run container.yaml pod.yaml")]
pub(in super::super) struct Run {
    /// Container: YAML or JSON
    #[arg(value_name = "CONTAINER-FILE")]
    pub(in super::super) container: PathBuf,

    /// Pod: YAML or JSON
    #[arg(value_name = "POD-FILE")]
    pub(in super::super) pod: PathBuf,

    /// Runtime handler of the pod
    #[arg(long, short, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(in super::super) runtime: String,

    /// Do not pull the image if the runtime lacks it
    #[arg(long)]
    pub(in super::super) no_pull: bool,
}

/// Create a container in a pod, as two files describe them.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri create web-pod container.yaml pod.yaml
  stoop cri start $(stoop cri create web-pod container.yaml pod.yaml)")]
pub(in super::super) struct Create {
    /// Pod, by id or name
    #[arg(value_name = "POD")]
    pub(in super::super) id: String,

    /// Container: YAML or JSON
    #[arg(value_name = "CONTAINER-FILE")]
    pub(in super::super) container: PathBuf,

    /// Pod: YAML or JSON
    #[arg(value_name = "POD-FILE")]
    pub(in super::super) pod: PathBuf,

    /// Pull the image if the runtime lacks it
    #[arg(long)]
    pub(in super::super) with_pull: bool,

    /// Accepted for crictl: this is the default
    #[arg(long, hide = true, conflicts_with = "with_pull")]
    pub(in super::super) no_pull: bool,
}

/// Start containers that were created.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri start web")]
pub(in super::super) struct ContainerIds {
    /// Containers, by id or name
    #[arg(value_name = "ID", required = true)]
    pub(in super::super) ids: Vec<String>,
}

/// Stop containers that run.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri stop web
  stoop cri stop -t 10 web other")]
pub(in super::super) struct StopContainers {
    /// Containers, by id or name
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub(in super::super) ids: Vec<String>,

    /// Stop all containers that run
    #[arg(long, short)]
    pub(in super::super) all: bool,

    /// Time to exit before they are killed; by default at once
    #[arg(long, short = 't', value_name = "TIME", value_parser = time::parse, default_value = "0")]
    #[arg(hide_default_value = true)]
    pub(in super::super) timeout: Duration,
}

/// Remove containers.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri rm web
  stoop cri rm -f web")]
pub(in super::super) struct RemoveContainers {
    /// Containers, by id or name
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub(in super::super) ids: Vec<String>,

    /// Stop those that run
    #[arg(long, short)]
    pub(in super::super) force: bool,

    /// Remove all containers
    #[arg(long, short)]
    pub(in super::super) all: bool,

    /// Accepted for crictl: log files are never removed
    #[arg(long, short, hide = true)]
    pub(in super::super) keep_logs: bool,
}
