//! From an address on the command line to an open socket: binds and connects, with the flags that
//! apply. Inherited file descriptors are in `inherited.rs`.

use std::time::Duration;

use stoop::internal::{Connection, Operation, Place, Socket, Target, responding};
use stoop::{Address, Bind, Connect, Datagram, Kind, Listener, Policy, SeqPacket, SocketFile, Stream};

use crate::args::{BindFlags, ConnectFlags};
use crate::exit::Exit;
use crate::failure::{Failure, operation_flag};
use crate::shell;

/// The permission bits of directories created by `--mkdir`.
const DIRECTORY_MODE: u32 = 0o755;

/// A server's socket, of any kind.
#[derive(Debug)]
pub(crate) enum BoundSocket {
    Stream(Listener<Stream>),
    SeqPacket(Listener<SeqPacket>),
    Datagram(Datagram),
}

impl BoundSocket {
    /// Returns the socket.
    pub(crate) fn socket(&self) -> &Socket {
        match self {
            BoundSocket::Stream(listener) => listener.as_ref(),
            BoundSocket::SeqPacket(listener) => listener.as_ref(),
            BoundSocket::Datagram(socket) => socket.as_ref(),
        }
    }

    /// Returns the kind of its socket.
    pub(crate) fn kind(&self) -> Kind {
        self.socket().kind()
    }

    pub(crate) fn set_policy(&mut self, policy: Policy) -> stoop::Result<()> {
        match self {
            BoundSocket::Stream(listener) => listener.set_policy(policy),
            BoundSocket::SeqPacket(listener) => listener.set_policy(policy),
            BoundSocket::Datagram(socket) => socket.set_policy(policy),
        }
    }

    /// Returns the socket file that it created, if any.
    pub(crate) fn file(&self) -> Option<&SocketFile> {
        match self {
            BoundSocket::Stream(listener) => listener.file(),
            BoundSocket::SeqPacket(listener) => listener.file(),
            BoundSocket::Datagram(socket) => socket.file(),
        }
    }
}

/// The reason why a file descriptor or a name of another sort has no address.
pub(crate) const NOT_AN_ADDRESS: &str =
    "it is not an address: a path, or an abstract name such as '@name', is needed";

/// Returns the kind that was asked for, in front of the address or by `--kind`, if any.
pub(crate) fn kind_of(target: &Target, flag: Option<Kind>) -> Result<Option<Kind>, Failure> {
    match (target.kind, flag) {
        (Some(one), Some(other)) if one != other => Err(Failure::usage(
            format!("'{target}' cannot be used with --kind {other}"),
            format!("the address says that its socket is a {one} socket"),
        )),
        (one, other) => Ok(one.or(other)),
    }
}

/// Binds a server's address: of the kind asked for, else of `default_kind`. `adjust` may change the
/// bind that the flags describe.
pub(crate) fn serve(
    target: &Target,
    default_kind: Kind,
    flags: &BindFlags,
    adjust: impl FnOnce(Bind, Kind) -> Bind,
) -> Result<BoundSocket, Failure> {
    let kind = kind_of(target, flags.kind.kind)?;
    let address = match &target.place {
        Place::Address(address) => address,
        _ => return Err(Failure::usage(format!("'{target}' cannot be served"), NOT_AN_ADDRESS)),
    };
    if address.as_pathname().is_none() {
        refuse(&about_the_file(flags), target, "an abstract name has no file, and no permissions")?;
    }
    check_responds(address, Operation::Bind)?;
    let kind = kind.unwrap_or(default_kind);
    let bind = adjust(bind(address, flags), kind);
    Ok(match kind {
        Kind::Stream => BoundSocket::Stream(bind.listen()?),
        Kind::SeqPacket => BoundSocket::SeqPacket(bind.listen_seqpacket()?),
        Kind::Datagram => BoundSocket::Datagram(bind.datagram()?),
    })
}

/// A flag, and whether it was given.
pub(crate) type GivenFlag = (&'static str, bool);

/// Returns the flags that set attributes of the socket file.
pub(crate) fn about_the_file(flags: &BindFlags) -> [GivenFlag; 4] {
    [
        ("--mode", flags.mode.is_some()),
        ("--owner", flags.owner.is_some()),
        ("--group", flags.group.is_some()),
        ("--mkdir", flags.mkdir),
    ]
}

/// Refuses flags that would have no effect, naming the first one given.
pub(crate) fn refuse(flags: &[GivenFlag], subject: impl std::fmt::Display, why: &str) -> Result<(), Failure> {
    let Some((flag, _)) = flags.iter().find(|(_, given)| *given) else { return Ok(()) };
    let what = format!("{flag} cannot be used with '{subject}'");
    let report = Failure::new(Exit::Usage, what).why(why);
    Err(report.next("stoop serve --help    # --allow-uid and --allow-gid work for any socket").into())
}

/// Returns the builder that the flags describe.
pub(crate) fn bind(address: &Address, flags: &BindFlags) -> Bind {
    let mut bind = Bind::new(address)
        .replace(flags.replace)
        .assume_stale(flags.assume_stale)
        .policy(policy(address, flags));
    if let Some(mode) = flags.mode {
        bind = bind.mode(mode);
    }
    if let Some(owner) = flags.owner {
        bind = bind.owner(owner);
    }
    if let Some(group) = flags.group {
        bind = bind.group(group);
    }
    if let Some(backlog) = flags.backlog {
        bind = bind.backlog(backlog);
    }
    if flags.mkdir {
        bind = bind.create_parents(DIRECTORY_MODE);
    }
    bind
}

/// Returns the policy: the clients named by the flags, else the library's default for such an
/// address.
pub(crate) fn policy(address: &Address, flags: &BindFlags) -> Policy {
    policy_of_flags(flags).unwrap_or_else(|| {
        if address.as_pathname().is_some() { Policy::everyone() } else { Policy::same_user() }
    })
}

/// Returns the policy of the users and groups that the flags name, if there are any.
pub(crate) fn policy_of_flags(flags: &BindFlags) -> Option<Policy> {
    if flags.allow_uid.is_empty() && flags.allow_gid.is_empty() {
        return None;
    }
    let named = flags.allow_uid.iter().fold(Policy::nobody(), |policy, &uid| policy.allow_uid(uid));
    Some(flags.allow_gid.iter().fold(named, |policy, &gid| policy.allow_gid(gid)))
}

/// Connects to a server: of the kind asked for, else of whichever kind it has.
pub(crate) fn connect(
    target: &Target,
    flags: &ConnectFlags,
    timeout: Option<Duration>,
) -> Result<Connection, Failure> {
    let kind = kind_of(target, flags.kind.kind)?;
    let Place::Address(address) = &target.place else {
        return Err(Failure::usage(format!("'{target}' cannot be connected to"), NOT_AN_ADDRESS));
    };
    check_responds(address, Operation::Connect)?;
    let mut connect = Connect::new(address).wait_for_server(flags.wait.unwrap_or_default());
    if let Some(timeout) = timeout {
        connect = connect.timeout(timeout);
    }
    let connection = match kind {
        Some(Kind::Stream) => Connection::Stream(connect.stream()?),
        Some(Kind::SeqPacket) => Connection::SeqPacket(connect.seqpacket()?),
        Some(Kind::Datagram) => Connection::Datagram(connect.datagram()?),
        None => connect.any()?,
    };
    match (connection, &flags.bind) {
        (Connection::Datagram(_), Some(own)) => {
            let client = Datagram::bind(own)?;
            client.connect(address)?;
            Ok(Connection::Datagram(client))
        }
        (connection, Some(_)) => Err(Failure::usage(
            "--bind requires a datagram socket",
            format!("'{target}' is a {} socket", connection.kind()),
        )),
        (connection, None) => Ok(connection),
    }
}

/// Fails if the file system of an address does not respond: the call would wait for it, whatever
/// its time limit.
pub(crate) fn check_responds(address: &Address, operation: Operation) -> Result<(), Failure> {
    let Some(path) = address.as_pathname() else { return Ok(()) };
    responding::check(path).map_err(|error| {
        let address = shell::address(address);
        let what = match operation {
            Operation::Bind => "cannot bind",
            _ => "cannot connect to",
        };
        Failure::new(Exit::Failed, format!("{what} {address}"))
            .of_call(Exit::TimedOut)
            .why(error.to_string())
            .seen(format!("it is mounted from '{}'", stoop::escaped(&error.mount.source)))
            .next(format!("stoop why {address}{}", operation_flag(operation)))
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradicting_kinds_are_rejected() {
        let target = Target::parse("dgram:/x").unwrap();
        assert_eq!(kind_of(&target, Some(Kind::Datagram)).unwrap(), Some(Kind::Datagram));
        assert!(kind_of(&target, Some(Kind::Stream)).is_err());
        let target = Target::parse("/x").unwrap();
        assert_eq!(kind_of(&target, Some(Kind::SeqPacket)).unwrap(), Some(Kind::SeqPacket));
        assert_eq!(kind_of(&target, None).unwrap(), None);
    }
}
