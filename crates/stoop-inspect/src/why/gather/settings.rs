//! Reads the kernel's limits, and names the security mechanisms that may affect the call.

use std::fs;
use std::str::FromStr;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use stoop::internal::query;

use crate::why::facts::{Limits, Refusal, Security};
use crate::why::{Operation, Question, Who};

pub(super) fn limits() -> Limits {
    Limits {
        wmem_default_bytes: setting("net/core/wmem_default"),
        somaxconn: setting("net/core/somaxconn"),
        max_dgram_qlen: setting("net/unix/max_dgram_qlen"),
        protected_symlinks: setting::<u8>("fs/protected_symlinks").map(|on| on != 0),
    }
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
}

/// Names the security mechanisms that affect the subject, and queries the filter of this process if
/// it makes the call.
pub(super) fn security(question: &Question) -> Security {
    let proc = match question.subject {
        Who::Process(pid) => format!("/proc/{pid}"),
        Who::CurrentProcess | Who::User(_) => "/proc/thread-self".to_owned(),
    };
    let label = fs::read_to_string(format!("{proc}/attr/current")).ok();
    let is_ours = !matches!(question.subject, Who::Process(_));
    let statuses = statuses(&proc);
    let is_set = |key: &str| statuses.iter().filter_map(|status| number(status, key)).reduce(u8::max);
    let seccomp = is_set("Seccomp:").map(|mode| mode != 0);
    Security {
        modules: modules(),
        label: label
            .map(|label| label.trim_end_matches(['\0', '\n']).to_owned())
            .filter(|label| !label.is_empty() && !is_ours),
        seccomp,
        no_new_privileges: is_set("NoNewPrivs:").map(|on| on != 0),
        refusal: if is_ours && seccomp == Some(true) { refusal(question.operation) } else { None },
        ..Security::default()
    }
}

/// Returns the status of each thread of a process, any of which may make the call, or of one
/// thread.
fn statuses(proc: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("{proc}/task")).into_iter().flatten().flatten();
    let mut paths: Vec<_> = threads.map(|thread| thread.path()).collect();
    if paths.is_empty() {
        paths.push(proc.into());
    }
    let read = paths.into_iter().filter_map(|path| fs::read(path.join("status")).ok());
    read.map(|status| String::from_utf8_lossy(&status).into_owned()).collect()
}

fn number(status: &str, key: &str) -> Option<u8> {
    status.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
}

/// Makes the calls in question with an invalid file descriptor: the kernel then returns `EBADF`,
/// and a filter that refuses the call its own error. A bind is left out: `why` makes none, and a
/// filter that ends the process at one would end it.
fn refusal(operation: Operation) -> Option<Refusal> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    if let Err(errno) = socket {
        let is_of_filter = !matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS);
        return is_of_filter.then_some(Refusal { call: "socket", errno });
    }
    match operation {
        Operation::Connect => query::refused_call(query::Call::Connect).map(refusal_of("connect")),
        Operation::Send { .. } => query::refused_call(query::Call::Send).map(refusal_of("sendto")),
        Operation::Bind => None,
    }
}

/// Queries the filter of this process about a bind. Only after a bind has failed.
pub(crate) fn bind_refusal() -> Option<Refusal> {
    query::refused_call(query::Call::Bind).map(refusal_of("bind"))
}

fn refusal_of(call: &'static str) -> impl Fn(i32) -> Refusal {
    move |errno| Refusal { call, errno: Errno::from_raw_os_error(errno) }
}

/// Returns the security modules in use: as securityfs lists them, if it is mounted, or as the
/// kernel does since Linux 6.8 ([K-LSM-1]).
///
/// [K-LSM-1]: stoop::kernel_facts#K-LSM-1
fn modules() -> Option<Vec<String>> {
    let listed = fs::read_to_string("/sys/kernel/security/lsm").ok();
    let listed = listed.as_deref().map(names).filter(|names| !names.is_empty());
    listed.or_else(|| Some(query::security_modules().ok()?.into_iter().map(module).collect()))
}

/// Returns the name of the security module with this id (`LSM_ID_*`).
fn module(id: u64) -> String {
    const FIRST: u64 = 100;
    const NAMES: &[&str] = &[
        "capability",
        "selinux",
        "smack",
        "tomoyo",
        "apparmor",
        "yama",
        "loadpin",
        "safesetid",
        "lockdown",
        "bpf",
        "landlock",
        "ima",
        "evm",
        "ipe",
    ];
    let name = id.checked_sub(FIRST).and_then(|at| NAMES.get(usize::try_from(at).ok()?));
    name.map_or_else(|| format!("module {id}"), |name| (*name).to_owned())
}

fn names(modules: &str) -> Vec<String> {
    modules.trim().split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
