//! Words advice about processes, units and limits. No I/O.

use stoop::escaped;
use stoop_inspect::Workload;
use stoop_inspect::internal::facts::Unit;
use stoop_inspect::internal::{Action, FrozenGroup, Program, Renewal, Tracer};

use super::file;
use crate::descriptor_limit;
use crate::distribution;
use crate::shell;

/// Words an advice that is about processes, units and limits.
pub(super) fn command(advice: &Action) -> String {
    match advice {
        Action::Restart { program, renewal, .. } => restart(program, *renewal),
        Action::Resume { pid, .. } => format!("kill -CONT {pid}    # it was stopped by a signal"),
        Action::Detach { pid, tracer, .. } => detach(*pid, tracer),
        Action::Thaw { group, as_root } => thaw(group, *as_root),
        Action::RaiseLimitOf { pid, to, is_beyond_hard, .. } => {
            // Without a number behind the colon, the hard limit stays.
            let hard = if *is_beyond_hard { to.to_string() } else { String::new() };
            // A select(2) on a file descriptor from 1024 on writes beyond its set.
            let select = if *to > 1024 { ", unless it uses select(2)" } else { "" };
            format!(
                "prlimit --pid {pid} --nofile={to}:{hard}    # lets it accept more clients, until it ends{select}"
            )
        }
        Action::ShowWaitChannel { pid, .. } => {
            format!("cat /proc/{pid}/wchan    # what it waits for in the kernel")
        }
        Action::JoinGroup { user, group, is_root, .. } => {
            let effect = match is_root {
                true => format!("gives {} the power of root on this machine", escaped(user)),
                false => "the group has the permission".into(),
            };
            let (group, user) = (shell::word(group), shell::word(user));
            format!("usermod -aG {group} {user}    # from the next login on; {effect}")
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
        Action::ShowDescriptors { pid, .. } => format!("ls -l /proc/{pid}/fd    # what it has open"),
        Action::RaiseDescriptorLimit => descriptor_limit::command(),
        Action::StartUnit { service, of_user, is_managed, as_root } => {
            let unit = distribution::unit(service).filter(|_| service.obsolete.is_none());
            let sudo = if *as_root { "sudo " } else { "" };
            match unit.map(|unit| unit.start(*of_user)) {
                Some(start) if *is_managed => format!("{start}    # starts {}", service.what),
                Some(start) => format!("# start {}: with a service manager, {sudo}{start}", service.what),
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
        Action::StartNamedUnit { unit: Unit { name, of_user }, .. } => format!(
            "{} start {}    # the unit that the socket belongs to",
            systemctl(*of_user),
            shell::word(name)
        ),
        other => file::command(other),
    }
}

/// Words how to release a traced process. No command does that: one that ends the tracer may end
/// the process as well (`PTRACE_O_EXITKILL`), and whether it would is not visible.
fn detach(pid: u32, tracer: &Tracer) -> String {
    let name = escaped(&tracer.command);
    let how = match tracer.is_parent {
        true => format!("continue process {pid} in {name}, process {}, which started it", tracer.pid),
        false => format!("detach {name}, process {}, from process {pid}, or continue it there", tracer.pid),
    };
    format!("# {how}; ending {name} may end process {pid}, too")
}

/// Words how to thaw a control group: by the program that froze it, if its name tells.
fn thaw(group: &FrozenGroup, as_root: bool) -> String {
    let sudo = if as_root { "sudo " } else { "" };
    let comment = "it was frozen, with all of its control group";
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

/// Words how a program is started again, or a sentence if no command does that.
fn restart(program: &Program, renewal: Renewal) -> String {
    let effect = match renewal {
        Renewal::SocketFile => "creates a new socket file",
        Renewal::Groups => "a process has the groups of the time of its start",
        Renewal::Directory => "in a directory that exists",
    };
    match program {
        Program::Units { names, of_user } => {
            let names: Vec<String> = names.iter().map(shell::word).collect();
            format!("{} restart {}    # {effect}", systemctl(*of_user), names.join(" "))
        }
        Program::Container { runtime, id } if ["docker", "podman", "nerdctl"].contains(&runtime.as_str()) => {
            format!("{runtime} restart {}    # {effect}", shell::word(id))
        }
        Program::Signal { pid, signal, name } => {
            format!("kill -{signal} {pid}    # {name} creates its socket file again, and keeps its sessions")
        }
        Program::Process { pid, command } => format!(
            "# restart process {pid} ({}) as it was started: {effect}; what it holds ends with it",
            escaped(command)
        ),
        container => format!("# restart {container}: {effect}"),
    }
}

fn systemctl(of_user: bool) -> &'static str {
    if of_user { "systemctl --user" } else { "systemctl" }
}
