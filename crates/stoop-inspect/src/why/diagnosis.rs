//! Judges the error of an operation by the facts about its call. Pure.

use std::{fmt, io};

use rustix::io::Errno;
use stoop::internal::Operation as Failed;
use stoop::{Address, Error, ErrorKind};

use super::action::Action;
use super::advice::Advice;
use super::cause::{Cause, cause_rows};
use super::denials;
use super::facts::{Endpoint, EndpointState, Facts, File, Found, OtherServer};
use super::messages::{Messages, clients_wait, quoted, with_article};
use super::permission::{Access, SEARCH, WRITE, access};
use super::question::Operation;
use super::verdict::{Outcome, Verdict};
use super::{advise, answer, caveats};
use crate::free_descriptors;

/// Why an operation failed, and what may remedy it.
///
/// [`diagnose`](crate::diagnose()) returns it for an error, [`predict`](crate::why::predict()) for
/// a call that is not made.
///
/// # Causes
///
/// Their names are stable.
///
/// | name | cause |
/// |---|---|
#[doc = cause_rows!()]
/// | `not-replaced` | A server replaces only a stale socket file that its user owns. |
/// | `server-elsewhere` | A live server is bound to the same file by another path. |
/// | `liveness-unknown` | The file may have a server on another machine or by another path. |
/// | `no-new-directory` | A directory that the bind was to create cannot be created. |
/// | `file-not-changeable` | The file may not be changed, though its directory may. |
/// | `staging-directory` | The private directory for changes of the name is not private. |
/// | `not-permitted` | File descriptors are not accepted, or it is forbidden in another way. |
/// | `error-class` | The class of the error, [`stoop::Error::kind`]. |
/// | `stated` | The error states its cause itself, and nothing more is known. |
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The name of the cause, for programs: one of the table above.
    pub cause: &'static str,
    /// Whether the cause was found to exist still. If not, it follows from the error alone.
    pub is_current: bool,
    /// The cause, in one sentence without a full stop.
    pub why: String,
    /// The observations that support it, and caveats, one line each.
    pub seen: Vec<String>,
    /// What may remedy it, or shows more of it, most useful first.
    pub advice: Vec<Advice>,
}

/// The cause of a failure.
#[derive(Clone, Copy)]
enum Reason {
    /// A check of the kernel.
    Cause(Cause),
    NotReplaced,
    ServerElsewhere,
    LivenessUnknown,
    CannotCreateDirectory,
    FileNotChangeable,
    StagingDirectory,
    NotPermitted,
    Class,
    Stated,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Reason::Cause(cause) => cause.name(),
            Reason::NotReplaced => "not-replaced",
            Reason::ServerElsewhere => "server-elsewhere",
            Reason::LivenessUnknown => "liveness-unknown",
            Reason::CannotCreateDirectory => "no-new-directory",
            Reason::FileNotChangeable => "file-not-changeable",
            Reason::StagingDirectory => "staging-directory",
            Reason::NotPermitted => "not-permitted",
            Reason::Class => "error-class",
            Reason::Stated => "stated",
        }
    }
}

impl Diagnosis {
    fn new(reason: Reason, why: impl Into<String>) -> Diagnosis {
        Diagnosis {
            cause: reason.name(),
            is_current: true,
            why: why.into(),
            seen: Vec::new(),
            advice: Vec::new(),
        }
    }

    fn past(reason: Reason, why: impl Into<String>) -> Diagnosis {
        Diagnosis { is_current: false, ..Diagnosis::new(reason, why) }
    }

    fn seen(mut self, lines: impl IntoIterator<Item = String>) -> Diagnosis {
        self.seen.extend(lines);
        self
    }

    fn advise(mut self, actions: impl IntoIterator<Item = Action>) -> Diagnosis {
        for advice in actions.into_iter().map(Advice) {
            if !self.advice.contains(&advice) {
                self.advice.push(advice);
            }
        }
        self
    }

    /// Takes over a verdict, and its caveats as observations.
    pub(super) fn of(verdict: Verdict) -> Diagnosis {
        Diagnosis::new(Reason::Cause(verdict.cause), verdict.why)
            .seen(verdict.seen.into_iter().chain(verdict.caveats))
            .advise(verdict.advice)
    }
}

impl fmt::Display for Diagnosis {
    /// Writes one line for each part: `why:`, `seen:`, `next:`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "why:  {}", self.why)?;
        self.seen.iter().try_for_each(|line| write!(f, "\nseen: {line}"))?;
        self.advice.iter().try_for_each(|advice| write!(f, "\nnext: {advice}"))
    }
}

/// Judges an error. `facts` are about the call that failed, if that has an address. `staging` is
/// about the private directory next to the address, if that was refused.
pub(crate) fn judge(error: &Error, facts: Option<&Facts>, staging: Option<&Facts>) -> Diagnosis {
    if let Some(refused) = staging.and_then(staging_directory) {
        return refused;
    }
    let Some(facts) = facts else { return by_class(error) };
    let refused =
        facts.security.refusal.is_some_and(|refusal| Some(refusal.errno.raw_os_error()) == error.errno());
    if refused {
        return Diagnosis::of(answer::why(facts));
    }
    // `stoop` reaches paths of any length.
    let verdict = answer::reaching(facts, usize::MAX);
    if let Some(elsewhere) = server_elsewhere(error, facts) {
        return elsewhere;
    }
    let may_be_stale = matches!(verdict.cause, Cause::TakenStale | Cause::TakenBySocket);
    if error.operation() == Failed::Bind && may_be_stale && error.is_in_use() {
        return not_replaced(facts, verdict);
    }
    if is_repeated(&verdict, error) {
        let path = shows_more(verdict.cause).then(|| show_path(facts));
        return Diagnosis::of(verdict).advise(path);
    }
    not_repeated(error, facts, &verdict)
}

/// Returns whether the call would fail in the same way now.
fn is_repeated(verdict: &Verdict, error: &Error) -> bool {
    match verdict.outcome {
        Outcome::Fails(errno) => match error.errno() {
            Some(same) if same == errno.raw_os_error() => true,
            _ => class_of(errno) == Some(error.kind()),
        },
        Outcome::Waits => error.is_would_block() || error.is_timed_out(),
        Outcome::Succeeds | Outcome::Unknown => false,
    }
}

/// Returns the class of an error that more than one error number may have, or that `stoop` may
/// report itself.
fn class_of(errno: Errno) -> Option<ErrorKind> {
    match errno {
        Errno::NOENT | Errno::NOTDIR => Some(ErrorKind::NotFound),
        Errno::ADDRINUSE => Some(ErrorKind::AddressInUse),
        _ => None,
    }
}

/// Judges an error whose cause no longer exists, is not visible, or does not affect a plain call.
fn not_repeated(error: &Error, facts: &Facts, verdict: &Verdict) -> Diagnosis {
    let is_library = error.errno().is_none();
    let is_denied =
        matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotPermitted) && !is_library;
    if let Some(denied) = denied(facts).filter(|_| is_denied) {
        return denied;
    }
    // AppArmor and Landlock answer with EACCES, too.
    let may_be_forbidden = verdict.outcome == Outcome::Succeeds && is_denied && is_restricted(facts);
    match (error.operation(), error.kind()) {
        (_, ErrorKind::PermissionDenied) if may_be_forbidden => forbidden_now(facts),
        (Failed::Bind, ErrorKind::Unsupported) => no_sockets(error),
        (Failed::Bind | Failed::Release, _) if error.errno() == Some(Errno::ROFS.raw_os_error()) => {
            read_only(facts)
        }
        (Failed::Bind | Failed::Release, ErrorKind::PermissionDenied) => may_not_bind(facts, verdict),
        (Failed::Connect, ErrorKind::TimedOut | ErrorKind::WouldBlock) => backlog_was_full(facts),
        (Failed::Send, ErrorKind::WouldBlock) => queue_was_full(facts),
        (Failed::Connect | Failed::Send, ErrorKind::NotPermitted) if !is_library => not_permitted(facts),
        (_, ErrorKind::WrongKind) => was_of_other_kind(error, facts),
        (_, ErrorKind::NotFound | ErrorKind::Refused | ErrorKind::PermissionDenied) => no_longer(facts),
        (Failed::Bind, ErrorKind::AddressInUse) => no_longer(facts),
        (Failed::Bind, ErrorKind::NotPermitted) if !is_library => may_not_bind_here(facts),
        (_, ErrorKind::NotPermitted) => by_class(error).seen([Messages(facts).identity()]),
        _ => by_class(error),
    }
}

/// Judges an error of a class that needs no facts.
fn by_class(error: &Error) -> Diagnosis {
    let because = |why: &str| Diagnosis::past(Reason::Class, why);
    match error.kind() {
        ErrorKind::MessageTooLarge => because("one message must fit into the sender's send buffer")
            .advise([Action::ShowSendBufferLimit]),
        ErrorKind::MessageTruncated => because("the receiver's buffer was smaller than the message"),
        ErrorKind::NotConnected => {
            because("the socket has no peer: it was never connected, or its peer has closed")
        }
        ErrorKind::PeerClosed if error.errno() == Some(Errno::CONNRESET.raw_os_error()) => because(
            "the peer closed or exited before it had read everything we sent, or its server closed before accepting us",
        ),
        ErrorKind::PeerClosed => {
            because("the peer closed the connection, exited, or was shut down for reading")
        }
        ErrorKind::OutOfDescriptors => {
            because("no file descriptor is free in this process or on this machine")
                .advise([Action::RaiseDescriptorLimit])
        }
        ErrorKind::TooManyInFlight => because(
            "this user has too many file descriptors in flight, in messages that were not received yet",
        ),
        ErrorKind::InvalidAddress => {
            stated(error, "this is not the address of a Unix socket").advise([Action::CorrectAddress])
        }
        ErrorKind::NotPermitted => stated(error, "the kernel does not permit it"),
        ErrorKind::Unsupported if error.errno() == Some(Errno::AFNOSUPPORT.raw_os_error()) => because(
            "this process may create no Unix sockets: a system call filter or the kernel's configuration forbids it",
        ),
        _ => Diagnosis { cause: Reason::Stated.name(), ..stated(error, &error.to_string()) },
    }
}

/// Judges an error of a call that cannot be inspected, for this reason.
pub(crate) fn not_inspected(error: &Error, reason: &io::Error) -> Diagnosis {
    let diagnosis = by_class(error);
    // What the library has decided, it says itself.
    if error.errno().is_none() || diagnosis.cause != Reason::Stated.name() {
        return diagnosis;
    }
    let why = "the kernel refuses it; what it checks cannot be inspected from here";
    let diagnosis = Diagnosis::past(Reason::Class, why);
    if free_descriptors::is_lack(reason.raw_os_error()) {
        let seen = "this process has too few free file descriptors to inspect the machine";
        return diagnosis.seen([seen.to_owned()]).advise([Action::RaiseDescriptorLimit]);
    }
    diagnosis.seen([match reason.kind() {
        io::ErrorKind::NotFound => "/proc is not mounted here".to_owned(),
        _ => format!("/proc cannot be read: {reason}"),
    }])
}

/// Repeats the reason that the error states, if it does.
fn stated(error: &Error, otherwise: &str) -> Diagnosis {
    match error.detail() {
        Some(detail) => Diagnosis::past(Reason::Stated, detail),
        None => Diagnosis::past(Reason::Class, otherwise),
    }
}

/// The name belongs to a socket file that may be stale, and `stoop` did not replace it.
fn not_replaced(facts: &Facts, verdict: Verdict) -> Diagnosis {
    let file = file_at_end(facts).map(|file| Action::ShowFile(advise::reached(facts, &file.path)));
    let why = "only a stale socket file that we own is replaced by a server";
    Diagnosis::new(Reason::NotReplaced, why)
        .seen(verdict.seen)
        .seen([Messages(facts).identity()])
        .advise(file)
        .advise([Action::UsePrivateDirectory])
}

/// The server of the file is bound to it through another mount, or may be.
fn server_elsewhere(error: &Error, facts: &Facts) -> Option<Diagnosis> {
    let at = advise::site(facts);
    if let Some(path) = error.bound_as() {
        let why = format!("its server is bound to the same file by the path {}", quoted(path));
        let address = Address::path(path).ok();
        let reach = address.map(|address| Action::Connect { at: advise::other_site(&address), kind: None });
        let takes_over = is_of_stoop(facts).then_some(Action::TakeOver(at));
        return Some(Diagnosis::new(Reason::ServerElsewhere, why).advise(reach).advise(takes_over));
    }
    if error.kind() != ErrorKind::LivenessUnknown {
        return None;
    }
    let why = "this kernel knows only the servers that are bound through this mount, and the file may have one elsewhere";
    let seen = file_at_end(facts).map(|file| Messages(facts).permissions(file));
    let show = file_at_end(facts).map(|file| Action::ShowMount(advise::reached(facts, &file.path)));
    Some(
        Diagnosis::new(Reason::LivenessUnknown, why)
            .seen(seen)
            .advise(show)
            .advise([Action::AssumeStale(at), Action::UsePrivateDirectory]),
    )
}

/// Returns whether the server that is bound to the file by another path is one of `stoop`. Another
/// program's name is not taken over.
fn is_of_stoop(facts: &Facts) -> bool {
    let OtherServer::Bound { sockets: Some(sockets), .. } = &facts.other_server else { return false };
    let mut owners = sockets.iter().filter_map(|socket| socket.owners.as_deref()).flatten().peekable();
    owners.peek().is_some() && owners.all(|owner| owner.command == "stoop")
}

/// A file that is in the way, such as a stale one, cannot be replaced on a read-only mount.
fn read_only(facts: &Facts) -> Diagnosis {
    let directory = facts.walk.as_ref().and_then(|walk| walk.steps.last()).map(|step| &step.directory);
    let advice = directory.map_or(Vec::new(), |directory| advise::serve_elsewhere(facts, directory));
    let seen = file_at_end(facts).map(|file| Messages(facts).permissions(file));
    Diagnosis::new(Reason::Cause(Cause::ReadOnly), "the directory is on a read-only mount or file system")
        .seen(seen)
        .advise([Action::UsePrivateDirectory])
        .advise(advice)
}

/// The file system creates no sockets.
fn no_sockets(error: &Error) -> Diagnosis {
    let why = "a socket file can be created only on a file system that supports sockets";
    Diagnosis::new(Reason::Cause(Cause::NoSocketsHere), why)
        .seen(error.detail().map(str::to_owned))
        .advise([Action::UsePrivateDirectory])
}

/// The private directory next to the socket exists, and is not usable.
fn staging_directory(facts: &Facts) -> Option<Diagnosis> {
    let directory = file_at_end(facts)?;
    let why = format!(
        "a file that has the name is removed or replaced through the private directory {}, which must be owned by us and closed to others",
        quoted(&directory.path)
    );
    let messages = Messages(facts);
    let seen = [messages.permissions(directory), messages.identity()];
    let advice = Action::ShowStagingDirectory(directory.path.clone());
    Some(Diagnosis::new(Reason::StagingDirectory, why).seen(seen).advise([advice]))
}

/// A bind was denied permission, and the directory permits it: the bind was to create a missing
/// directory, or to change the file that has the name.
fn may_not_bind(facts: &Facts, verdict: &Verdict) -> Diagnosis {
    let messages = Messages(facts);
    let Some(last) = facts.walk.as_ref().and_then(|walk| walk.steps.last()) else { return no_longer(facts) };
    let (directory, Some(subject)) = (&last.directory, &facts.subject) else { return no_longer(facts) };
    let denied = matches!(access(directory, subject, WRITE | SEARCH), Access::Denied(_));
    if denied && verdict.cause == Cause::ParentMissing {
        let shown = quoted(&directory.path);
        let why = format!("creating a directory requires write permission on the directory {shown}");
        return Diagnosis::new(Reason::CannotCreateDirectory, why)
            .seen([messages.permissions(directory), messages.identity()])
            .advise([Action::UsePrivateDirectory, show_path(facts)]);
    }
    match file_at_end(facts) {
        Some(_) if denied => {
            let shown = quoted(&directory.path);
            let why =
                format!("replacing what has the name requires write permission on the directory {shown}");
            Diagnosis::new(Reason::Cause(Cause::ParentNotWritable), why)
                .seen([messages.permissions(directory), messages.identity()])
                .advise(verdict.advice.iter().cloned())
                .advise([Action::UsePrivateDirectory, show_path(facts)])
        }
        Some(file) => {
            let why = "the directory is writable, but we may not change the file that has the name";
            let advice = Action::ShowFile(advise::reached(facts, &file.path));
            Diagnosis::new(Reason::FileNotChangeable, why)
                .seen([messages.permissions(file), messages.identity()])
                .advise([advice])
        }
        None => no_longer(facts),
    }
}

fn backlog_was_full(facts: &Facts) -> Diagnosis {
    let why = "the server's backlog is full: it does not accept its clients fast enough, or not at all";
    match server(facts) {
        Some(socket) => {
            let waiting = socket.backlog.filter(|_| !socket.is_probed()).map(|(waiting, limit)| {
                format!("{}; the limit is {limit}, and the kernel allows one more", clients_wait(waiting))
            });
            Diagnosis::past(Reason::Cause(Cause::BacklogFull), why)
                .seen(Messages(facts).owners(socket))
                .seen(waiting)
        }
        None => no_longer(facts),
    }
}

fn queue_was_full(facts: &Facts) -> Diagnosis {
    let why = "the receiver's queue is full: it does not read its messages fast enough";
    let owners = server(facts).map(|socket| Messages(facts).owners(socket)).unwrap_or_default();
    Diagnosis::past(Reason::Cause(Cause::QueueFull), why).seen(owners).advise([Action::ShowQueueLimit])
}

/// A security mechanism has just logged that it denied the call.
fn denied(facts: &Facts) -> Option<Diagnosis> {
    let (denial, age) = denials::latest(facts, facts.security.asked_at)?;
    let why = format!("{} forbids it", denial.by.name());
    (age <= denials::JUST_NOW).then(|| {
        Diagnosis::past(Reason::NotPermitted, why)
            .seen([denials::observed(denial, age), Messages(facts).identity()])
    })
}

fn not_permitted(facts: &Facts) -> Diagnosis {
    let connects = facts.question.operation == Operation::Connect;
    let why = match connects {
        true => "no check of files and sockets forbids it: a security mechanism does",
        false => {
            "the receiver accepts no file descriptors, we may not send these credentials, or a security mechanism forbids it"
        }
    };
    let owners = server(facts).map(|socket| Messages(facts).owners(socket)).unwrap_or_default();
    Diagnosis::past(Reason::NotPermitted, why)
        .seen(owners)
        .seen([Messages(facts).identity()])
        .seen(caveats::mechanisms(facts))
}

/// Returns whether this process is restricted in ways that are not all visible.
fn is_restricted(facts: &Facts) -> bool {
    facts.security.no_new_privileges == Some(true) || facts.security.seccomp == Some(true)
}

/// The call was denied, no check of files forbids it now, and the process is restricted.
fn forbidden_now(facts: &Facts) -> Diagnosis {
    let why = "no check of files forbids it now: a security mechanism that restricts this process may";
    let at = advise::site(facts);
    Diagnosis::past(Reason::NotPermitted, why)
        .seen([Messages(facts).identity()])
        .seen(caveats::mechanisms(facts))
        .advise([Action::TryAgain { operation: facts.question.operation, at }])
}

/// A bind fails with `EPERM` although no check of files forbids it.
fn may_not_bind_here(facts: &Facts) -> Diagnosis {
    let why = "no check of files forbids it: the file system or a security mechanism does";
    Diagnosis::past(Reason::NotPermitted, why)
        .seen([Messages(facts).identity()])
        .seen(caveats::mechanisms(facts))
        .advise([Action::UsePrivateDirectory])
}

fn was_of_other_kind(error: &Error, facts: &Facts) -> Diagnosis {
    let asked = error.socket_kind().map_or("this".to_owned(), with_article);
    let why = format!("the socket there is of another kind than {asked} socket");
    Diagnosis::past(Reason::Cause(Cause::WrongKind), why)
        .advise([Action::Connect { at: advise::site(facts), kind: None }])
}

/// Says that the cause no longer exists.
fn no_longer(facts: &Facts) -> Diagnosis {
    let (operation, at) = (facts.question.operation, advise::site(facts));
    Diagnosis::past(Reason::Class, "the cause no longer exists, or is not visible from here")
        .advise([Action::TryAgain { operation, at }])
}

/// Returns the socket that a call would reach.
fn server(facts: &Facts) -> Option<&Endpoint> {
    facts.sockets.iter().flatten().find(|socket| socket.state != EndpointState::Accepted)
}

/// Returns the file that has the last name, without following links.
fn file_at_end(facts: &Facts) -> Option<&File> {
    match &facts.walk.as_ref()?.steps.last()?.found {
        Found::File(file) | Found::Link { link: file, .. } | Found::Magic { link: file, .. } => Some(file),
        Found::Nothing | Found::Hidden(_) | Found::NotResponding | Found::Failing { .. } => None,
    }
}

/// Returns whether the listing of the path shows more of the cause.
fn shows_more(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::NoSearch
            | Cause::NoSearchAcl
            | Cause::NoWrite
            | Cause::NoWriteAcl
            | Cause::ParentNotWritable
            | Cause::ParentNotWritableAcl
            | Cause::ParentMissing
            | Cause::NotADirectory
            | Cause::Dangling
            | Cause::LinkLoop
            | Cause::LinksNotFollowed
            | Cause::ProtectedLink
            | Cause::ReadOnly
    )
}

fn show_path(facts: &Facts) -> Action {
    Action::ShowPath { address: facts.question.address.clone(), operation: facts.question.operation }
}
