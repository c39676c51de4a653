//! The candidates of each class of values.

use clap::Command;
use stoop::Kind;

use super::class::{self, Class};
use super::machine::{Candidate, Sink, entries, files, namespaces, processes, units};
use super::slot::{Slot, Value};
use super::sockets;

/// The methods of HTTP.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Passes on every candidate for this slot that begins with what was typed: the last of the words.
pub(super) fn offer(cli: &Command, slot: &Slot<'_>, words: &[String], sink: Sink<'_>) {
    let Some((typed, before)) = words.split_last() else { return };
    match slot {
        Slot::Verb => verbs(cli, &mut matching("", typed, sink)),
        Slot::Flag(command) => flags(command, &mut matching("", typed, sink)),
        Slot::Action(command) => verbs(command, &mut matching("", typed, sink)),
        Slot::Value(value) => of_value(cli, value, before, &mut matching(&value.before, &value.typed, sink)),
    }
}

/// Returns a sink that passes on what begins with `typed`, with `before` in front.
fn matching<'a>(before: &'a str, typed: &'a str, sink: Sink<'a>) -> impl FnMut(Candidate) + 'a {
    move |candidate| {
        // Escapes only what would end a line or a description.
        let is_plain = !candidate.value.contains(char::is_control);
        if is_plain && candidate.value.starts_with(typed) {
            sink(Candidate { value: format!("{before}{}", candidate.value), ..candidate });
        }
    }
}

fn of_value(cli: &Command, value: &Value<'_>, words: &[String], sink: Sink<'_>) {
    let typed = value.typed.as_str();
    match class::of(value.verb, value.action, value.arg) {
        Some(Class::Listed) => {
            for listed in value.arg.get_possible_values().iter().filter(|listed| !listed.is_hide_set()) {
                sink(Candidate::new(listed.get_name(), about(listed.get_help())));
            }
        }
        Some(Class::Server) => sockets::servers(typed, sink),
        Some(Class::Bound) => sockets::bound(typed, sink),
        Some(Class::Selected) => sockets::selected(typed, sink),
        Some(Class::Kind) => Kind::ALL.iter().for_each(|kind| sink(Candidate::new(kind.word(), ""))),
        Some(Class::User) => entries("/etc/passwd", sink),
        Some(Class::Group) => entries("/etc/group", sink),
        Some(Class::Pid) => processes(|pid, command| sink(Candidate::new(pid, command))),
        Some(Class::Command) => processes(|_, command| sink(Candidate::new(command, ""))),
        Some(Class::Unit) => units(sink),
        Some(Class::Namespace) => namespaces(sink),
        Some(Class::File) => files(typed, "", |_| true, sink),
        Some(Class::Directory) => files(typed, "", |_| false, sink),
        Some(Class::TextOrFile) => match typed.strip_prefix('@') {
            Some(path) => files(path, "@", |_| true, sink),
            None if value.verb == "grpc" => symbols(words, typed, &value.previous, sink),
            None => {}
        },
        Some(Class::Verb) => verbs(cli, sink),
        Some(Class::Request) => {
            if value.nth == 0 {
                METHODS.iter().for_each(|method| sink(Candidate::new(*method, "")));
            }
            requests(words, typed, sink);
        }
        Some(Class::Action) => actions(words, typed, sink),
        Some(Class::Container) => in_runtime(Named::Containers, value, words, sink),
        Some(Class::Pod) => in_runtime(Named::Pods, value, words, sink),
        Some(Class::Image) => in_runtime(Named::Images, value, words, sink),
        Some(Class::Transport) => transports(sink),
        Some(Class::Workload) => workloads(sink),
        Some(Class::Free) | None => {}
    }
}

fn about(help: Option<&clap::builder::StyledStr>) -> String {
    help.map(ToString::to_string).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

fn verbs(cli: &Command, sink: Sink<'_>) {
    for verb in cli.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        sink(Candidate::new(verb.get_name(), about(verb.get_about())));
    }
    if cli.find_subcommand("help").is_none() {
        sink(Candidate::new("help", "Print the help of a command"));
    }
}

fn flags(command: &Command, sink: Sink<'_>) {
    for flag in command.get_arguments().filter(|flag| !flag.is_hide_set()) {
        if let Some(long) = flag.get_long() {
            sink(Candidate::new(format!("--{long}"), about(flag.get_help())));
        }
    }
}

#[cfg(feature = "grpc")]
fn actions(words: &[String], typed: &str, sink: Sink<'_>) {
    super::methods::actions(words, typed, sink);
}

#[cfg(feature = "grpc")]
fn symbols(words: &[String], typed: &str, action: &str, sink: Sink<'_>) {
    if matches!(action, "list" | "describe") {
        super::methods::symbols(words, typed, action, sink);
    }
}

/// What a runtime has names for.
#[derive(Clone, Copy)]
enum Named {
    Containers,
    Pods,
    Images,
}

#[cfg(feature = "grpc")]
fn in_runtime(sort: Named, value: &Value<'_>, words: &[String], sink: Sink<'_>) {
    use crate::commands::cri;
    let sort = match sort {
        Named::Containers => cri::Known::Containers,
        Named::Pods => cri::Known::Pods,
        Named::Images => cri::Known::Images,
    };
    let before = words.get(..value.before_action).unwrap_or_default();
    super::runtime::offer(before, sort, &value.typed, sink);
}

#[cfg(not(feature = "grpc"))]
fn in_runtime(_: Named, _: &Value<'_>, _: &[String], _: Sink<'_>) {}

#[cfg(feature = "http")]
fn requests(words: &[String], typed: &str, sink: Sink<'_>) {
    super::requests::offer(words, typed, sink);
}

#[cfg(not(feature = "grpc"))]
fn actions(_: &[String], _: &str, _: Sink<'_>) {}

#[cfg(not(feature = "grpc"))]
fn symbols(_: &[String], _: &str, _: &str, _: Sink<'_>) {}

#[cfg(not(feature = "http"))]
fn requests(_: &[String], _: &str, _: Sink<'_>) {}

#[cfg(feature = "bench")]
fn transports(sink: Sink<'_>) {
    use crate::commands::bench::transport::Transport;
    Transport::ALL.iter().for_each(|transport| sink(Candidate::new(transport.name(), "")));
}

#[cfg(feature = "bench")]
fn workloads(sink: Sink<'_>) {
    use crate::commands::bench::workload::Workload;
    Workload::ALL.iter().for_each(|work| sink(Candidate::new(work.name(), work.title())));
}

#[cfg(not(feature = "bench"))]
fn transports(_: Sink<'_>) {}

#[cfg(not(feature = "bench"))]
fn workloads(_: Sink<'_>) {}
