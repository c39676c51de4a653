//! Makes the call that a verdict predicts, as its subject, to compare the verdict with the kernel.
//!
//! A thread assumes the subject's ids, capabilities, root, working directory and network namespace,
//! makes the call and exits. The kernel keeps all of these per thread ([K-THREAD-1], [K-THREAD-2]),
//! so the rest of the process is unaffected. Nothing permanent is left: a connection is closed at
//! once, and a file that a bind created is removed. The server does notice: a stream server accepts
//! a client that disconnects at once, and a message is delivered. That is why delivery has to be
//! allowed explicitly.
//!
//! [K-THREAD-1]: stoop::kernel_facts#K-THREAD-1
//! [K-THREAD-2]: stoop::kernel_facts#K-THREAD-2

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::net::sockopt::socket_send_buffer_size;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, recv};
use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, LinkNameSpaceType, Uid, UnshareFlags, move_into_link_name_space,
    set_capabilities, set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use stoop::diag::{Show, Table};
use stoop::{Address, Kind};

use crate::why::denials::just_denied;
use crate::why::facts::{EndpointState, Facts, Subject};
use crate::why::gather::denials::now;
use crate::why::gather::{read_denials, subject};
use crate::why::{Operation, Who};

/// How long a call may take. It waits for no other process, but a file system that hangs would
/// block it.
const LIMIT: Duration = Duration::from_secs(5);

/// Serializes probes. What is restored for the whole process at the end ([K-THREAD-3]) would make
/// another probe's thread traceable by the user it acts as.
///
/// [K-THREAD-3]: stoop::kernel_facts#K-THREAD-3
static ALONE: Mutex<()> = Mutex::new(());

/// The result of [`probe`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The call succeeded.
    Succeeded,
    /// The connect succeeded, and the server closed the connection before it sent anything.
    Closed,
    /// The call failed: with `EAGAIN` if a blocking call would have waited.
    Failed(Errno),
    /// The call was not made or did not return, for this reason.
    NotMade(String),
}

/// Whether a message may be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A send is not probed.
    Withheld,
    /// A send is probed. If it succeeds, the receiver gets a message of that many zero bytes.
    Allowed,
}

/// Makes the call in question as the subject of these facts, and undoes it.
///
/// A connection is closed at once, and a file that a bind created is removed. A server notices: it
/// accepts a client that disconnects. A message cannot be undone, so `delivery` has to allow a
/// send.
///
/// This blocks for some milliseconds and for five seconds at most, after waiting for other threads
/// that probe. After a call that hangs, the process stays undumpable.
///
/// Acting as another user requires root. A subject that has capabilities in another user namespace
/// cannot be imitated by a thread.
///
/// # Examples
///
/// ```
/// use stoop::Address;
/// use stoop_inspect::internal::{Delivery, Probe, gather, probe};
/// use stoop_inspect::why::{Errno, Operation, Question, Who};
///
/// # let path = std::env::temp_dir().join(format!("stoop-doc-probe-{}", std::process::id()));
/// let question = Question {
///     operation: Operation::Bind,
///     kind: None,
///     address: Address::path(&path)?,
///     subject: Who::CurrentProcess,
/// };
/// assert_eq!(probe(&gather(&question)?, Delivery::Withheld), Probe::Succeeded);
/// assert!(!path.exists(), "the file that the bind created is removed");
///
/// let _server = stoop::Bind::new(&path).listen()?;
/// let taken = probe(&gather(&question)?, Delivery::Withheld);
/// assert_eq!(taken, Probe::Failed(Errno::ADDRINUSE));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn probe(facts: &Facts, delivery: Delivery) -> Probe {
    probe_and_listen(facts, delivery, Duration::ZERO)
}

/// Makes the call as [`probe`] does, and keeps a connection open for this long, which must be less
/// than a second. A server that closes it in that time may have refused the client. If it does not,
/// nothing is known.
pub fn probe_and_listen(facts: &Facts, delivery: Delivery, patience: Duration) -> Probe {
    let prepared = Call::of(facts, delivery, patience).and_then(|call| Ok((call, ThreadContext::of(facts)?)));
    let (call, context) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => return Probe::NotMade(why),
    };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let was_dumpable = matches!(dumpable_behavior(), Ok(DumpableBehavior::Dumpable));
    let (sender, receiver) = channel();
    let work = move || {
        let entered = context
            .enter()
            .map_err(|errno| Probe::NotMade(format!("this process cannot act as the subject: {errno}")));
        // The receiver is dropped if the call took too long.
        let _ = sender.send(entered.map_or_else(|not_made| not_made, |()| call.make()));
    };
    let Ok(thread) = thread::Builder::new().name("stoop-probe".into()).spawn(work) else {
        return Probe::NotMade("cannot spawn a thread".into());
    };
    let Ok(result) = receiver.recv_timeout(LIMIT) else {
        // The thread still has the subject's ids. If the process became dumpable again, the subject
        // could trace it.
        return Probe::NotMade(format!("no result within {LIMIT:?}: a file system in the path hangs"));
    };
    let _ = thread.join();
    if was_dumpable {
        // Changing the ids of one thread makes the whole process undumpable (K-THREAD-3), so it is
        // restored here.
        let _ = set_dumpable_behavior(DumpableBehavior::Dumpable);
    }
    result
}

/// Returns what a security mechanism has logged about the call that was just made as a probe and
/// failed, or `None` if nothing may be read.
pub fn denial_of_probe(facts: &Facts) -> Option<String> {
    let mut facts = facts.clone();
    // The thread that made the call belongs to this process.
    facts.question.subject = Who::CurrentProcess;
    facts.security.asked_at = now();
    read_denials(&mut facts);
    just_denied(&facts)
}

/// A system call ready to be made.
struct Call {
    operation: Operation,
    kind: Kind,
    address: Address,
    /// How long a connection is kept.
    patience: Duration,
}

impl Call {
    fn of(facts: &Facts, delivery: Delivery, patience: Duration) -> Result<Call, String> {
        let question = &facts.question;
        let (operation, address) = (question.operation, question.address.clone());
        if address.is_unnamed() {
            return Err("the address is unnamed".into());
        }
        if address
            .as_pathname()
            .is_some_and(|path| path.as_os_str().len() > stoop::internal::DIRECT_PATH_MAX_BYTES)
        {
            return Err("an address cannot hold that path".into());
        }
        let delivers = matches!(operation, Operation::Send { .. });
        if delivers && delivery == Delivery::Withheld {
            return Err("the message would be delivered, which was not allowed".into());
        }
        let there = || {
            let sockets = facts.sockets.iter().flatten().filter(|it| it.state != EndpointState::Accepted);
            let kinds: Vec<Kind> = sockets.filter_map(|socket| socket.kind).collect();
            Kind::ALL.into_iter().find(|kind| kinds.contains(kind))
        };
        let kind = question.kind.unwrap_or_else(|| match operation {
            Operation::Connect => there().unwrap_or(Kind::Stream),
            Operation::Bind => Kind::Stream,
            Operation::Send { .. } => Kind::Datagram,
        });
        Ok(Call { operation, kind, address, patience })
    }

    fn make(&self) -> Probe {
        let done = match self.operation {
            Operation::Bind => return self.bind(),
            Operation::Connect => return self.connect(),
            Operation::Send { len_bytes } => self.prepare().and_then(|(socket, to)| {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                // A message as long as the send buffer is too long already (K-DGRAM-6): no larger
                // allocation is needed for the same answer.
                let len_bytes = len_bytes.min(socket_send_buffer_size(&socket)?);
                rustix::net::sendto(&socket, &vec![0; len_bytes], flags, &to).map(drop)
            }),
        };
        done.map_or_else(Probe::Failed, |()| Probe::Succeeded)
    }

    fn connect(&self) -> Probe {
        let connected = self.prepare().and_then(|(socket, to)| {
            rustix::net::connect(&socket, &to)?;
            Ok(self.kind != Kind::Datagram && is_closed_within(&socket, self.patience))
        });
        match connected {
            Ok(true) => Probe::Closed,
            Ok(false) => Probe::Succeeded,
            Err(errno) => Probe::Failed(errno),
        }
    }

    /// Creates a nonblocking socket, and the address to use it with.
    fn prepare(&self) -> Result<(OwnedFd, SocketAddrUnix), Errno> {
        let to = match (self.address.as_pathname(), self.address.as_abstract_name()) {
            (Some(path), _) => SocketAddrUnix::new(path),
            (_, Some(name)) => SocketAddrUnix::new_abstract_name(name),
            _ => Ok(SocketAddrUnix::new_unnamed()),
        }?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let kind = match self.kind {
            Kind::Stream => SocketType::STREAM,
            Kind::Datagram => SocketType::DGRAM,
            Kind::SeqPacket => SocketType::SEQPACKET,
        };
        Ok((rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None)?, to))
    }

    /// Binds, and removes the file if it is still the one that the socket is bound to.
    fn bind(&self) -> Probe {
        let not_made = |why: &str| Probe::NotMade(why.into());
        let Ok(mut table) = Table::open() else {
            return not_made("without the socket table, the created file could not be identified");
        };
        if self.address.as_pathname().is_some_and(only_adds) {
            return not_made("the directory is append-only: the created file could not be removed");
        }
        let bound = self.prepare().and_then(|(socket, to)| rustix::net::bind(&socket, &to).map(|()| socket));
        let socket = match bound {
            Ok(socket) => socket,
            Err(errno) => return Probe::Failed(errno),
        };
        match self.address.as_pathname() {
            Some(path) if remove(&mut table, &socket, path).is_none() => {
                not_made("the bind succeeded, but the created file could not be removed")
            }
            _ => Probe::Succeeded,
        }
    }
}

/// Returns whether the peer closes the connection within this time, without a byte before.
fn is_closed_within(socket: &OwnedFd, patience: Duration) -> bool {
    let span = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
    let mut ready = [PollFd::new(socket, PollFlags::IN | PollFlags::RDHUP)];
    let is_ready = !patience.is_zero() && poll(&mut ready, Some(&span)) == Ok(1);
    let has_ended = is_ready && ready[0].revents().intersects(PollFlags::HUP | PollFlags::RDHUP);
    let peeked = || recv(socket, &mut [0; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    has_ended && matches!(peeked(), Ok((_, 0)) | Err(Errno::CONNRESET))
}

/// Returns whether the directory has the append-only flag, which keeps names from being removed.
fn only_adds(path: &Path) -> bool {
    rustix::fs::statx(CWD, directory(path), AtFlags::empty(), StatxFlags::empty())
        .is_ok_and(|statx| statx.stx_attributes.contains(StatxAttributes::APPEND))
}

/// Returns the directory of the last name, with `/.` appended. This way a symbolic link at the end
/// of the directory's path is followed as an intermediate component, as it was for the bind. As the
/// last component, `fs.protected_symlinks` might forbid following it.
fn directory(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(".")
}

/// Removes the file that the socket is bound to, if the name still refers to it. The directory is
/// opened once, so a process that replaces a component of the path cannot have a file removed
/// elsewhere.
fn remove(table: &mut Table, socket: &OwnedFd, path: &Path) -> Option<()> {
    let ino = u32::try_from(rustix::fs::fstat(socket).ok()?.st_ino).ok()?;
    let ours = table.lookup(ino, Show::FILE).ok()??.file?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory(path), flags, Mode::empty()).ok()?;
    let name = path.file_name()?;
    let there = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let is_ours = ours.may_be(stoop::diag::FileId { dev: there.st_dev, ino: there.st_ino });
    is_ours.then(|| rustix::fs::unlinkat(&directory, name, AtFlags::empty()).ok())?
}

/// What a thread changes about itself to act as the subject. `None` means unchanged.
#[derive(Default)]
struct ThreadContext {
    ids: Option<Ids>,
    root: Option<OwnedFd>,
    cwd: Option<OwnedFd>,
    network: Option<OwnedFd>,
}

struct Ids {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    capabilities: CapabilitySet,
}

impl ThreadContext {
    fn of(facts: &Facts) -> Result<ThreadContext, String> {
        let Some(subject) = &facts.subject else { return Err("there is no such user or process".into()) };
        let ids = || Some(Ids::of(subject)).filter(|ids| !ids.are_ours());
        let pid = match &facts.question.subject {
            Who::CurrentProcess => return Ok(ThreadContext::default()),
            Who::User(_) => return Ok(ThreadContext { ids: ids(), ..ThreadContext::default() }),
            Who::Process(pid) => *pid,
        };
        if subject.mapped_uids.is_some() && (subject.dac_override || subject.dac_read_search) {
            return Err("the process has capabilities in a user namespace of its own".into());
        }
        let process = the_same(pid, subject.began)?;
        let open = |what: &str| {
            let flags = if what.starts_with("ns/") { OFlags::RDONLY } else { OFlags::PATH } | OFlags::CLOEXEC;
            rustix::fs::openat(&process, what, flags, Mode::empty())
                .map_err(|errno| format!("/proc/{pid}/{what} cannot be opened: {errno}"))
        };
        let when = |needed: bool, what: &str| needed.then(|| open(what)).transpose();
        Ok(ThreadContext {
            ids: ids(),
            root: when(subject.view.other_files, "root")?,
            cwd: when(facts.question.address.as_pathname().is_some_and(Path::is_relative), "cwd")?,
            network: when(subject.view.other_network, "ns/net")?,
        })
    }

    /// Applies this to the calling thread, irreversibly.
    fn enter(self) -> Result<(), Errno> {
        if let Some(network) = &self.network {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        }
        if self.root.is_some() || self.cwd.is_some() {
            unshare_file_system_view()?;
        }
        if let Some(root) = &self.root {
            // This changes the mounts as well: they depend on the root, not on the mount namespace
            // (K-THREAD-2).
            rustix::process::fchdir(root)?;
            rustix::process::chroot(".")?;
        }
        if let Some(cwd) = &self.cwd {
            rustix::process::fchdir(cwd)?;
        }
        self.ids.map_or(Ok(()), Ids::enter)
    }
}

/// Opens the `/proc` directory of the process that the facts describe. Later accesses through it
/// never reach another process that has reused the pid.
fn the_same(pid: u32, began: Option<u64>) -> Result<OwnedFd, String> {
    let gone = |_| format!("process {pid} has exited");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let process = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty()).map_err(gone)?;
    let stat = rustix::fs::openat(&process, "stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let mut text = Vec::new();
    let _ = std::fs::File::from(stat.map_err(gone)?).read_to_end(&mut text);
    match subject::began(&text).filter(|now| Some(*now) == began) {
        Some(_) => Ok(process),
        None => Err(format!("process {pid} has exited since it was inspected, and its pid was reused")),
    }
}

#[expect(
    deprecated,
    reason = "only other flags are unsafe: the shared table of file descriptors is left alone"
)]
fn unshare_file_system_view() -> Result<(), Errno> {
    rustix::thread::unshare(UnshareFlags::FS)
}

impl Ids {
    fn of(subject: &Subject) -> Ids {
        let has = |it: bool, capability| if it { capability } else { CapabilitySet::empty() };
        Ids {
            uid: Uid::from_raw(subject.uid),
            gid: Gid::from_raw(subject.gid),
            groups: subject.groups.iter().map(|&gid| Gid::from_raw(gid)).collect(),
            // No other capability affects these calls.
            capabilities: has(subject.dac_override, CapabilitySet::DAC_OVERRIDE)
                | has(subject.dac_read_search, CapabilitySet::DAC_READ_SEARCH),
        }
    }

    fn are_ours(&self) -> bool {
        let dac = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        let sorted = |mut groups: Vec<Gid>| {
            groups.sort_unstable_by_key(|gid| gid.as_raw());
            groups
        };
        let groups = rustix::process::getgroups().unwrap_or_default();
        let capabilities = rustix::thread::capabilities(None).map(|sets| sets.effective & dac);
        self.uid == rustix::process::geteuid()
            && self.gid == rustix::process::getegid()
            && sorted(self.groups.clone()) == sorted(groups)
            && Ok(self.capabilities) == capabilities
    }

    fn enter(self) -> Result<(), Errno> {
        set_thread_groups(&self.groups)?;
        set_thread_res_gid(self.gid, self.gid, self.gid)?;
        // Without this, changing the user id would drop them, and some may have to be kept.
        set_keep_capabilities(true)?;
        set_thread_res_uid(self.uid, self.uid, self.uid)?;
        let inheritable = CapabilitySet::empty();
        let (effective, permitted) = (self.capabilities, self.capabilities);
        set_capabilities(None, CapabilitySets { effective, permitted, inheritable })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn made(operation: Operation, kind: Kind, path: &Path) -> Probe {
        let address = Address::path(path).unwrap();
        Call { operation, kind, address, patience: Duration::from_millis(500) }.make()
    }

    #[test]
    fn a_message_of_any_length_is_refused_without_being_made() {
        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("s");
        let _receiver = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let send = |len_bytes| made(Operation::Send { len_bytes }, Kind::Datagram, &path);
        assert_eq!(send(usize::MAX), Probe::Failed(Errno::MSGSIZE));
        assert_eq!(send(1), Probe::Succeeded);
    }

    #[test]
    fn a_server_that_closes_at_once_is_noticed() {
        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("s");
        let server = UnixListener::bind(&path).unwrap();
        let connect = || made(Operation::Connect, Kind::Stream, &path);
        assert_eq!(connect(), Probe::Succeeded, "it is not accepted");
        drop(server.accept().unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                stoop_testkit::close(server.accept().unwrap());
                let (mut greeted, _) = server.accept().unwrap();
                greeted.write_all(b"220 ready").unwrap();
                stoop_testkit::close(greeted);
            });
            assert_eq!(connect(), Probe::Closed);
            assert_eq!(connect(), Probe::Succeeded, "it has sent something");
        });
    }

    #[test]
    fn a_bind_leaves_nothing_and_removes_its_own_file_alone() {
        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("s");
        assert_eq!(made(Operation::Bind, Kind::Stream, &path), Probe::Succeeded);
        assert!(!path.exists());
        let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap().into();
        std::fs::rename(&path, directory.path().join("moved")).unwrap();
        std::fs::write(&path, "another's").unwrap();
        assert_eq!(remove(&mut Table::open().unwrap(), &socket, &path), None);
        assert!(path.exists());
    }
}
