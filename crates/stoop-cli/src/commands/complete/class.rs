//! Which values an argument takes. Pure.

use clap::Arg;

/// A class of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// One of the values that the argument itself lists.
    Listed,
    /// The address of a server, or the name of a well-known one.
    Server,
    /// An address to bind.
    Bound,
    /// Sockets of the machine: an address, `pid:N` or `inode:N`.
    Selected,
    /// A kind of socket.
    Kind,
    /// A user.
    User,
    /// A group.
    Group,
    /// A process id.
    Pid,
    /// The name of a command that runs.
    Command,
    /// A systemd unit.
    Unit,
    /// A network namespace.
    Namespace,
    /// A file.
    File,
    /// A directory.
    Directory,
    /// Text, or `@` and a file.
    TextOrFile,
    /// A verb of the command.
    Verb,
    /// An HTTP method, or the path of a request.
    Request,
    /// `list`, `describe`, or a method of the server, or of a built-in gRPC interface.
    Action,
    /// A container of the runtime.
    Container,
    /// A pod of the runtime.
    Pod,
    /// An image of the runtime.
    Image,
    /// A transport of `stoop bench`.
    Transport,
    /// A workload of `stoop bench`.
    Workload,
    /// Anything: a number, a duration, a message.
    Free,
}

/// The names of values that cannot be listed.
const FREE: [&str; 33] = [
    "TIME",
    "OCTAL",
    "N",
    "BYTES",
    "SIZE",
    "CPU,CPU",
    "NAME: VALUE",
    "PROTOCOL",
    "MSG",
    "CMD",
    "ID",
    "WORD",
    "FLAGS",
    "VERSION",
    "NAME",
    "JSON",
    // Of crictl.
    "REGEX",
    "KEY=VALUE",
    "[LOCAL:]PORT",
    // Of curl.
    "METHOD",
    "NAME=CONTENT",
    "NAME=TEXT",
    "NAME=VALUE",
    "USER:PASSWORD",
    "TOKEN",
    "TEXT",
    "URL",
    "SECONDS",
    "RANGE",
    "FORMAT",
    "FACTOR",
    "FAULTS",
    "STATUS",
];

/// Returns the class of an argument of this verb and action, or `None` if it has none.
pub(super) fn of(verb: &str, action: Option<&str>, arg: &Arg) -> Option<Class> {
    if !arg.get_possible_values().is_empty() {
        return Some(Class::Listed);
    }
    let name = arg.get_value_names().and_then(|names| names.first())?.as_str();
    Some(match (name, arg.get_id().as_str()) {
        ("ADDR", "bind") | ("LISTEN", _) => Class::Bound,
        ("CONNECT", _) => Class::Server,
        ("ADDR", _) => match verb {
            "serve" | "recv" => Class::Bound,
            "ls" | "tree" => Class::Selected,
            _ => Class::Server,
        },
        ("ADDR|pid:N|inode:N" | "inode:N|ADDR|pid:N", _) => Class::Selected,
        ("ID", _) if action.is_some_and(is_of_pods) => Class::Pod,
        ("ID", _) if action.is_some() => Class::Container,
        ("POD", _) => Class::Pod,
        ("IMAGE", _) => Class::Image,
        ("CONTAINER-FILE" | "POD-FILE", _) => Class::File,
        ("KIND", _) => Class::Kind,
        ("USER", _) => Class::User,
        ("GROUP", _) => Class::Group,
        ("PID", _) => Class::Pid,
        ("GLOB", "unit") => Class::Unit,
        ("GLOB", "name" | "method") => Class::Free,
        ("GLOB" | "PID|GLOB", _) => Class::Command,
        ("NS", _) => Class::Namespace,
        ("FILE" | "RULES", _) => Class::File,
        ("DIR", _) => Class::Directory,
        ("TEXT|@FILE|@-" | "JSON|@FILE|-|NAME", _) => Class::TextOrFile,
        ("VERB", _) => Class::Verb,
        ("PATH", "request") => Class::Request,
        ("PATH" | "REQUEST" | "WHO", _) => Class::Free,
        ("list|describe|METHOD", _) => Class::Action,
        ("NAMES", "transports") => Class::Transport,
        ("NAMES", _) => Class::Workload,
        (name, _) if FREE.contains(&name) => Class::Free,
        _ => return None,
    })
}

/// Returns whether an id is that of a pod for this action of `cri`.
fn is_of_pods(action: &str) -> bool {
    ["pods", "inspectp", "statsp"].contains(&action)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::{Command, CommandFactory};

    #[test]
    fn every_argument_has_a_class() {
        let mut cli = Cli::command();
        cli.build();
        for command in cli.get_subcommands() {
            check(command.get_name(), None, command);
            // clap's `help` has the actions as actions, too.
            for action in command.get_subcommands().filter(|action| action.get_name() != "help") {
                check(command.get_name(), Some(action.get_name()), action);
            }
        }
    }

    fn check(verb: &str, action: Option<&str>, command: &Command) {
        for arg in command.get_arguments().filter(|arg| arg.get_action().takes_values()) {
            let names = arg.get_value_names();
            assert!(of(verb, action, arg).is_some(), "{verb} {action:?} {}: {names:?}", arg.get_id());
        }
    }
}
