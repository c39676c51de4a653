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
    No(Lack),
    /// Whether it can could not be determined.
    Unknown(Doubt),
}

/// The reason why a program cannot be used, or is not known to be usable.
#[derive(Debug)]
pub enum Unavailable {
    /// This is missing.
    No(Lack),
    /// What is missing could not be determined.
    Unknown(Doubt),
}

/// What is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lack {
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
pub struct Doubt {
    /// The step.
    pub step: &'static str,
    /// Its error.
    pub error: io::Error,
}

impl Doubt {
    pub(crate) fn new(step: &'static str, error: io::Error) -> Doubt {
        Doubt { step, error }
    }
}

/// Explains an `EPERM` from the capabilities of this thread and the configuration of the machine.
pub(crate) fn refusal(error: io::Error) -> Unavailable {
    let Ok(sets) = capabilities(None) else {
        return Doubt::new("asking for permission, and for our capabilities", error).into();
    };
    let missing = missing(sets.effective);
    if !missing.is_empty() {
        return Lack::Capabilities(missing).into();
    }
    if !in_first_user_namespace() {
        return Lack::UserNamespace.into();
    }
    Doubt::new(if is_filtered() { WITH_FILTER } else { WITH_ALL }, error).into()
}

const WITH_ALL: &str = "asking for permission, with the capabilities that it takes";
const WITH_FILTER: &str = "asking for permission, with the capabilities that it takes, but with a filter for system calls (seccomp)";

/// Returns whether a seccomp filter applies to this thread. What it permits cannot be determined.
fn is_filtered() -> bool {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}

/// Returns the missing capabilities. Loading requires both, or the one that implies them (K-BPF-4).
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

impl From<Lack> for Unavailable {
    fn from(lack: Lack) -> Unavailable {
        Unavailable::No(lack)
    }
}

impl From<Doubt> for Unavailable {
    fn from(doubt: Doubt) -> Unavailable {
        Unavailable::Unknown(doubt)
    }
}

impl From<Unavailable> for Support {
    fn from(unavailable: Unavailable) -> Support {
        match unavailable {
            Unavailable::No(lack) => Support::No(lack),
            Unavailable::Unknown(doubt) => Support::Unknown(doubt),
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

impl std::fmt::Display for Lack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Lack::Machine => f.write_str("this machine is not little-endian with 64 bits"),
            Lack::Call => f.write_str("the kernel has no bpf(2)"),
            Lack::TypeInformation => f.write_str("the kernel shows no type information in '/sys/kernel/btf'"),
            Lack::Type(error) => write!(f, "in the kernel's type information: {error}"),
            Lack::Capabilities(missing) => {
                let names: Vec<String> = missing.iter().map(Capability::to_string).collect();
                write!(f, "{} missing (CAP_SYS_ADMIN would do instead)", names.join(" and "))
            }
            Lack::UserNamespace => f.write_str("the capabilities there are belong to a user namespace"),
            Lack::PidNamespace => f.write_str("this process is not in the first namespace of process ids"),
            Lack::Verifier(log) => write!(f, "the kernel's verifier refuses the program: {log}"),
        }
    }
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.step, self.error)
    }
}

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unavailable::No(lack) => lack.fmt(f),
            Unavailable::Unknown(doubt) => doubt.fmt(f),
        }
    }
}

impl std::error::Error for Unavailable {}
