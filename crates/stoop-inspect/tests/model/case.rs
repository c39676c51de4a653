//! A test case: a file tree or an abstract name, servers, a caller, and the question. It knows the
//! state of its sockets, and so the expected result of a call on them.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{IFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::net::SocketAddrUnix;
use stoop::{Address, Kind};
use stoop_inspect::internal::facts::EndpointState;
use stoop_inspect::internal::facts::Facts;
use stoop_inspect::internal::{Cause, gather};
use stoop_inspect::why::{Operation, Question, Who};
use stoop_kernel_facts as kernel;

use super::caller::{Caller, every_capability, in_network};
use super::oracle::{Expected, File, Resolved, judge_file, judge_name, kind_asked, resolve};
use super::rng::Rng;
use super::server::{self, Name, Server};
use super::tree::{self, Mount, Tree};

/// The locations in which cases are built: directories on several file systems, and another network
/// namespace.
pub struct Sandbox {
    pub roots: Vec<PathBuf>,
    /// The lower layer of the last one, an overlay.
    pub lower: Option<PathBuf>,
    pub other_network: OwnedFd,
}

/// A test case. Dropping it removes its files.
pub struct Case {
    pub caller: Caller,
    pub operation: Operation,
    pub kind: Option<Kind>,
    pub address: Address,
    pub servers: Vec<Server>,
    pub mounts: Vec<Mount>,
    pub top: PathBuf,
    /// The same directory in the lower layer.
    lower: Option<PathBuf>,
    /// The caller is a fresh login of this user instead of a process.
    pub login: Option<&'static str>,
    /// Whether the working directory is removed once the caller is in it.
    pub cwd_gone: bool,
    /// The working directory of a relative path, opened by this process because the caller may not
    /// be permitted to.
    cwd: Option<OwnedFd>,
    /// Devices of mounts that are not bind mounts.
    own_file_systems: Vec<(u64, PathBuf)>,
    frozen: Vec<(PathBuf, IFlags)>,
}

/// The location of the caller's root.
#[derive(Clone, Copy)]
enum View {
    Ours,
    Root,
    RootOnMount,
    RootInside,
}

/// The start of a path.
#[derive(Clone, Copy)]
enum At {
    Absolute,
    Top,
    Inside,
}

/// The real system call of a question.
#[derive(Clone, Debug)]
pub struct Call {
    pub operation: Operation,
    pub kind: Kind,
    pub address: Address,
}

impl Case {
    pub fn new(seed: u64, sandbox: &Sandbox) -> Case {
        let mut rng = Rng::new(seed);
        let caller = Caller::random(&mut rng);
        Case::with(seed, rng, caller, sandbox)
    }

    /// Creates a case whose caller is an existing process: root, working directory and network
    /// namespace are those of the machine.
    pub fn for_guest(seed: u64, sandbox: &Sandbox) -> Case {
        let mut rng = Rng::new(!seed);
        let caller = Caller { other_network: false, ..Caller::random(&mut rng) };
        Case::with(seed, rng, caller, sandbox)
    }

    fn with(seed: u64, mut rng: Rng, caller: Caller, sandbox: &Sandbox) -> Case {
        let rng = &mut rng;
        let operation = match rng.weighted(&[(50, 0), (25, 1), (25, 2)]) {
            0 => Operation::Connect,
            1 => Operation::Bind,
            _ => Operation::Send {
                len_bytes: rng.weighted(&[(80, 5), (5, 0), (5, 212_960), (5, 212_961), (5, 900_000)]),
            },
        };
        let usual = if matches!(operation, Operation::Send { .. }) { 85 } else { 20 };
        let other = if rng.chance(50) { Kind::Stream } else { Kind::SeqPacket };
        let asked = if rng.chance(usual) { Kind::Datagram } else { other };
        let named = rng.chance(10);
        let kind = Some(asked).filter(|_| named || rng.chance(90));
        let place = rng.below(sandbox.roots.len());
        let top = sandbox.roots[place].join(seed.to_string());
        let is_layered = place + 1 == sandbox.roots.len() && rng.chance(25);
        let lower = sandbox.lower.as_ref().filter(|_| is_layered).map(|lower| lower.join(seed.to_string()));
        std::fs::create_dir(lower.as_ref().unwrap_or(&top)).expect("make a case's directory");
        let mut case = Case {
            caller,
            operation,
            kind,
            address: Address::UNNAMED,
            servers: Vec::new(),
            mounts: Vec::new(),
            top,
            lower,
            login: None,
            cwd_gone: false,
            cwd: None,
            own_file_systems: Vec::new(),
            frozen: Vec::new(),
        };
        if named {
            case.name(rng, seed, asked, sandbox)
        } else if case.lower.is_some() {
            case.look_down(rng, asked)
        } else {
            case.grow(rng, asked, sandbox)
        }
        let is_plain = !case.caller.other_network && case.caller.root.is_none() && case.cwd.is_none();
        let login = rng.one(&["root", "nobody", "daemon", "mail", "1000", "1001"]);
        case.login = Some(login).filter(|_| is_plain && rng.chance(20));
        case
    }

    /// Chooses an abstract name, and creates sockets that have it or a similar one.
    fn name(&mut self, rng: &mut Rng, seed: u64, asked: Kind, sandbox: &Sandbox) {
        let mut name = format!("w{seed}").into_bytes();
        name.resize(if rng.chance(10) { 107 } else { name.len() }, b'x');
        self.address = Address::abstract_name(name.clone()).expect("a short name");
        for _ in 0..rng.below(3) {
            let other_network = rng.chance(30);
            let kind = if rng.chance(60) {
                asked
            } else {
                rng.one(&[Kind::Stream, Kind::Datagram, Kind::SeqPacket])
            };
            let mut name = name.clone();
            if rng.chance(20) && name.len() < 100 {
                name.resize(name.len() + 1 + rng.below(5), 0);
            }
            let found_by = Name::Abstract { name: name.clone(), other_network };
            if self.servers.iter().any(|server| server.name == found_by && server.kind == kind) {
                continue;
            }
            let address = SocketAddrUnix::new_abstract_name(&name).expect("a short name");
            let make = || server::random(rng, kind, &address, || found_by);
            let server = if other_network { in_network(&sandbox.other_network, make) } else { make() };
            self.servers.push(server);
        }
    }

    /// Creates a socket in the lower layer. In the overlay, its file has another identity.
    fn look_down(&mut self, rng: &mut Rng, asked: Kind) {
        let below = self.lower.as_ref().expect("there is a layer").join("s");
        let address = SocketAddrUnix::new(&below).expect("cases have short paths");
        self.servers.push(server::random(rng, asked, &address, || server::file_at(&below)));
        self.address = Address::path(self.top.join("s")).expect("a path without NUL");
    }

    /// Creates a path, and the file that it leads to.
    fn grow(&mut self, rng: &mut Rng, asked: Kind, sandbox: &Sandbox) {
        let top = self.top.clone();
        let mut tree = Tree::new(rng, &sandbox.other_network, top.clone());
        match tree.rng.weighted(&[
            (70, View::Ours),
            (12, View::Root),
            (4, View::RootOnMount),
            (3, View::RootInside),
        ]) {
            View::Ours => {}
            View::Root => tree.set_root(top.clone()),
            View::RootOnMount => {
                let root = tree.mount_root();
                tree.set_root(root);
            }
            View::RootInside => {
                let root = tree.aside();
                tree.set_root(root);
            }
        }
        let at = match tree.rng.weighted(&[(80, At::Absolute), (12, At::Top), (8, At::Inside)]) {
            At::Absolute => None,
            At::Top => Some(top),
            At::Inside => Some(tree.aside()),
        };
        // The directory in which the case is built cannot be removed.
        self.cwd_gone = at.as_ref().is_some_and(|at| *at != self.top && tree.rng.chance(15));
        if let Some(cwd) = at {
            self.caller.cwd = cwd.clone();
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            self.cwd = Some(rustix::fs::open(&cwd, flags, Mode::empty()).expect("open a directory"));
            tree.start_at(cwd, self.cwd_gone);
        }
        tree.walk();
        tree.finish(asked, self.operation == Operation::Bind);
        if tree.rng.chance(4) {
            tree.lengthen();
        }
        tree.freeze();
        self.caller.root = Some(tree.root.clone()).filter(|root| root != Path::new("/"));
        let path = OsString::from_vec(std::mem::take(&mut tree.text));
        self.address = Address::path(path).expect("a path without NUL");
        (self.servers, self.mounts, self.frozen) = (tree.servers, tree.mounts, tree.frozen);
        let own = self.mounts.iter().filter(|mount| mount.source.is_none());
        let device = |mount: &Mount| rustix::fs::stat(&mount.here).expect("it is mounted").st_dev;
        self.own_file_systems = own.map(|mount| (device(mount), mount.here.clone())).collect();
    }

    pub fn path(&self) -> Option<&[u8]> {
        self.address.as_pathname().map(|path| path.as_os_str().as_bytes())
    }

    /// Returns the expected result and the component that decides it. Must run on the caller's
    /// thread.
    pub fn expected(&self) -> Expected {
        if let Some(name) = self.address.as_abstract_name() {
            return self.expected_of_name(name);
        }
        let path = self.path().expect("a path, or a name");
        if let Some(expected) = self.before_lookup(path.len()) {
            return expected;
        }
        let binds = self.operation == Operation::Bind;
        let entry = match resolve(path, !binds, self.cwd.as_ref()) {
            Resolved::At(entry) => entry,
            Resolved::Stopped(expected) => return expected,
        };
        if binds {
            return judge_name(entry, path, |file| self.bound_to(file).is_some());
        }
        let entry = match judge_file(entry, |dev| self.is_read_only(dev)) {
            Ok(entry) => entry,
            Err(expected) => return expected,
        };
        let server = self.bound_to(entry.file.expect("it is there"));
        Expected { entry: Some(entry), ..self.expected_of_server(server) }
    }

    /// Returns the result if it is decided before the address is looked up, or before the call if
    /// no address can hold the path.
    fn before_lookup(&self, path_len: usize) -> Option<Expected> {
        let fails = |errno, cause| Some(Expected::nowhere(Some(errno), &[cause]));
        let kind = kind_asked(self.operation, self.kind, None);
        match self.operation {
            _ if path_len > stoop::internal::DIRECT_PATH_MAX_BYTES => {
                fails(Errno::NAMETOOLONG, Cause::PathTooLong)
            }
            Operation::Send { .. } if kind == Kind::Stream => fails(Errno::OPNOTSUPP, Cause::NeedsConnection),
            Operation::Send { .. } if kind == Kind::SeqPacket => {
                fails(Errno::NOTCONN, Cause::NeedsConnection)
            }
            Operation::Send { len_bytes } if len_bytes > send_buffer() - 32 => {
                fails(Errno::MSGSIZE, Cause::MessageTooLarge)
            }
            _ => None,
        }
    }

    fn expected_of_name(&self, name: &[u8]) -> Expected {
        if let Some(expected) = self.before_lookup(0) {
            return expected;
        }
        let of_name = |wanted: &[u8], other_network: bool| {
            let found_by = Name::Abstract { name: wanted.to_vec(), other_network };
            self.servers.iter().filter(move |server| server.socket.is_some() && server.name == found_by)
        };
        let here: Vec<&Server> = of_name(name, self.caller.other_network).collect();
        let there = here.iter().find(|server| server.kind == Kind::Stream).or(here.first());
        let kind = kind_asked(self.operation, self.kind, there.map(|server| server.kind));
        let exact = here.iter().find(|server| server.kind == kind);
        if self.operation == Operation::Bind {
            return match exact {
                Some(_) => Expected::nowhere(Some(Errno::ADDRINUSE), &[Cause::NameTaken]),
                None => Expected::nowhere(None, &[Cause::Nothing]),
            };
        }
        if let Some(exact) = exact {
            return self.expected_of_server(Some(exact));
        }
        let mut causes = Vec::new();
        let padded = self.servers.iter().any(|server| {
            matches!(&server.name, Name::Abstract { name: other, other_network } if server.socket.is_some()
                && *other_network == self.caller.other_network && other.len() > name.len())
        });
        causes.extend((!here.is_empty()).then_some(Cause::NameOfOtherKind));
        causes.extend(padded.then_some(Cause::NamePadded));
        causes.extend(of_name(name, !self.caller.other_network).next().map(|_| Cause::NameInOtherNamespace));
        if causes.is_empty() {
            causes.push(Cause::NoSuchName);
        }
        Expected::nowhere(Some(Errno::CONNREFUSED), &causes)
    }

    /// Returns whether the file system is read-only, and not only a mount of it.
    fn is_read_only(&self, dev: u64) -> bool {
        let read_only = |here: &PathBuf| {
            self.mounts.iter().any(|mount| mount.here == *here && mount.flags.contains(MountFlags::RDONLY))
        };
        self.own_file_systems.iter().any(|(own, here)| *own == dev && read_only(here))
    }

    /// Returns the socket that is bound to a file.
    fn bound_to(&self, file: File) -> Option<&Server> {
        let name = Name::File { dev: file.dev, ino: file.ino };
        self.servers.iter().find(|server| server.socket.is_some() && server.name == name)
    }

    /// Returns the expected result for the socket reached, in the order of checks of
    /// `unix_stream_connect` and `unix_dgram_sendmsg`.
    fn expected_of_server(&self, server: Option<&Server>) -> Expected {
        let Some(server) = server else {
            return Expected::nowhere(Some(Errno::CONNREFUSED), &[Cause::Stale]);
        };
        let fails = |errno, cause| Expected::nowhere(Some(errno), &[cause]);
        let kind = kind_asked(self.operation, self.kind, Some(server.kind));
        let state = server.state;
        let sends = matches!(self.operation, Operation::Send { .. });
        let expected = match kind {
            _ if kind != server.kind => fails(Errno::PROTOTYPE, Cause::WrongKind),
            Kind::Datagram if state.elsewhere => fails(Errno::PERM, Cause::ConnectedElsewhere),
            Kind::Datagram if sends && state.shut => fails(Errno::PIPE, Cause::ReceiverShutDown),
            Kind::Datagram if sends && state.full => fails(Errno::AGAIN, Cause::QueueFull),
            Kind::Datagram => Expected::nowhere(None, &[Cause::Nothing]),
            _ if state.client => fails(Errno::CONNREFUSED, Cause::IsAClient),
            _ if state.silent => fails(Errno::CONNREFUSED, Cause::NotListening),
            _ if state.shut => fails(Errno::CONNREFUSED, Cause::ListenerShutDown),
            _ if state.full => fails(Errno::AGAIN, Cause::BacklogFull),
            _ => Expected::nowhere(None, &[Cause::Nothing]),
        };
        Expected { kind_there: Some(server.kind), ..expected }
    }

    /// Returns the subject of the question: the login, or the caller's thread.
    pub fn subject(&self, pid: u32) -> Who {
        self.login.map_or(Who::Process(pid), |user| Who::User(user.into()))
    }

    /// Replaces the caller by a login of that user, if there is one.
    pub fn log_in(&mut self) {
        let Some(login) = self.login else { return };
        let facts = gather(&self.question(Who::User(login.into()))).expect("look at the machine");
        let user = facts.subject.expect("there is such a user");
        (self.caller.uid, self.caller.gid, self.caller.groups) = (user.uid, user.gid, user.groups);
        self.caller.capabilities = every_capability(user.uid == 0);
    }

    /// Returns the question with this subject.
    pub fn question(&self, subject: Who) -> Question {
        Question { operation: self.operation, kind: self.kind, address: self.address.clone(), subject }
    }

    /// Returns the kind of the socket found, according to the facts.
    pub fn kind_at_the_end(&self, facts: &Facts) -> Option<Kind> {
        facts.sockets.iter().flatten().find(|socket| socket.state != EndpointState::Accepted)?.kind
    }

    /// Returns the call, if a socket of this kind exists there.
    pub fn call_with(&self, there: Option<Kind>) -> Call {
        let kind = kind_asked(self.operation, self.kind, there);
        Call { operation: self.operation, kind, address: self.address.clone() }
    }

    /// Returns the plain system call that the question is about.
    pub fn call(&self, expected: &Expected) -> Call {
        self.call_with(expected.kind_there)
    }
}

impl Call {
    /// Makes the call on the calling thread, with raw system calls.
    pub fn make(&self) -> Result<(), Errno> {
        let name = match (self.address.as_pathname(), self.address.as_abstract_name()) {
            (Some(path), _) => kernel::Name::path(path),
            (_, Some(name)) => kernel::Name::abstract_name(name),
            _ => unreachable!("cases have addresses"),
        };
        if name.bytes().len() > stoop::internal::DIRECT_PATH_MAX_BYTES {
            return Err(Errno::NAMETOOLONG);
        }
        let socket = server::socket(self.kind);
        match self.operation {
            Operation::Connect => kernel::connect(&socket, &name),
            Operation::Send { len_bytes } => kernel::send_to(&socket, &vec![0; len_bytes], &name).map(drop),
            Operation::Bind => {
                kernel::bind(&socket, &name)?;
                if let Some(path) = self.address.as_pathname() {
                    // In an append-only directory it stays until the case is dropped.
                    let _ = std::fs::remove_file(path);
                }
                Ok(())
            }
        }
    }
}

/// Returns the send buffer of a fresh socket, in bytes.
fn send_buffer() -> usize {
    rustix::net::sockopt::socket_send_buffer_size(server::socket(Kind::Datagram)).expect("ask a socket")
}

impl Drop for Case {
    fn drop(&mut self) {
        // A panic may be on the caller's thread, which may lack the permission.
        if !std::thread::panicking() {
            tree::clear(&self.top, &self.mounts, &self.frozen);
            let lower = self.lower.take().map(std::fs::remove_dir_all);
            lower.transpose().expect("remove the lower layer of a case");
        }
    }
}
