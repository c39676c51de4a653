//! Words advice as commands for a shell, each optionally with a `# comment`. No I/O.

mod file;
mod system;

use stoop::{Kind, escaped};
use stoop_inspect::endpoints::{Name, Protocol, Service};
use stoop_inspect::internal::facts::Exhausted;
use stoop_inspect::internal::{Action, Site};
use stoop_inspect::why::{Operation, Question, Who};

use crate::features::is_built;
use crate::shell;

/// A suggested client, which each client command words as itself.
pub(crate) struct Client {
    /// The address, quoted.
    pub(crate) address: String,
    /// The kind of socket to use.
    pub(crate) kind: Option<Kind>,
    /// Whether to wait for a server.
    pub(crate) waits: bool,
    /// What to add as a comment.
    pub(crate) comment: Option<String>,
}

impl Client {
    /// Returns the flags and the comment that follow the address.
    pub(crate) fn flags(&self) -> String {
        let kind = self.kind.map_or(String::new(), |kind| format!(" --kind {}", kind.word()));
        let wait = if self.waits { WAIT } else { "" };
        format!("{kind}{wait}")
    }

    /// Returns the comment.
    pub(crate) fn comment(&self) -> String {
        self.comment.as_ref().map_or(String::new(), |comment| format!("    # {comment}"))
    }

    /// Words it as `stoop send`, with a message from standard input.
    fn send(&self) -> String {
        format!("stoop send {}{}{}", self.address, self.flags(), self.comment())
    }

    /// Words it as `stoop connect`.
    pub(crate) fn connect(&self) -> String {
        format!("stoop connect {}{}{}", self.address, self.flags(), self.comment())
    }
}

const WAIT: &str = " --wait 10s";

/// Words each advice on an operation as a command. A client of `send` becomes `stoop send`.
pub(crate) fn commands(operation: Operation, advice: &[Action]) -> Vec<String> {
    let client = match operation {
        Operation::Send { .. } => Client::send,
        Operation::Connect | Operation::Bind => Client::connect,
    };
    advice.iter().map(|advice| command_with(advice, &client)).collect()
}

/// Words an advice as a command. A client becomes `stoop connect`.
pub(crate) fn command(advice: &Action) -> String {
    command_with(advice, &Client::connect)
}

/// Words an advice as a command. A client in this network namespace is worded by `client`. What no
/// command does is a sentence, in a form that does nothing in a shell: `# restart the container`.
pub(crate) fn command_with(advice: &Action, client: &dyn Fn(&Client) -> String) -> String {
    let command = words(advice, client);
    // A sentence is no command, and the redirection of a thaw has its own.
    match advice.requires_root() && !command.starts_with('#') && !matches!(advice, Action::Thaw { .. }) {
        true => format!("sudo {command}"),
        false => command,
    }
}

/// Words a command, without what runs it as root.
fn words(advice: &Action, client: &dyn Fn(&Client) -> String) -> String {
    let connect = |at: &Site, kind: Option<Kind>, waits, comment: Option<String>| {
        let kind = kind.or(at.kind.filter(|kind| *kind != Kind::Stream));
        let it = Client { address: shell::address(&at.address), kind, waits, comment };
        match at.netns_of {
            Some(_) => in_place(at, &it.connect()),
            None => client(&it),
        }
    };
    match advice {
        Action::Connect { at, kind } => connect(at, *kind, false, None),
        Action::ConnectByLongPath(at) => connect(at, None, false, Some("reaches it nevertheless".into())),
        Action::WaitForServer { at, is_bound } => {
            let comment = if *is_bound { "until it listens" } else { "or wait until one starts" };
            connect(at, None, true, Some(comment.into()))
        }
        Action::WaitForOwner { at, program, exhausted } => {
            connect(at, None, true, Some(start_owner(program.as_deref(), *exhausted)))
        }
        Action::TryAgain { operation: Operation::Connect | Operation::Send { .. }, at } => {
            connect(at, None, false, Some("try again".into()))
        }
        other => server_command(other),
    }
}

/// Returns what has to be done while a client waits for a server.
fn start_owner(program: Option<&str>, exhausted: Option<Exhausted>) -> String {
    let room = exhausted.map_or(String::new(), |what| {
        let what = if what == Exhausted::Inodes {
            "delete files: no inode is left"
        } else {
            "make room: the disk is full"
        };
        format!("{what}; ")
    });
    match program {
        Some(program) => format!("waits; {room}meanwhile start {}", escaped(program)),
        None => format!("waits; {room}meanwhile start the program that the socket belongs to"),
    }
}

/// Words an advice that is about servers and predictions.
fn server_command(advice: &Action) -> String {
    match advice {
        Action::StartServer { at, in_view_of } => {
            let view = in_view_of.map_or(String::new(), |pid| format!(" in the view of process {pid}"));
            serve(at, "", &format!("start one{view}"))
        }
        Action::StartReceiver(at) => {
            in_place(at, &format!("stoop recv {}    # start a receiver", shell::address(&at.address)))
        }
        Action::UseAnotherName(at) => serve(at, "", "another name, which is free"),
        Action::ReplaceStale(at) => serve(at, "", "replaces a stale socket safely"),
        Action::GiveNameBack(at) => format!(
            "stoop relay --restore {}    # gives the server its name back: a relay in front of it was killed",
            shell::address(&at.address)
        ),
        Action::BindByLongPath(at) => serve(at, "", "binds a path of any length"),
        Action::AssumeStale(at) => {
            serve(at, " --assume-stale", "only if no other machine or mount has a server there")
        }
        Action::TakeOver(at) => serve(at, " --replace", "take the name over, refusing no client"),
        Action::OmitSlash { at, operation } => format!(
            "stoop why {}{}    # without the slash",
            shell::address(&at.address),
            operation_flags(*operation)
        ),
        Action::TryAgain { at, .. } => {
            format!("stoop why {} --op bind    # whether it would succeed now", shell::address(&at.address))
        }
        Action::UsePrivateDirectory => {
            "mktemp -d    # a directory that is private to us: bind in there, or in $XDG_RUNTIME_DIR".into()
        }
        Action::UseNewGroup { group, at, operation } => {
            let call = match operation {
                Operation::Bind => format!("stoop why {} --op bind", shell::address(&at.address)),
                _ => format!("stoop connect {}", shell::address(&at.address)),
            };
            format!(
                "sg {} -c {}    # or log in again: this session is older than the membership",
                shell::word(group),
                shell::word(&call)
            )
        }
        Action::PredictConnect { address, kind } => {
            format!("stoop why {} --op connect --kind {}", shell::address(address), kind.word())
        }
        Action::PredictAsRoot(question) => format!("{}    # root sees more", prediction(question)),
        Action::PredictAs { user, question } => {
            format!("sudo -u {} {}    # as the only user of that mount", numbered(user), prediction(question))
        }
        Action::ShowSocket(inode) => {
            format!("stoop who inode:{inode}    # its address, its process and its peer")
        }
        Action::ShowPath { address, operation } => {
            let address = shell::address(address);
            format!(
                "stoop why {address}{}    # the path, component by component",
                operation_flags(*operation)
            )
        }
        Action::SeeElsewhere { address, .. } => {
            format!("stoop why {}    # if that one was meant", shell::address(address))
        }
        Action::ShowServer(at) => {
            let address = shell::address(&at.address);
            format!("stoop who {address}    # its processes, its clients, and those that wait")
        }
        Action::AskWhereItRuns(at) => format!(
            "# ask where its server runs, on the host or in its container: stoop who {}",
            shell::address(&at.address)
        ),
        Action::CorrectAddress => "stoop --help    # how addresses are written".into(),
        Action::UseService { service, address } => {
            let place = service.name().map_or_else(|| shell::address(address), |name| name.word().into());
            let client = client_of(service, &place);
            format!("{client}    # finds it as its own clients do")
        }
        other => system::command(other),
    }
}

/// Words a question as `stoop why`.
fn prediction(question: &Question) -> String {
    let subject = match &question.subject {
        Who::CurrentProcess => String::new(),
        Who::User(name) => format!(" --as {}", shell::word(name)),
        Who::Process(pid) => format!(" --pid {pid}"),
    };
    let kind = question.kind.map_or(String::new(), |kind| format!(" --kind {}", kind.word()));
    let operation = operation_flags(question.operation);
    format!("stoop why {}{operation}{kind}{subject}", shell::address(&question.address))
}

/// Words a user for `sudo`, which takes a number with a `#` in front.
fn numbered(user: &str) -> String {
    match user.bytes().all(|byte| byte.is_ascii_digit()) {
        true => shell::word(format!("#{user}")),
        false => shell::word(user),
    }
}

fn operation_flags(operation: Operation) -> String {
    match operation {
        Operation::Connect => String::new(),
        Operation::Bind => " --op bind".into(),
        Operation::Send { len_bytes: 1 } => " --op send".into(),
        Operation::Send { len_bytes } => format!(" --op send --size {len_bytes}"),
    }
}

/// Returns a command that talks to a service at this place, as far as this build has it.
pub(crate) fn client_of(service: &Service, place: &str) -> String {
    match (service.name().map(Name::word), service.protocol) {
        (Some("docker" | "podman"), _) if is_built("http") => format!("stoop http {place} /version"),
        (Some("cri"), _) if is_built("grpc") => format!("stoop grpc {place} Version"),
        (_, Protocol::Http) if is_built("http") => {
            format!("stoop http {place} {}", service.health_path.unwrap_or("/"))
        }
        (_, Protocol::Grpc | Protocol::Ttrpc) if is_built("grpc") => format!("stoop grpc {place} list"),
        (_, Protocol::Postgres | Protocol::Mysql | Protocol::Redis) => {
            format!("stoop wait {place} --healthy --timeout 0")
        }
        _ => format!("stoop why {place}"),
    }
}

fn serve(at: &Site, flags: &str, comment: &str) -> String {
    let kind = at.kind.filter(|kind| *kind != Kind::Stream);
    let kind = kind.map_or(String::new(), |kind| format!(" --kind {}", kind.word()));
    in_place(at, &format!("stoop serve {}{kind}{flags}    # {comment}", shell::address(&at.address)))
}

/// Adds what runs a command in the network namespace of the address.
fn in_place(at: &Site, command: &str) -> String {
    let enter = at.netns_of.map_or(String::new(), |pid| format!("nsenter --target {pid} --net "));
    format!("{enter}{command}")
}

#[cfg(test)]
mod tests;
