//! The facts a verdict is based on: plain data, created by `gather` or by a test. Unless the
//! documentation of a field differs, `None` means that the fact could not be determined.

mod file;
mod security;
mod socket;
mod subject;
mod traces;

use std::collections::BTreeMap;

use super::question::Question;
use crate::asker::AskerRights;

pub use file::*;
pub use security::*;
pub use socket::*;
pub use subject::*;
pub use traces::*;

/// Everything that a verdict is based on, as [`gather`](super::gather::gather()) observed it.
///
/// The command shows the contents, and tests construct them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The question.
    pub question: Question,
    /// The subject that would make the call, or `None` if the user or process does not exist.
    pub subject: Option<Subject>,
    /// The effective user id of this process, which would run the suggested commands.
    pub asker_uid: u32,
    /// What this process may do to the files and processes of other users.
    pub asker_rights: AskerRights,
    /// Whether the address is relative, and this process may not reach its working directory by an
    /// absolute path.
    pub asker_is_shut_out: bool,
    /// How the path is looked up, without regard to permissions. `None` for other addresses.
    pub walk: Option<Walk>,
    /// The mount in which the lookup ended, because its file system does not respond.
    pub not_responding: Option<SilentMount>,
    /// The sockets that are bound to the file reached, or that have the abstract name in the
    /// subject's network namespace.
    pub sockets: Option<Vec<Endpoint>>,
    /// Whether any socket is bound to the file reached, determined from the kernel's table of bound
    /// files, which all namespaces share.
    pub alive: Option<bool>,
    /// What other paths of the file reached lead to, if no socket is bound to it by this one.
    pub other_server: OtherServer,
    /// Other sockets that may have been meant.
    pub near: Vec<Near>,
    /// The kernel's limits for the subject.
    pub limits: Limits,
    /// Whether there may be network namespaces whose sockets are not visible.
    pub hidden_networks: bool,
    /// Security mechanisms that may affect the call.
    pub security: Security,
    /// Names of users and groups, for texts.
    pub names: Names,
    /// Traces of the program that the address belongs to.
    pub traces: Traces,
}

/// Kernel limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `net.core.wmem_default`: the default send buffer of a socket, in bytes.
    pub wmem_default_bytes: Option<usize>,
    /// `net.core.somaxconn`: the maximum backlog.
    pub somaxconn: Option<u32>,
    /// `net.unix.max_dgram_qlen`: the number of messages that may be queued, less one.
    pub max_dgram_qlen: Option<u32>,
    /// `fs.protected_symlinks`.
    pub protected_symlinks: Option<bool>,
}

/// Names of ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// User names.
    pub users: BTreeMap<u32, String>,
    /// Group names.
    pub groups: BTreeMap<u32, String>,
}
