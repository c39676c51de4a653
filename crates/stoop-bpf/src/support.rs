//! Why a program cannot be used: what is missing, as far as that can be determined.

use std::io;

use rustix::thread::{CapabilitySet, capabilities};

use crate::BtfError;

/// Whether a program can be used here.
#[derive(Debug)]
pub enum Support {
    /// It can: loading it succeeded.
    Yes,
    /// It cannot, because this is missing.
    No(Missing),
    /// Whether it can could not be determined.
    Unknown(Undetermined),
}

/// The reason why a program cannot be used, or is not known to be usable.
#[derive(Debug)]
pub enum Unavailable {
    /// This is missing.
    No(Missing),
    /// What is missing could not be determined.
    Unknown(Undetermined),
}

/// A requirement that is not met.
///
/// # Examples
///
/// ```
/// use stoop_bpf::{Capability, Missing};
///
/// let missing = Missing::Capabilities(vec![Capability::Bpf, Capability::Perfmon]);
/// assert_eq!(
///     missing.to_string(),
///     "CAP_BPF and CAP_PERFMON missing (CAP_SYS_ADMIN is sufficient as well)"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// A 64-bit little-endian machine.
    Machine,
    /// `bpf(2)`: the kernel was built without it.
    Call,
    /// Type information: the kernel was built without it, or sysfs is not mounted.
    TypeInformation,
    /// A type or a field: the kernel is too old, too new, or was built without a feature.
    Type(BtfError),
    /// These capabilities. `CAP_SYS_ADMIN` replaces both.
    Capabilities(Vec<Capability>),
    /// Capabilities in the initial user namespace: those of this process belong to another one.
    UserNamespace,
    /// The initial PID namespace: the program would report the process ids of that one.
    PidNamespace,
    /// Running programs at functions (fentry and fexit), which kernels before Linux 6.3 need; with
    /// the reason.
    Functions(String),
    /// The verifier rejected the program, with the end of its log.
    Verifier(String),
}

/// A capability that loading a program requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// `CAP_BPF`.
    Bpf,
    /// `CAP_PERFMON`.
    Perfmon,
}

/// A step that failed for a reason from which nothing can be concluded.
#[derive(Debug)]
pub struct Undetermined {
    /// The step.
    pub step: &'static str,
    /// Its error.
    pub error: io::Error,
}

impl Undetermined {
    pub(crate) fn new(step: &'static str, error: io::Error) -> Undetermined {
        Undetermined { step, error }
    }
}

/// Explains an `EPERM` from the capabilities of this thread and the configuration of the machine.
pub(crate) fn refusal(error: io::Error) -> Unavailable {
    let Ok(sets) = capabilities(None) else {
        return Undetermined::new("loading a test program, and reading our capabilities", error).into();
    };
    let missing = missing(sets.effective);
    if !missing.is_empty() {
        return Missing::Capabilities(missing).into();
    }
    if !in_first_user_namespace() {
        return Missing::UserNamespace.into();
    }
    Undetermined::new(if is_filtered() { WITH_FILTER } else { WITH_ALL }, error).into()
}

/// Explains the error of a step.
pub(crate) fn failed(step: &'static str) -> impl FnOnce(io::Error) -> Unavailable {
    move |error| match error.raw_os_error() {
        Some(libc::EPERM) => refusal(error),
        _ => Undetermined::new(step, error).into(),
    }
}

const WITH_ALL: &str = "loading a test program with the required capabilities";
const WITH_FILTER: &str =
    "loading a test program with the required capabilities, but with a system call filter (seccomp)";

/// Returns whether a seccomp filter applies to this thread. What it permits cannot be determined.
fn is_filtered() -> bool {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}

/// Returns the missing capabilities. Loading requires both, or the one that implies them
/// ([K-BPF-4]).
///
/// [K-BPF-4]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-4
fn missing(effective: CapabilitySet) -> Vec<Capability> {
    if effective.contains(CapabilitySet::SYS_ADMIN) {
        return Vec::new();
    }
    let needed = [(CapabilitySet::BPF, Capability::Bpf), (CapabilitySet::PERFMON, Capability::Perfmon)];
    needed
        .into_iter()
        .filter(|(bit, _)| !effective.contains(*bit))
        .map(|(_, capability)| capability)
        .collect()
}

/// If the namespace cannot be looked up, assume the initial one.
fn in_first_user_namespace() -> bool {
    use std::os::unix::fs::MetadataExt;
    /// The inode of the initial user namespace, the same on every machine.
    const FIRST: u64 = 0xEFFF_FFFD;
    std::fs::metadata("/proc/self/ns/user").map_or(true, |metadata| metadata.ino() == FIRST)
}

impl From<Missing> for Unavailable {
    fn from(missing: Missing) -> Unavailable {
        Unavailable::No(missing)
    }
}

impl From<Undetermined> for Unavailable {
    fn from(cause: Undetermined) -> Unavailable {
        Unavailable::Unknown(cause)
    }
}

impl From<Unavailable> for Support {
    fn from(unavailable: Unavailable) -> Support {
        match unavailable {
            Unavailable::No(missing) => Support::No(missing),
            Unavailable::Unknown(cause) => Support::Unknown(cause),
        }
    }
}

impl std::fmt::Display for Capability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Capability::Bpf => "CAP_BPF",
            Capability::Perfmon => "CAP_PERFMON",
        })
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Missing::Machine => f.write_str("not a 64-bit little-endian machine"),
            Missing::Call => f.write_str("the kernel was built without bpf(2)"),
            Missing::TypeInformation => {
                f.write_str("the kernel provides no type information in '/sys/kernel/btf'")
            }
            Missing::Type(error) => write!(f, "in the kernel's type information: {error}"),
            Missing::Capabilities(missing) => {
                let names: Vec<String> = missing.iter().map(Capability::to_string).collect();
                write!(f, "{} missing (CAP_SYS_ADMIN is sufficient as well)", names.join(" and "))
            }
            Missing::UserNamespace => {
                f.write_str("the capabilities of this process belong to another user namespace")
            }
            Missing::PidNamespace => f.write_str("this process is not in the initial pid namespace"),
            Missing::Functions(reason) => {
                write!(f, "no program can run at functions (fentry, fexit): {reason}")
            }
            Missing::Verifier(log) => write!(f, "the kernel's verifier rejected the program: {log}"),
        }
    }
}

impl std::fmt::Display for Undetermined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.step, self.error)
    }
}

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unavailable::No(missing) => missing.fmt(f),
            Unavailable::Unknown(cause) => cause.fmt(f),
        }
    }
}

impl std::error::Error for Unavailable {}
