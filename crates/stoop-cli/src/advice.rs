//! Words advice as commands for a shell, each optionally with a `# comment`. No I/O.

use std::path::Path;

use stoop::{Kind, escaped};
use stoop_inspect::Workload;
use stoop_inspect::endpoints::{Name, Protocol, Service};
use stoop_inspect::internal::facts::{Exhausted, Unit};
use stoop_inspect::internal::{Action, FrozenGroup, ModeClass, Permission, Program, Renewal, Site, Tracer};
use stoop_inspect::why::{Operation, Question, Who};

use crate::distribution;
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
        Action::BindByLongPath(at) => serve(at, "", "binds a path of any length"),
        Action::AssumeStale(at) => {
            serve(at, " --assume-stale", "only if no other machine or mount has a server there")
        }
        Action::TakeOver(at) => serve(at, " --replace", "take the name over, refusing no client"),
        Action::OmitSlash(at) => {
            format!("stoop why {} --op bind    # without the slash", shell::address(&at.address))
        }
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
        Action::PredictAsRoot(question) => format!("sudo {}    # root sees more", prediction(question)),
        Action::ShowPath { address, operation } => {
            let address = shell::address(address);
            format!(
                "stoop why {address}{}    # the path, component by component",
                operation_flags(*operation)
            )
        }
        Action::SeeElsewhere { address } => {
            format!("stoop why {}    # if that one was meant", shell::address(address))
        }
        Action::ShowServer(at) => {
            let address = shell::address(&at.address);
            format!(
                "{}stoop who {address}    # its processes, its clients, and those that wait",
                sudo(at.as_root)
            )
        }
        Action::CorrectAddress => "stoop --help    # how addresses are written".into(),
        Action::UseService { service, address } => {
            let place = service.name().map_or_else(|| shell::address(address), |name| name.word().into());
            let client = client_of(service, &place);
            format!("{client}    # finds it as its own clients do")
        }
        other => system_command(other),
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

/// Words an advice that is about processes, units and limits.
fn system_command(advice: &Action) -> String {
    match advice {
        Action::Restart { program, renewal, as_root } => restart(program, *renewal, *as_root),
        Action::Resume { pid, as_root } => {
            format!("{}kill -CONT {pid}    # it was stopped by a signal", sudo(*as_root))
        }
        Action::Detach { pid, tracer, as_root } => detach(*pid, tracer, *as_root),
        Action::Thaw { group, as_root } => thaw(group, *as_root),
        Action::RaiseLimitOf { pid, to, is_beyond_hard, as_root } => {
            // Without a number behind the colon, the hard limit stays.
            let hard = if *is_beyond_hard { to.to_string() } else { String::new() };
            // A select(2) on a file descriptor from 1024 on writes beyond its set.
            let select = if *to > 1024 { ", unless it uses select(2)" } else { "" };
            format!(
                "{}prlimit --pid {pid} --nofile={to}:{hard}    # lets it accept more clients, until it ends{select}",
                sudo(*as_root)
            )
        }
        Action::ShowWaitChannel { pid, as_root } => {
            format!("{}cat /proc/{pid}/wchan    # what it waits for in the kernel", sudo(*as_root))
        }
        Action::JoinGroup { user, group, is_root, as_root } => {
            let effect = match is_root {
                true => format!("gives {} the power of root on this machine", escaped(user)),
                false => "the group has the permission".into(),
            };
            let (group, user) = (shell::word(group), shell::word(user));
            format!("{}usermod -aG {group} {user}    # from the next login on; {effect}", sudo(*as_root))
        }
        Action::ListUsers => "getent passwd    # the users of this machine".into(),
        Action::ListProcesses => "ps -e    # the processes visible from here".into(),
        Action::CheckProc => "mount | grep proc".into(),
        Action::ShowSendBufferLimit => "cat /proc/sys/net/core/wmem_max    # the largest send buffer that a \
                                        program may set; or use a stream socket"
            .into(),
        Action::ShowQueueLimit => {
            "cat /proc/sys/net/unix/max_dgram_qlen    # a queue holds one message more than this".into()
        }
        Action::ShowDescriptors { pid, as_root } => {
            format!("{}ls -l /proc/{pid}/fd    # what it has open", sudo(*as_root))
        }
        Action::RaiseDescriptorLimit => {
            "ulimit -n    # the limit of this shell; raise it with: ulimit -n 65536".into()
        }
        Action::StartUnit { service, of_user, is_managed, as_root } => {
            let unit = distribution::unit(service).filter(|_| service.obsolete.is_none());
            match unit.map(|unit| format!("{}{}", sudo(*as_root), unit.start(*of_user))) {
                Some(start) if *is_managed => format!("{start}    # starts {}", service.what),
                Some(start) => format!("# start {}: with a service manager, {start}", service.what),
                None => format!("# start {}", service.what),
            }
        }
        Action::RestartUnit { service, of_user } => match distribution::unit(service) {
            Some(unit) => unit.restart(*of_user),
            None => format!("# restart {}", service.what),
        },
        Action::ShowJournal(service) => match distribution::unit(service) {
            Some(unit) => unit.log(),
            None => format!("# check the log of {}", service.what),
        },
        Action::StartNamedUnit { unit: Unit { name, of_user }, as_root } => format!(
            "{}{} start {}    # the unit that the socket belongs to",
            sudo(*as_root),
            systemctl(*of_user),
            shell::word(name)
        ),
        other => file_command(other),
    }
}

/// Words how to release a traced process. A tracer that has attached is ended: it then detaches.
/// One that started the process may end it as well, so it has to be told to continue it.
fn detach(pid: u32, tracer: &Tracer, as_root: bool) -> String {
    let name = escaped(&tracer.command);
    match tracer.is_parent {
        true => format!("# continue process {pid} in {name}, process {}, which started it", tracer.pid),
        false => format!(
            "{}kill {}    # ends {name}, which then detaches; or continue process {pid} in it",
            sudo(as_root),
            tracer.pid
        ),
    }
}

/// Words how to thaw a control group: by the program that froze it, if its name tells.
fn thaw(group: &FrozenGroup, as_root: bool) -> String {
    let (sudo, comment) = (sudo(as_root), "it was frozen, with all of its control group");
    match &group.workload {
        Workload::Container { runtime, id, .. } if runtime == "docker" || runtime == "podman" => {
            format!("{sudo}{runtime} unpause {}    # {comment}", shell::word(id))
        }
        Workload::Unit { name, user: None } if !group.is_version_1() => {
            format!("{sudo}systemctl thaw {}    # {comment}", shell::word(name))
        }
        _ => {
            let word = if group.is_version_1() { "THAWED" } else { "0" };
            let file = shell::path(&group.switch);
            match as_root {
                true => format!("echo {word} | sudo tee {file}    # {comment}"),
                false => format!("echo {word} > {file}    # {comment}"),
            }
        }
    }
}

/// Words an advice that is about files.
fn file_command(advice: &Action) -> String {
    let path = |path: &Path| shell::path(path);
    match advice {
        Action::ShowFile(file) => format!("ls -ld {}", path(file)),
        Action::ShowFileInView { path: file, as_root } => format!(
            "{}ls -ld {}    # the directory in its view; mount the socket's directory into it",
            sudo(*as_root),
            path(file)
        ),
        Action::ShowStagingDirectory(directory) => format!(
            "ls -ldn {}    # its owner; it can be moved away while no process of that user starts or stops a server here",
            path(directory)
        ),
        Action::ShowLink(link) => format!("readlink {}", path(link)),
        Action::ShowDangling(link) => {
            format!("readlink {}    # the target, which does not exist", path(link))
        }
        Action::AvoidLink(link) => format!("readlink -f {}    # the real path; use that instead", path(link)),
        Action::UseAbsolutePath(file) => {
            format!("readlink -f {}    # an absolute path leads both to the same file", path(file))
        }
        Action::RemoveFile { path: file, as_root } => {
            format!("{}rm {}    # no server is bound to it", sudo(*as_root), path(file))
        }
        Action::RemoveDirectory { path: directory, as_root } => format!(
            "{}rmdir {}    # it is empty, as docker creates it for a mount without a source; then start the server",
            sudo(*as_root),
            path(directory)
        ),
        Action::CreateDirectory { path: directory, owner: None, as_root } => {
            format!("{}mkdir -p {}", sudo(*as_root), path(directory))
        }
        Action::CreateDirectory { path: directory, owner: Some(owner), as_root } => format!(
            "{}install -d -o {} -m 0755 {}    # owned by the user who binds",
            sudo(*as_root),
            shell::word(owner),
            path(directory)
        ),
        Action::EnterDirectory { directory, name } => format!(
            "cd {}    # from there, any program can bind {}",
            path(directory),
            shell::path(&Path::new(".").join(name))
        ),
        Action::ChangeDirectory => "cd /    # a directory that exists".into(),
        Action::ChangeMode { path: file, class, permission, group, as_root } => {
            let letter = if *permission == Permission::Search { 'x' } else { 'w' };
            let (class, effect) = match (class, permission) {
                (ModeClass::Owner, _) => ('u', String::new()),
                (ModeClass::Group, _) => ('g', format!("    # for all members of {}", escaped(group))),
                (ModeClass::Other, Permission::Search) => {
                    ('o', "    # lets all users search it, and reach what is in it".into())
                }
                (ModeClass::Other, Permission::Write) => ('o', "    # lets all users write to it".into()),
            };
            format!("{}chmod {class}+{letter} {}{effect}", sudo(*as_root), path(file))
        }
        Action::AddAclEntry { path: file, user, permissions, as_root } => {
            let user = shell::word(user);
            format!(
                "{}setfacl -m u:{user}:{permissions} {}    # for that user only",
                sudo(*as_root),
                path(file)
            )
        }
        Action::WidenAclMask { path: file, permissions, as_root } => format!(
            "{}setfacl -m m::{} {}    # there is an entry, but the mask excludes it",
            sudo(*as_root),
            letters(*permissions),
            path(file)
        ),
        Action::ShowFlags(file) => format!("lsattr -d {}", path(file)),
        Action::ClearImmutable { path: directory, as_root } => {
            format!("{}chattr -i {}", sudo(*as_root), path(directory))
        }
        Action::ShowInodes(directory) => {
            format!("df -i {}    # no inode is free: remove files", path(directory))
        }
        Action::MountAgain { path: file } => format!(
            "findmnt -T {}    # its source was deleted: restart the container, and mount the directory, not the file",
            path(file)
        ),
        Action::ShowMount(directory) => {
            format!("findmnt -T {}    # the mount and its options", path(directory))
        }
        other => sentence(other),
    }
}

/// Words what no command does.
fn sentence(advice: &Action) -> String {
    match advice {
        Action::StartOwner { program: None } => {
            "# start the program that the socket belongs to, in the way it is usually started".into()
        }
        Action::AllowGroup(_) => {
            "# to last, let its server create the file with such a mode or group: a change of \
                                  the file is lost when the server starts again"
                .into()
        }
        Action::ChangeBeneathMount(file) => format!(
            "# the mount is read-only: whoever mounted it can grant the permission on {} elsewhere",
            escaped(file.as_os_str().as_encoded_bytes())
        ),
        other => format!("# {other}"),
    }
}

/// Words how a program is started again, or a sentence if no command does that.
fn restart(program: &Program, renewal: Renewal, as_root: bool) -> String {
    let effect = match renewal {
        Renewal::SocketFile => "creates a new socket file",
        Renewal::Groups => "a process has the groups of the time of its start",
    };
    let sudo = sudo(as_root);
    match program {
        Program::Units { names, of_user } => {
            let names: Vec<String> = names.iter().map(shell::word).collect();
            format!("{sudo}{} restart {}    # {effect}", systemctl(*of_user), names.join(" "))
        }
        Program::Container { runtime, id } if ["docker", "podman", "nerdctl"].contains(&runtime.as_str()) => {
            format!("{sudo}{runtime} restart {}    # {effect}", shell::word(id))
        }
        Program::Signal { pid, signal, name } => {
            format!(
                "{sudo}kill -{signal} {pid}    # {name} creates its socket file again, and keeps its sessions"
            )
        }
        Program::Process { pid, command } => format!(
            "# restart process {pid} ({}) as it was started: {effect}; what it holds ends with it",
            escaped(command)
        ),
        container => format!("# restart {container}: {effect}"),
    }
}

fn letters(permissions: u8) -> String {
    let letter = |bit, letter| if permissions & bit != 0 { letter } else { '-' };
    [letter(4, 'r'), letter(2, 'w'), letter(1, 'x')].into_iter().collect()
}

fn serve(at: &Site, flags: &str, comment: &str) -> String {
    let kind = at.kind.filter(|kind| *kind != Kind::Stream);
    let kind = kind.map_or(String::new(), |kind| format!(" --kind {}", kind.word()));
    in_place(at, &format!("stoop serve {}{kind}{flags}    # {comment}", shell::address(&at.address)))
}

/// Adds what runs a command as root, and in the network namespace of the address.
fn in_place(at: &Site, command: &str) -> String {
    let enter = at.netns_of.map_or(String::new(), |pid| format!("nsenter --target {pid} --net "));
    format!("{}{enter}{command}", sudo(at.as_root))
}

fn systemctl(of_user: bool) -> &'static str {
    if of_user { "systemctl --user" } else { "systemctl" }
}

fn sudo(as_root: bool) -> &'static str {
    if as_root { "sudo " } else { "" }
}

#[cfg(test)]
mod tests;
