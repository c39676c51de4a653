//! The definition of the whole command line.

use clap::{Parser, Subcommand};

#[cfg(feature = "bench")]
use super::Bench;
#[cfg(feature = "http")]
use super::Http;
#[cfg(feature = "top")]
use super::Top;
use super::{
    Close, Complete, Completions, Connect, Demo, Extcap, Ls, Man, Recv, Relay, Replay, Send, Serve, Tap,
    Tree, Wait, Who, Why, footer,
};
#[cfg(feature = "grpc")]
use super::{Cri, Grpc};
use crate::features::is_built;
use crate::output::ColorWhen;

/// Serve, connect to and inspect Unix domain sockets.
///
/// Bind streams, datagrams and seqpackets with exact permissions, as a service of systemd or on
/// their own, for clients that a policy allows; replace a live server without refusing a client;
/// run a command for each client; pass file descriptors; relay to another socket or to TCP. List
/// every socket of the machine with the processes at both ends, watch and draw them, close a
/// connection, show what two programs say to each other, wait for a server, and explain why a call
/// fails. Call HTTP and gRPC services such as Docker and containerd, and compare transports, if the
/// build has these commands.
///
/// An address is a path, @NAME (abstract), fd:N (inherited), or a name such as docker, with
/// stream:, dgram: or seqpacket: in front where the kind matters. Addresses as nginx, D-Bus, socat
/// and others write them are understood. Every command that prints results does so as JSON lines
/// with --json.
#[derive(Debug, Parser)]
#[command(name = "stoop", version, propagate_version = true, disable_help_subcommand = true)]
#[command(max_term_width = 100, arg_required_else_help = true, after_help = footer(&examples()))]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,

    /// When to color errors and warnings
    #[arg(long, value_name = "WHEN", value_enum, global = true, default_value_t = ColorWhen::Auto)]
    pub(crate) color: ColorWhen,
}

const EXAMPLES: &str = "
  stoop demo                                # a tour of all features, in a few seconds
  stoop help ls                             # the help of one command
  stoop serve ./app.sock                    # an echo server
  stoop connect ./app.sock                  # connect to it
  stoop serve @app --exec 'date'            # an abstract name, and a command for each client
  stoop recv dgram:./log.sock               # print messages with their senders
  stoop send ./log.sock hello               # send one message
  stoop wait ./app.sock                     # wait until a server listens
  stoop relay ./app.sock tcp:127.0.0.1:80   # relay to a TCP server, or between sockets
  stoop replay app.rec ./app.sock           # play a recording, and compare the answers
  stoop ls                                  # list all sockets, with both ends
  stoop who /run/docker.sock                # the details of one socket
  stoop tree --svg -o sockets.svg           # draw the connections between processes
  stoop tap docker                          # what its clients ask, and how long it takes
  stoop top                                 # which sockets are busy, and which wait
  stoop why /run/app.sock --as www-data     # could this user connect, and if not, why?
  stoop http docker /version                # HTTP over a Unix socket
  stoop grpc cri Version                    # call any gRPC method
  stoop cri ps                              # containers, as crictl lists them
  stoop bench                               # compare transports on this machine";

/// Returns the examples of the commands that this build has.
fn examples() -> String {
    let verb = |line: &str| line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    EXAMPLES
        .split_inclusive('\n')
        .filter(|line| is_built(&verb(line)))
        .collect::<String>()
        .trim_end()
        .to_owned()
}

/// The command to run.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Demo(Demo),
    Serve(Serve),
    Connect(Connect),
    Send(Send),
    Recv(Recv),
    Wait(Wait),
    Relay(Box<Relay>),
    Replay(Replay),
    Ls(Ls),
    Who(Who),
    Tree(Tree),
    Tap(Box<Tap>),
    #[cfg(feature = "top")]
    Top(Box<Top>),
    Close(Close),
    Why(Why),
    #[cfg(feature = "grpc")]
    Grpc(Grpc),
    #[cfg(feature = "grpc")]
    Cri(Cri),
    #[cfg(feature = "http")]
    Http(Box<Http>),
    #[cfg(feature = "bench")]
    Bench(Bench),
    #[command(hide = true)]
    Complete(Complete),
    #[command(hide = true)]
    Extcap(Extcap),
    Completions(Completions),
    Man(Man),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::exit::Exit;
    use crate::features::OPTIONAL;

    /// The command and each of its subcommands.
    fn commands() -> Vec<clap::Command> {
        let mut command = Cli::command();
        command.build();
        let verbs: Vec<_> = command.get_subcommands().cloned().collect();
        std::iter::once(command).chain(verbs).collect()
    }

    #[test]
    fn clap_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_is_documented_as_a_sentence() {
        for command in commands() {
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let (verb, id) = (command.get_name(), argument.get_id());
                let help = argument.get_help().unwrap_or_else(|| panic!("{verb} {id}: no help")).to_string();
                assert!(help.starts_with(char::is_uppercase), "{verb} {id}: '{help}'");
            }
        }
    }

    #[test]
    fn every_help_has_examples_and_exit_codes() {
        for mut command in commands() {
            let name = command.get_name().to_owned();
            let example = if name == "stoop" { "\n  stoop ".into() } else { format!("\n  stoop {name}") };
            for help in [command.render_help(), command.render_long_help()] {
                let help = help.to_string();
                assert!(help.contains("Examples:") && help.contains(&example), "{name}");
                assert!(help.contains(&Exit::list().trim_end().to_owned()), "{name}");
            }
        }
    }

    #[test]
    fn help_lists_only_what_this_build_has() {
        let help = Cli::command().render_long_help().to_string();
        for (verb, is_built) in OPTIONAL {
            assert_eq!(Cli::command().find_subcommand(verb).is_some(), is_built, "{verb}");
            assert_eq!(help.contains(&format!("\n  stoop {verb} ")), is_built, "an example of {verb}");
            assert_eq!(help.contains(&format!("\n  {verb} ")), is_built, "the command {verb}");
        }
        assert!(help.contains("\n  stoop demo ") && help.contains("\n  stoop why "));
    }

    #[test]
    fn flags_of_the_same_name_have_the_same_help() {
        let mut seen = std::collections::BTreeMap::new();
        for command in commands() {
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let (Some(long), Some(help)) = (argument.get_long(), argument.get_help()) else { continue };
                // What is limited in time, counted, or written, and what is done with a process or a
                // listener, differs between commands.
                let differs = [
                    "all",
                    "output",
                    "timeout",
                    "count",
                    "pid",
                    "listening",
                    "json",
                    "header",
                    "include",
                    "data",
                    "verbose",
                    "connect-timeout",
                    "help",
                    "version",
                ];
                if differs.contains(&long) {
                    continue;
                }
                let before = seen.entry(long.to_owned()).or_insert_with(|| help.to_string());
                assert_eq!(*before, help.to_string(), "--{long} of {}", command.get_name());
            }
        }
    }
}
