//! One world: a file tree or an abstract name, servers, a caller, and the question that is asked.
//! Knows what the sockets are in, and so what is to be said of them.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{IFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::net::SocketAddrUnix;
use stoop::{Address, Kind};
use stoop_inspect::why::facts::EndpointState;
use stoop_inspect::why::{Cause, Facts, Operation, Question, Who, facts};
use stoop_kernel_facts as kernel;

use super::caller::{Caller, every_capability, in_network};
use super::oracle::{Expected, File, Resolved, judge_file, judge_name, kind_asked, resolve};
use super::rng::Rng;
use super::server::{self, Name, Server};
use super::tree::{self, Mount, Tree};

/// Where worlds may be: directories on file systems of several kinds, and another network.
pub struct Ground {
    pub places: Vec<PathBuf>,
    /// The last of them shows what is in here, too.
    pub lower: Option<PathBuf>,
    pub abroad: OwnedFd,
}

/// A world, until it is dropped.
pub struct World {
    pub caller: Caller,
    pub operation: Operation,
    pub kind: Option<Kind>,
    pub address: Address,
    pub servers: Vec<Server>,
    pub mounts: Vec<Mount>,
    pub top: PathBuf,
    /// The same, a layer down.
    lower: Option<PathBuf>,
    /// The caller is this user, fresh from a login, and not a process that can be looked at.
    pub login: Option<&'static str>,
    /// The working directory is removed once the caller is in it.
    pub cwd_gone: bool,
    /// The working directory of a path that begins there: opened by us, since its user may not be
    /// able to.
    cwd: Option<OwnedFd>,
    /// Devices of mounts that are no second view of something.
    own_file_systems: Vec<(u64, PathBuf)>,
    frozen: Vec<(PathBuf, IFlags)>,
}

/// Where a caller's root is.
#[derive(Clone, Copy)]
enum View {
    Ours,
    Root,
    RootOnMount,
    RootInside,
}

/// Where a path begins.
#[derive(Clone, Copy)]
enum At {
    Absolute,
    Top,
    Inside,
}

/// The call of a question, made for real.
#[derive(Clone, Debug)]
pub struct Call {
    pub operation: Operation,
    pub kind: Kind,
    pub address: Address,
}

impl World {
    pub fn new(seed: u64, ground: &Ground) -> World {
        let mut rng = Rng::new(seed);
        let caller = Caller::random(&mut rng);
        World::with(seed, rng, caller, ground)
    }

    /// A world for a process that is what it is: no root, directory or network in it is anybody's
    /// own.
    pub fn for_guest(seed: u64, ground: &Ground) -> World {
        let mut rng = Rng::new(!seed);
        let caller = Caller { abroad: false, ..Caller::random(&mut rng) };
        World::with(seed, rng, caller, ground)
    }

    fn with(seed: u64, mut rng: Rng, caller: Caller, ground: &Ground) -> World {
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
        let place = rng.below(ground.places.len());
        let top = ground.places[place].join(seed.to_string());
        let is_layered = place + 1 == ground.places.len() && rng.chance(25);
        let lower = ground.lower.as_ref().filter(|_| is_layered).map(|lower| lower.join(seed.to_string()));
        std::fs::create_dir(lower.as_ref().unwrap_or(&top)).expect("make a world's directory");
        let mut world = World {
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
            world.name(rng, seed, asked, ground)
        } else if world.lower.is_some() {
            world.look_down(rng, asked)
        } else {
            world.grow(rng, asked, ground)
        }
        let is_plain = !world.caller.abroad && world.caller.root.is_none() && world.cwd.is_none();
        let login = rng.one(&["root", "nobody", "daemon", "mail", "1000", "1001"]);
        world.login = Some(login).filter(|_| is_plain && rng.chance(20));
        world
    }

    /// An abstract name, and who has it.
    fn name(&mut self, rng: &mut Rng, seed: u64, asked: Kind, ground: &Ground) {
        let mut name = format!("w{seed}").into_bytes();
        name.resize(if rng.chance(10) { 107 } else { name.len() }, b'x');
        self.address = Address::abstract_name(name.clone()).expect("a short name");
        for _ in 0..rng.below(3) {
            let abroad = rng.chance(30);
            let kind = if rng.chance(60) {
                asked
            } else {
                rng.one(&[Kind::Stream, Kind::Datagram, Kind::SeqPacket])
            };
            let mut name = name.clone();
            if rng.chance(20) && name.len() < 100 {
                name.resize(name.len() + 1 + rng.below(5), 0);
            }
            let found_by = Name::Abstract { name: name.clone(), abroad };
            if self.servers.iter().any(|server| server.name == found_by && server.kind == kind) {
                continue;
            }
            let address = SocketAddrUnix::new_abstract_name(&name).expect("a short name");
            let make = || server::random(rng, kind, &address, || found_by);
            let server = if abroad { in_network(&ground.abroad, make) } else { make() };
            self.servers.push(server);
        }
    }

    /// A path to a socket that was bound in the lower layer: seen from above it is a file of its
    /// own.
    fn look_down(&mut self, rng: &mut Rng, asked: Kind) {
        let below = self.lower.as_ref().expect("there is a layer").join("s");
        let address = SocketAddrUnix::new(&below).expect("worlds have short paths");
        self.servers.push(server::random(rng, asked, &address, || server::file_at(&below)));
        self.address = Address::path(self.top.join("s")).expect("a path without NUL");
    }

    /// A path, and what it leads to.
    fn grow(&mut self, rng: &mut Rng, asked: Kind, ground: &Ground) {
        let top = self.top.clone();
        let mut tree = Tree::new(rng, &ground.abroad, top.clone());
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
        // Only what the world is not built in can be taken away.
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
        self.address.as_path().map(|path| path.as_os_str().as_bytes())
    }

    /// What the kernel says, and where. To be asked on the caller's thread.
    pub fn expected(&self) -> Expected {
        if let Some(name) = self.address.as_abstract() {
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

    /// What is found out before the address is looked up; what no address can hold, before there is
    /// a call.
    fn before_lookup(&self, path_len: usize) -> Option<Expected> {
        let fails = |errno, cause| Some(Expected::nowhere(Some(errno), &[cause]));
        let kind = kind_asked(self.operation, self.kind, None);
        match self.operation {
            _ if path_len > stoop::DIRECT_PATH_MAX_BYTES => fails(Errno::NAMETOOLONG, Cause::PathTooLong),
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
        let of_name = |wanted: &[u8], abroad: bool| {
            let found_by = Name::Abstract { name: wanted.to_vec(), abroad };
            self.servers.iter().filter(move |server| server.socket.is_some() && server.name == found_by)
        };
        let here: Vec<&Server> = of_name(name, self.caller.abroad).collect();
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
            matches!(&server.name, Name::Abstract { name: other, abroad } if server.socket.is_some()
                && *abroad == self.caller.abroad && other.len() > name.len())
        });
        causes.extend((!here.is_empty()).then_some(Cause::NameOfOtherKind));
        causes.extend(padded.then_some(Cause::NamePadded));
        causes.extend(of_name(name, !self.caller.abroad).next().map(|_| Cause::NameInOtherNamespace));
        if causes.is_empty() {
            causes.push(Cause::NoSuchName);
        }
        Expected::nowhere(Some(Errno::CONNREFUSED), &causes)
    }

    /// Whether a file system as a whole is read-only, and not a mount of it.
    fn is_read_only(&self, dev: u64) -> bool {
        let read_only = |here: &PathBuf| {
            self.mounts.iter().any(|mount| mount.here == *here && mount.flags.contains(MountFlags::RDONLY))
        };
        self.own_file_systems.iter().any(|(own, here)| *own == dev && read_only(here))
    }

    /// The socket that is bound to a file.
    fn bound_to(&self, file: File) -> Option<&Server> {
        let name = Name::File { dev: file.dev, ino: file.ino };
        self.servers.iter().find(|server| server.socket.is_some() && server.name == name)
    }

    /// What a socket that was reached has to say, in the order of `unix_stream_connect` and
    /// `unix_dgram_sendmsg`.
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

    /// Who makes the call, as the one asks who has this process.
    pub fn subject(&self, pid: u32) -> Who {
        self.login.map_or(Who::Process(pid), |user| Who::User(user.into()))
    }

    /// Makes the caller the user who has logged in.
    pub fn log_in(&mut self) {
        let Some(login) = self.login else { return };
        let facts = facts::gather(&self.question(Who::User(login.into()))).expect("look at the machine");
        let user = facts.subject.expect("there is such a user");
        (self.caller.uid, self.caller.gid, self.caller.groups) = (user.uid, user.gid, user.groups);
        self.caller.capabilities = every_capability(user.uid == 0);
    }

    /// The question about it.
    pub fn question(&self, subject: Who) -> Question {
        Question { operation: self.operation, kind: self.kind, address: self.address.clone(), subject }
    }

    /// The kind of the socket that was found, as the facts have it.
    pub fn kind_at_the_end(&self, facts: &Facts) -> Option<Kind> {
        facts.sockets.iter().flatten().find(|socket| socket.state != EndpointState::Accepted)?.kind
    }

    /// The call, where this kind of socket is there.
    pub fn call_with(&self, there: Option<Kind>) -> Call {
        let kind = kind_asked(self.operation, self.kind, there);
        Call { operation: self.operation, kind, address: self.address.clone() }
    }

    /// The plain system call that the question is about.
    pub fn call(&self, expected: &Expected) -> Call {
        self.call_with(expected.kind_there)
    }
}

impl Call {
    /// Makes it, on the calling thread, with system calls as plain as they come.
    pub fn make(&self) -> Result<(), Errno> {
        let name = match (self.address.as_path(), self.address.as_abstract()) {
            (Some(path), _) => kernel::Name::path(path),
            (_, Some(name)) => kernel::Name::abstract_name(name),
            _ => unreachable!("worlds have addresses"),
        };
        if name.bytes().len() > stoop::DIRECT_PATH_MAX_BYTES {
            return Err(Errno::NAMETOOLONG);
        }
        let socket = server::socket(self.kind);
        match self.operation {
            Operation::Connect => kernel::connect(&socket, &name),
            Operation::Send { len_bytes } => kernel::send_to(&socket, &vec![0; len_bytes], &name).map(drop),
            Operation::Bind => {
                kernel::bind(&socket, &name)?;
                if let Some(path) = self.address.as_path() {
                    // Where names may only be added it stays, until the world goes.
                    let _ = std::fs::remove_file(path);
                }
                Ok(())
            }
        }
    }
}

/// The send buffer of a fresh socket, in bytes.
fn send_buffer() -> usize {
    rustix::net::sockopt::socket_send_buffer_size(server::socket(Kind::Datagram)).expect("ask a socket")
}

impl Drop for World {
    fn drop(&mut self) {
        // A panic may be that of the caller, who may not do this.
        if !std::thread::panicking() {
            tree::clear(&self.top, &self.mounts, &self.frozen);
            let lower = self.lower.take().map(std::fs::remove_dir_all);
            lower.transpose().expect("remove the lower layer of a world");
        }
    }
}
