//! One world: a file tree or an abstract name, servers, a caller, and the question that is asked. Knows what the sockets are
//! in, and so what is to be said of them.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::IFlags;
use rustix::io::Errno;
use rustix::net::SocketAddrUnix;
use stoop::{Address, Kind};
use stoop_inspect::why::{Cause, Operation};
use stoop_kernel_facts as kernel;

use super::caller::{Caller, in_network};
use super::dice::Dice;
use super::server::{self, Name, Server};
use super::tree::{self, Mount, Tree};
use super::truth::{Arrival, File, Truth, arrive, judge_file, judge_name, kind_asked};

/// Where worlds may be: directories on file systems of several kinds, and another network.
pub struct Ground {
    pub places: Vec<PathBuf>,
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
    frozen: Vec<(PathBuf, IFlags)>,
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
        let mut dice = Dice::new(seed);
        let dice = &mut dice;
        let caller = Caller::random(dice);
        let operation = match dice.weighted(&[(50, 0), (25, 1), (25, 2)]) {
            0 => Operation::Connect,
            1 => Operation::Bind,
            _ => Operation::Send {
                len_bytes: dice.weighted(&[(80, 5), (5, 0), (5, 212_960), (5, 212_961), (5, 900_000)]),
            },
        };
        let usual = if matches!(operation, Operation::Send { .. }) { 85 } else { 20 };
        let other = if dice.chance(50) { Kind::Stream } else { Kind::SeqPacket };
        let asked = if dice.chance(usual) { Kind::Datagram } else { other };
        let named = dice.chance(10);
        let kind = Some(asked).filter(|_| named || dice.chance(90));
        let top = ground.places[dice.below(ground.places.len())].join(seed.to_string());
        std::fs::create_dir(&top).expect("make a world's directory");
        let mut world = World {
            caller,
            operation,
            kind,
            address: Address::UNNAMED,
            servers: Vec::new(),
            mounts: Vec::new(),
            top,
            frozen: Vec::new(),
        };
        if named {
            world.name(dice, seed, asked, ground)
        } else {
            world.grow(dice, asked)
        }
        world
    }

    /// An abstract name, and who has it.
    fn name(&mut self, dice: &mut Dice, seed: u64, asked: Kind, ground: &Ground) {
        let mut name = format!("w{seed}").into_bytes();
        name.resize(if dice.chance(10) { 107 } else { name.len() }, b'x');
        self.address = Address::abstract_name(name.clone()).expect("a short name");
        for _ in 0..dice.below(3) {
            let abroad = dice.chance(30);
            let kind = if dice.chance(60) {
                asked
            } else {
                dice.one(&[Kind::Stream, Kind::Datagram, Kind::SeqPacket])
            };
            let mut name = name.clone();
            if dice.chance(20) && name.len() < 100 {
                name.resize(name.len() + 1 + dice.below(5), 0);
            }
            let found_by = Name::Abstract { name: name.clone(), abroad };
            if self.servers.iter().any(|server| server.name == found_by && server.kind == kind) {
                continue;
            }
            let address = SocketAddrUnix::new_abstract_name(&name).expect("a short name");
            let make = || server::random(dice, kind, &address, || found_by);
            let server = if abroad { in_network(&ground.abroad, make) } else { make() };
            self.servers.push(server);
        }
    }

    /// A path, and what it leads to.
    fn grow(&mut self, dice: &mut Dice, asked: Kind) {
        let root = if dice.chance(15) { self.top.clone() } else { PathBuf::from("/") };
        let relative = dice.chance(20);
        let cwd = relative.then(|| self.top.clone());
        let mut tree = Tree::new(dice, self.top.clone(), root.clone(), cwd);
        tree.walk();
        tree.finish(asked, self.operation == Operation::Bind);
        if tree.dice.chance(4) {
            tree.lengthen();
        }
        tree.freeze();
        self.caller.root = Some(root).filter(|root| root != Path::new("/"));
        if relative {
            self.caller.cwd = self.top.clone();
        }
        let path = OsString::from_vec(std::mem::take(&mut tree.text));
        self.address = Address::path(path).expect("a path without NUL");
        (self.servers, self.mounts, self.frozen) = (tree.servers, tree.mounts, tree.frozen);
    }

    pub fn path(&self) -> Option<&[u8]> {
        self.address.as_path().map(|path| path.as_os_str().as_bytes())
    }

    /// What the kernel says, and where. To be asked on the caller's thread.
    pub fn truth(&self) -> Truth {
        if let Some(name) = self.address.as_abstract() {
            return self.truth_of_name(name);
        }
        let path = self.path().expect("a path, or a name");
        if let Some(truth) = self.before_lookup(path.len()) {
            return truth;
        }
        let binds = self.operation == Operation::Bind;
        let place = match arrive(path, !binds) {
            Arrival::At(place) => place,
            Arrival::Stopped(truth) => return truth,
        };
        if binds {
            return judge_name(place, path, |file| self.bound_to(file).is_some());
        }
        let place = match judge_file(place, &[]) {
            Ok(place) => place,
            Err(truth) => return truth,
        };
        let server = self.bound_to(place.file.expect("it is there"));
        Truth { place: Some(place), ..self.truth_of_server(server) }
    }

    /// What is found out before the address is looked up; what no address can hold, before there is a call.
    fn before_lookup(&self, path_len: usize) -> Option<Truth> {
        let fails = |errno, cause| Some(Truth::nowhere(Some(errno), &[cause]));
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

    fn truth_of_name(&self, name: &[u8]) -> Truth {
        if let Some(truth) = self.before_lookup(0) {
            return truth;
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
                Some(_) => Truth::nowhere(Some(Errno::ADDRINUSE), &[Cause::NameTaken]),
                None => Truth::nowhere(None, &[Cause::Nothing]),
            };
        }
        if let Some(exact) = exact {
            return self.truth_of_server(Some(exact));
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
        Truth::nowhere(Some(Errno::CONNREFUSED), &causes)
    }

    /// The socket that is bound to a file.
    fn bound_to(&self, file: File) -> Option<&Server> {
        let name = Name::File { dev: file.dev, ino: file.ino };
        self.servers.iter().find(|server| server.socket.is_some() && server.name == name)
    }

    /// What a socket that was reached has to say, in the order of `unix_stream_connect` and `unix_dgram_sendmsg`.
    fn truth_of_server(&self, server: Option<&Server>) -> Truth {
        let Some(server) = server else { return Truth::nowhere(Some(Errno::CONNREFUSED), &[Cause::Stale]) };
        let fails = |errno, cause| Truth::nowhere(Some(errno), &[cause]);
        let kind = kind_asked(self.operation, self.kind, Some(server.kind));
        let state = server.state;
        let sends = matches!(self.operation, Operation::Send { .. });
        let truth = match kind {
            _ if kind != server.kind => fails(Errno::PROTOTYPE, Cause::WrongKind),
            Kind::Datagram if state.elsewhere => fails(Errno::PERM, Cause::ConnectedElsewhere),
            Kind::Datagram if sends && state.shut => fails(Errno::PIPE, Cause::ReceiverShutDown),
            Kind::Datagram if sends && state.full => fails(Errno::AGAIN, Cause::QueueFull),
            Kind::Datagram => Truth::nowhere(None, &[Cause::Nothing]),
            _ if state.client => fails(Errno::CONNREFUSED, Cause::IsAClient),
            _ if state.silent => fails(Errno::CONNREFUSED, Cause::NotListening),
            _ if state.shut => fails(Errno::CONNREFUSED, Cause::ListenerShutDown),
            _ if state.full => fails(Errno::AGAIN, Cause::BacklogFull),
            _ => Truth::nowhere(None, &[Cause::Nothing]),
        };
        Truth { kind_there: Some(server.kind), ..truth }
    }

    /// The plain system call that the question is about.
    pub fn call(&self, truth: &Truth) -> Call {
        let kind = kind_asked(self.operation, self.kind, truth.kind_there);
        Call { operation: self.operation, kind, address: self.address.clone() }
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
        }
    }
}
