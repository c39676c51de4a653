//! Formats the phrases of a verdict: the subject, files and their permissions. Every name from
//! outside is escaped here. Pure.

use std::path::Path;

use rustix::io::Errno;
use stoop::escaped;

use super::facts::{AclEntry, AclWho, Endpoint, Facts, File, FileKind, Owner, ShownId};
use super::permission::By;
use super::question::Who;
use crate::Workload;
use crate::hindrance::Hindrance;

/// The facts that the phrases refer to.
#[derive(Clone, Copy)]
pub(super) struct Messages<'f>(pub(super) &'f Facts);

impl Messages<'_> {
    /// Returns the subject in the nominative: `we`, `user alice`, `process 12 (nginx)`.
    pub(super) fn who(self) -> String {
        self.subject("we")
    }

    /// Returns the subject in the objective case: `us`, `user alice`, `process 12 (nginx)`.
    pub(super) fn whom(self) -> String {
        self.subject("us")
    }

    fn subject(self, ourselves: &str) -> String {
        let subject = self.0.subject.as_ref();
        match (&self.0.question.subject, subject.and_then(|subject| subject.command.as_ref())) {
            (Who::CurrentProcess, _) => ourselves.to_owned(),
            (Who::User(name), _) => match (name.parse::<u32>(), subject) {
                (Ok(_), Some(subject)) => match self.0.names.users.get(&subject.uid) {
                    Some(name) => format!("user {}", escaped(name)),
                    None => format!("user {}", subject.uid),
                },
                _ => format!("user {}", escaped(name)),
            },
            (Who::Process(pid), Some(command)) => format!("process {pid} ({})", escaped(command)),
            (Who::Process(pid), None) => format!("process {pid}"),
        }
    }

    /// Returns the subject's identity in a permission check: `we are root (uid 0), group root`.
    pub(super) fn identity(self) -> String {
        let Some(subject) = &self.0.subject else { return String::new() };
        let mut others = subject.groups.clone();
        others.retain(|&group| group != subject.gid);
        others.sort_unstable();
        others.dedup();
        let mut text = match &self.0.question.subject {
            Who::CurrentProcess => "we are ".to_owned(),
            Who::User(_) => String::new(),
            Who::Process(_) => format!("{} is ", self.who()),
        };
        text += &match self.0.names.users.get(&subject.uid) {
            Some(name) => format!("{} (uid {})", escaped(name), subject.uid),
            None => format!("user {}", subject.uid),
        };
        text += &format!(", group {}", self.group(subject.gid));
        if !others.is_empty() {
            let names: Vec<String> = others.into_iter().map(|group| self.group(group)).collect();
            text += &format!(", also in {}", names.join(", "));
        }
        text
    }

    /// Returns `we lack` or `user alice lacks`.
    pub(super) fn lacks(self) -> String {
        let verb = if self.0.question.subject == Who::CurrentProcess { "lack" } else { "lacks" };
        format!("{} {verb}", self.who())
    }

    /// Describes which part of a file's permissions applies to the subject and lacks `what`.
    pub(super) fn applies(self, by: By, file: &File, what: &str) -> String {
        let who = self.who();
        let (is, has) =
            if self.0.question.subject == Who::CurrentProcess { ("are", "have") } else { ("is", "has") };
        let group = self.group_of(file);
        match by {
            By::Owner => format!("{who} {is} its owner, and the owner's bits lack {what}"),
            By::Group => format!("{who} {is} in its group {group}, and the group's bits lack {what}"),
            By::Other => format!(
                "{who} {is} neither its owner nor in its group {group}, and the bits for others lack {what}"
            ),
            By::AclUser => format!("{who} {has} an entry in its access list, and that lacks {what}"),
            By::AclGroups => format!("{who} {is} in groups of its access list, and none has {what}"),
            By::AclMask => {
                format!("{who} {has} {what} by an entry of its access list, and the mask excludes it")
            }
            By::OnlyUser => "its mount is for another user alone".to_owned(),
            By::Unmapped => "no user may write to a file whose owner has no id on its mount".to_owned(),
            By::AclOther => {
                format!(
                    "no entry of its access list is for {}, and that for others lacks {what}",
                    self.whom()
                )
            }
        }
    }

    /// Returns the owner of a file. An overflow id is not the name of a user.
    fn owner_of(self, file: &File) -> String {
        unmapped(file.uid_is, file.uid).unwrap_or_else(|| self.user(file.uid))
    }

    /// Returns the group of a file, likewise.
    pub(super) fn group_of(self, file: &File) -> String {
        unmapped(file.gid_is, file.gid).unwrap_or_else(|| self.group(file.gid))
    }

    /// Names what of a file's permissions is not known.
    pub(super) fn undecided(self, file: &File) -> String {
        let what = if file.acl.is_none() { "the access list" } else { "the real owner" };
        format!("{what} of {}", quoted(&file.path))
    }

    pub(super) fn user(self, uid: u32) -> String {
        match self.0.names.users.get(&uid) {
            Some(name) => escaped(name).to_string(),
            None => format!("user {uid}"),
        }
    }

    pub(super) fn group(self, gid: u32) -> String {
        match self.0.names.groups.get(&gid) {
            Some(name) => escaped(name).to_string(),
            None => gid.to_string(),
        }
    }

    /// Returns mode and owner, as in a listing: `'/run/app.sock' has mode 0660, owner root, group
    /// app`, followed by the access control list, if there is one.
    pub(super) fn permissions(self, file: &File) -> String {
        let text = format!(
            "{} has mode {:04o}, owner {}, group {}",
            quoted(&file.path),
            file.mode & 0o7777,
            self.owner_of(file),
            self.group_of(file)
        );
        match file.acl.as_deref() {
            Some([]) | None => text,
            Some(acl) => {
                let entries: Vec<String> = acl.iter().map(|entry| self.acl_entry(entry)).collect();
                format!("{text}, access list {}", entries.join(","))
            }
        }
    }

    /// Formats an entry as `getfacl` writes it.
    fn acl_entry(self, entry: &AclEntry) -> String {
        let who = match entry.who {
            AclWho::Owner => "user:".to_owned(),
            AclWho::User(uid) => format!("user:{}", self.user(uid)),
            AclWho::OwningGroup => "group:".to_owned(),
            AclWho::Group(gid) => format!("group:{}", self.group(gid)),
            AclWho::Mask => "mask:".to_owned(),
            AclWho::Other => "other:".to_owned(),
        };
        let bit = |bit, letter| if entry.permissions & bit != 0 { letter } else { '-' };
        format!("{who}:{}{}{}", bit(4, 'r'), bit(2, 'w'), bit(1, 'x'))
    }

    /// Lists the owners of the socket: one line per process, with the state that keeps it from
    /// answering.
    pub(super) fn owners(self, socket: &Endpoint) -> Vec<String> {
        match socket.owners.as_deref() {
            None => vec!["its owner is not visible from here".to_owned()],
            Some([]) => vec!["no process has it open: it is in flight between two of them".to_owned()],
            Some(owners) => {
                let shown = owners.iter().take(SHOWN).map(|owner| self.owner(owner, socket));
                let more = owners.len().saturating_sub(SHOWN);
                let more = match more {
                    0 => None,
                    1 => Some("and 1 more process has it".to_owned()),
                    more => Some(format!("and {more} more processes have it")),
                };
                shown.chain(more).collect()
            }
        }
    }

    fn owner(self, owner: &Owner, socket: &Endpoint) -> String {
        let kind = socket.kind.map_or(String::new(), |kind| format!(", {kind} socket"));
        let name = process(owner);
        match &owner.hindrance {
            Some(hindrance) => format!("{name} {}{kind}", hindered(hindrance)),
            None if owner.is_blocked => format!("{name} is in an uninterruptible wait{kind}"),
            None => format!("{name}{kind}"),
        }
    }
}

/// The maximum number of owners of one socket that are listed.
const SHOWN: usize = 4;

/// Returns what an overflow id stands for, or `None` if it is an id.
fn unmapped(shown: ShownId, id: u32) -> Option<String> {
    match shown {
        ShownId::Exact => None,
        ShownId::UnmappedByMount => Some(format!("unmapped (the mount has no id for it, and shows {id})")),
        ShownId::UnmappedHere => {
            Some(format!("unmapped (it has no id in our user namespace, shown as {id})"))
        }
        ShownId::Uncertain => Some(format!("{id} (which also stands for ids that are not mapped here)")),
    }
}

/// Returns `process 12 (nginx)`.
pub(super) fn process(owner: &Owner) -> String {
    format!("process {} ({})", owner.pid, escaped(&owner.command))
}

/// Returns what keeps a process from answering, as a predicate: `is stopped`.
pub fn hindered(hindrance: &Hindrance) -> String {
    match hindrance {
        Hindrance::Stopped => "is stopped".into(),
        Hindrance::Traced(Some(tracer)) => {
            format!("is held by its tracer, process {} ({})", tracer.pid, escaped(&tracer.command))
        }
        Hindrance::Traced(None) => "is held by a tracer that is not visible from here".into(),
        Hindrance::Frozen(group) => match &group.workload {
            Workload::Unknown => format!("is frozen by {}", quoted(&group.switch)),
            workload => format!("is frozen, with all of {workload}"),
        },
        Hindrance::Exited => "has exited and was not reaped yet".into(),
        Hindrance::OutOfDescriptors { limit, .. } => {
            format!("has no file descriptors left, with {limit} of {limit} open (accept fails with EMFILE)")
        }
    }
}

/// Returns `1 client waits` or `3 clients wait`.
pub(super) fn clients_wait(count: u32) -> String {
    match count {
        1 => "1 client waits".to_owned(),
        _ => format!("{count} clients wait"),
    }
}

/// Says that every worker process has a client.
pub(super) fn all_busy(workers: usize) -> String {
    match workers {
        1 => "the only worker process serves a client already".to_owned(),
        _ => format!("each of the {workers} worker processes serves a client already"),
    }
}

/// Says that the owners of a listener may not be its server: a child that a server has left behind
/// does not know the socket that it inherited.
pub(super) fn inherited(socket: &Endpoint) -> Option<String> {
    let listened = socket.listened?;
    Some(format!(
        "process {listened} called listen and no longer has the socket: who inherited it may not accept"
    ))
}

/// Returns `1 message` or `3 messages`.
pub(super) fn plural_messages(count: u32) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

/// Quotes a path, safe to print.
pub(super) fn quoted(path: &Path) -> String {
    format!("'{}'", escaped(path.as_os_str().as_encoded_bytes()))
}

/// Quotes bytes, safe to print.
pub(super) fn quoted_bytes(name: &[u8]) -> String {
    format!("'{}'", escaped(name))
}

/// Returns the type of a file, with its article.
pub(super) fn kind_of(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Socket => "a socket",
        FileKind::Directory => "a directory",
        FileKind::Link => "a symbolic link",
        FileKind::Regular => "a regular file",
        FileKind::Fifo => "a FIFO",
        FileKind::Device => "a device",
    }
}

/// Returns the kind with its article: `a stream`.
pub(super) fn with_article(kind: stoop::Kind) -> String {
    format!("a {kind}")
}

/// Returns the symbol of an error number, such as `EACCES`, or `an error` if none of the calls
/// returns it.
///
/// # Examples
///
/// ```
/// use stoop_inspect::internal::symbol;
/// use stoop_inspect::why::Errno;
///
/// assert_eq!(symbol(Errno::CONNREFUSED), "ECONNREFUSED");
/// assert_eq!(symbol(Errno::XDEV), "an error");
/// ```
pub fn symbol(errno: Errno) -> &'static str {
    match errno {
        Errno::ACCESS => "EACCES",
        Errno::ADDRINUSE => "EADDRINUSE",
        Errno::AFNOSUPPORT => "EAFNOSUPPORT",
        Errno::AGAIN => "EAGAIN",
        Errno::BUSY => "EBUSY",
        Errno::CONNREFUSED => "ECONNREFUSED",
        Errno::INVAL => "EINVAL",
        Errno::IO => "EIO",
        Errno::LOOP => "ELOOP",
        Errno::MFILE => "EMFILE",
        Errno::MSGSIZE => "EMSGSIZE",
        Errno::NAMETOOLONG => "ENAMETOOLONG",
        Errno::NFILE => "ENFILE",
        Errno::NOENT => "ENOENT",
        Errno::NOSPC => "ENOSPC",
        Errno::NOSYS => "ENOSYS",
        Errno::NOTCONN => "ENOTCONN",
        Errno::NOTDIR => "ENOTDIR",
        Errno::OPNOTSUPP => "EOPNOTSUPP",
        Errno::OVERFLOW => "EOVERFLOW",
        Errno::DQUOT => "EDQUOT",
        Errno::PERM => "EPERM",
        Errno::PIPE => "EPIPE",
        Errno::PROTOTYPE => "EPROTOTYPE",
        Errno::ROFS => "EROFS",
        _ => "an error",
    }
}
