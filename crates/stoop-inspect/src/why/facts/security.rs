//! Security mechanisms, and what they have denied. Plain data.

use std::time::Duration;

use rustix::io::Errno;

/// Security mechanisms that may affect the call. At most they can be named: their decision is
/// unknown, except that of a system call filter of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// The security modules in use, or `None` if they are unknown.
    pub modules: Option<Vec<String>>,
    /// The subject's security label, if a module assigns one.
    pub label: Option<String>,
    /// Whether the subject's system calls are filtered.
    pub seccomp: Option<bool>,
    /// Whether the subject can gain no privileges (`no_new_privs`), as is the case for a process
    /// that restricts itself with Landlock.
    pub no_new_privileges: Option<bool>,
    /// The system call that the filter of this process answers itself, and its error.
    pub refusal: Option<Refusal>,
    /// Recent records of denied calls.
    pub denials: Vec<Denial>,
    /// Whether there may be such records, and they may not be read.
    pub denials_hidden: bool,
    /// When the question was asked, since 1970: their age is that at this time, however long the
    /// inspection took.
    pub asked_at: Duration,
    /// When the machine was booted, since 1970.
    pub booted_at: Option<Duration>,
}

/// A mechanism that denies calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// SELinux.
    Selinux,
    /// AppArmor.
    AppArmor,
    /// A system call filter.
    Seccomp,
    /// Landlock.
    Landlock,
}

/// A record of a denied call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// When it was denied, since 1970.
    pub at: Duration,
    /// The mechanism.
    pub by: Mechanism,
    /// The process, by its pid here.
    pub pid: Option<u32>,
    /// Its command name.
    pub command: Option<String>,
    /// The operation, permission, system call or right that was denied.
    pub what: String,
    /// The file, by its path or by its name alone, or the abstract name after its NUL or `@`.
    pub path: Option<Vec<u8>>,
    /// The inode of the file.
    pub ino: Option<u64>,
    /// The profile, or the labels, that the rule is about.
    pub rule: Option<String>,
}

/// A system call that a filter answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The name of the call.
    pub call: &'static str,
    /// The error.
    pub errno: Errno,
}
