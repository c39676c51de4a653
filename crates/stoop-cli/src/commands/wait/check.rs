//! Checks one condition once.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use stoop::internal::{Connection, Place, Socket, responding};
use stoop::{Address, Connect, Kind, escaped};
use stoop_inspect::endpoints::Service;
use stoop_inspect::internal::run_as;
use stoop_inspect::{Inspector, Options, OwnersWanted, Snapshot, SocketIno, State};

use super::args::Wait;
use super::health::{HealthCheck, greeting};
use crate::args::SocketSelector;
use crate::deadline::Deadline;
use crate::failure::{Failure, describe};
use crate::sockets::ResolvedSelector;
use crate::target::kind_of;

/// The delay before a connection is looked at again, while the server has not accepted it.
const ACCEPT_INTERVAL: Duration = Duration::from_millis(20);

/// What was found.
#[derive(Debug)]
pub(super) enum Observed {
    /// The condition is met at this address.
    Met(Address),
    /// It is not met, for this reason.
    NotYet(String),
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Exists,
    Listening,
    Accepting,
    Healthy,
}

impl Condition {
    /// Returns the condition that the flags ask for.
    pub(super) fn of(flags: &Wait) -> Condition {
        let conditions = &flags.conditions;
        match (conditions.exists, conditions.accepting, conditions.healthy) {
            (true, ..) => Condition::Exists,
            (_, true, _) => Condition::Accepting,
            (_, _, true) => Condition::Healthy,
            _ => Condition::Listening,
        }
    }

    /// Returns the word for it in JSON, which is that of its flag.
    pub(super) fn word(self) -> &'static str {
        match self {
            Condition::Exists => "exists",
            Condition::Listening => "listening",
            Condition::Accepting => "accepting",
            Condition::Healthy => "healthy",
        }
    }

    /// Returns how a server is described that does not meet it.
    pub(super) fn unmet(self) -> &'static str {
        match self {
            Condition::Exists => "does not exist",
            Condition::Listening => "is not listening",
            Condition::Accepting => "does not accept a connection",
            Condition::Healthy => "is not healthy",
        }
    }
}

/// Checks the condition once.
pub(super) fn check(flags: &Wait, condition: Condition, limit: &Deadline) -> Result<Observed, Failure> {
    let (target, _) = flags.address.target()?;
    let Place::Address(address) = target.place.clone() else {
        return Err(Failure::usage(
            format!("'{target}' is not an address that a server can have"),
            "a path, or an abstract name such as '@name', is needed",
        ));
    };
    let kind = kind_of(&target, None)?;
    let found = match condition {
        Condition::Exists => exists(&address),
        Condition::Listening => listening(flags, &address, kind)?,
        Condition::Accepting => accepting(&address, kind, limit),
        Condition::Healthy => match HealthCheck::of(&address, flags.protocol, flags.path.as_deref()) {
            Some(check) => healthy(&address, &check, limit),
            None => healthy_unknown(flags, &address, limit)?,
        },
    };
    Ok(match found {
        Ok(()) => Observed::Met(address),
        Err(reason) => Observed::NotYet(reason),
    })
}

fn exists(address: &Address) -> Result<(), String> {
    match address.as_pathname() {
        Some(path) => match responding::metadata(path) {
            Ok(file) if file.file_type().is_socket() => Ok(()),
            Ok(_) => Err("the file is not a socket".into()),
            Err(error) => Err(describe(&error)),
        },
        None => match table(address).sockets.iter().any(|socket| socket.name == *address) {
            true => Ok(()),
            false => Err("no socket of this network namespace has this name".into()),
        },
    }
}

/// Looks for a listener in the kernel's table. Connects to nothing.
fn listening(flags: &Wait, address: &Address, kind: Option<Kind>) -> Result<Result<(), String>, Failure> {
    if let Err(reason) = exists(address) {
        return Ok(Err(reason));
    }
    let snapshot = table(address);
    let selector = ResolvedSelector::new(&SocketSelector::At(flags.address.clone()))?;
    let bound: Vec<_> = selector.find(&snapshot).into_iter().map(|id| &snapshot[id]).collect();
    let serves = |socket: &&&stoop_inspect::Socket| match socket.state {
        State::Listening => !socket.shutdown.0,
        _ => socket.kind == Some(Kind::Datagram),
    };
    let is_wanted = |socket: &&&stoop_inspect::Socket| kind.is_none() || socket.kind == kind;
    Ok(match (bound.iter().filter(serves).any(|socket| is_wanted(&socket)), bound.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => Err("the socket file is stale: no socket is bound to it".into()),
        (false, false) => Err(match bound.iter().find_map(|socket| socket.kind) {
            Some(found) if bound.iter().all(|socket| kind.is_some() && socket.kind != kind) => {
                format!("a socket of another kind is bound to it: {found}")
            }
            _ => "a socket is bound to it, and no process listens".into(),
        }),
    })
}

/// Connects, and waits until the server has accepted the connection.
fn accepting(address: &Address, kind: Option<Kind>, limit: &Deadline) -> Result<(), String> {
    let connection = connect(address, kind, limit)?;
    let socket: &Socket = match &connection {
        Connection::Stream(socket) => socket.as_ref(),
        Connection::SeqPacket(socket) => socket.as_ref(),
        Connection::Datagram(_) => return Ok(()),
    };
    let own = rustix::fs::fstat(socket.as_fd()).map_err(|error| io::Error::from(error).to_string())?.st_ino;
    loop {
        let snapshot = table(address);
        // The table has 32 bits of an inode.
        let own = snapshot.sockets.iter().find(|socket| socket.ino == SocketIno(own as u32));
        match own.map(|socket| socket.state) {
            Some(State::Waiting) => {}
            // Reset: the listener was closed before it accepted (K-ACCEPT-2).
            _ if matches!(socket.take_error(), Ok(Some(_))) => {
                return Err("it closed its listening socket".into());
            }
            _ => return Ok(()),
        }
        if limit.left().is_none_or(|left| left <= ACCEPT_INTERVAL) {
            return Err("it listens, and does not accept: a connection waits in its backlog".into());
        }
        std::thread::sleep(ACCEPT_INTERVAL);
    }
}

fn healthy(address: &Address, check: &HealthCheck, limit: &Deadline) -> Result<(), String> {
    match connect(address, Some(Kind::Stream), limit)? {
        Connection::Stream(stream) => check.make(stream, limit),
        _ => Err("it is not a stream socket".into()),
    }
}

/// Checks a server whose protocol does not follow from its address. Its process may be known by its
/// command, else the server may say what it is: nothing is sent that it may not understand.
fn healthy_unknown(flags: &Wait, address: &Address, limit: &Deadline) -> Result<Result<(), String>, Failure> {
    if let Err(reason) = listening(flags, address, Some(Kind::Stream))? {
        return Ok(Err(reason));
    }
    let path = flags.path.as_deref();
    let by_command = services_run(flags, address)?;
    if let Some(check) = by_command.and_then(|service| HealthCheck::of_service(service, path)) {
        return Ok(healthy(address, &check, limit));
    }
    let stream = match connect(address, Some(Kind::Stream), limit) {
        Ok(Connection::Stream(stream)) => stream,
        Ok(_) => return Ok(Err("it is not a stream socket".into())),
        Err(error) => return Ok(Err(error)),
    };
    match greeting(&stream) {
        // A server that greets, works.
        Ok(_) => Ok(Ok(())),
        Err(said) => Err(unknown_protocol(address, &said)),
    }
}

fn unknown_protocol(address: &Address, said: &[u8]) -> Failure {
    let seen = match said {
        [] => "neither its address nor its program is that of a known service".to_owned(),
        said => format!("it says '{}', and is no known service", escaped(said)),
    };
    Failure::usage(
        format!("the health of '{address}' cannot be asked for"),
        format!("its protocol is not known: add --protocol; {seen}"),
    )
}

/// Returns the service whose command the processes have that listen at the address.
fn services_run(flags: &Wait, address: &Address) -> Result<Option<&'static Service>, Failure> {
    let mut options = Options::default();
    options.all_namespaces = address.as_pathname().is_some();
    options.workloads = false;
    let snapshot = Inspector::new(options).snapshot();
    let selector = ResolvedSelector::new(&SocketSelector::At(flags.address.clone()))?;
    let listeners = selector.find(&snapshot).into_iter().map(|id| &snapshot[id]);
    let owners =
        listeners.filter(|socket| socket.state == State::Listening).flat_map(|socket| &socket.owners);
    let mut commands = owners.filter_map(|owner| Some(&snapshot.processes.get(&owner.pid)?.command));
    Ok(commands.find_map(|command| run_as(command, address)))
}

fn connect(address: &Address, kind: Option<Kind>, limit: &Deadline) -> Result<Connection, String> {
    // The timeout of a connection does not end the lookup of its path.
    address.as_pathname().map_or(Ok(()), responding::check).map_err(|error| error.to_string())?;
    let connect = Connect::new(address);
    let connect = limit.left().map_or(connect.clone(), |left| connect.timeout(left));
    let connected = match kind {
        None => connect.any(),
        Some(Kind::Stream) => connect.stream().map(Connection::Stream),
        Some(Kind::SeqPacket) => connect.seqpacket().map(Connection::SeqPacket),
        Some(Kind::Datagram) => connect.datagram().map(Connection::Datagram),
    };
    connected.map_err(|error| error.to_string())
}

/// Returns the sockets that may be at this address, without the processes that own them. An
/// abstract name means a socket of our own network namespace. A file may belong to a socket of any.
fn table(address: &Address) -> Snapshot {
    let mut options = Options::default();
    options.owners = OwnersWanted::No;
    options.all_namespaces = address.as_pathname().is_some();
    options.sure = false;
    options.workloads = false;
    Inspector::new(options).snapshot()
}
