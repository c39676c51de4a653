//! The life of a socket file: made, taken over, given up.
//!
//! | step | file |
//! |---|---|
//! | where it goes: directory, name, long paths | `place.rs` |
//! | creating the directories above it | `parents.rs` |
//! | what is there already: free, **stale**, live, not a socket | `stale.rs` |
//! | looking at a file without waiting for anyone | `seen.rs` |
//! | exact mode, owner and group | `permissions.rs` |
//! | changing what has the name: one at a time, out of others' reach, without a gap | `staging.rs`, in a `private_dir.rs` |
//! | unlinking the file, if it is still ours | `release.rs` |
//! | passed in by a service manager; telling it that we are ready | `activation.rs`, `notify.rs` |
//! | passed on to a successor | `handover.rs` |

pub mod activation;
pub mod handover;
pub mod notify;
mod parents;
mod permissions;
mod place;
mod private_dir;
mod release;
mod seen;
mod staging;
mod stale;
mod wait;

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

pub use release::SocketFile;

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::holder::{self, Holder};
use crate::listener::Connected;
use crate::socket::Socket;
use crate::sys::{self, RawAddress};
use crate::{Address, AddressError, Datagram, Kind, Listener, Policy, SeqPacket, Stream, ToAddress};
use permissions::Permissions;
use place::{Bindable, Place};
use staging::Staging;
use stale::Occupant;

pub(crate) use place::staging_path;
pub(crate) use stale::is_alive;

/// How long to wait for another process of ours that is taking over or releasing the same name.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How often to look again if a process that does not use our lock changes the name in between.
const TRIES: usize = 16;

/// How to make a server's address: a builder.
///
/// On a path, a *live* server keeps its socket: binding fails and says who holds it. A *stale*
/// file, whose server is gone, is replaced; the kernel is asked whether any socket is still bound
/// to that very inode, in whatever network namespace, so a server that has bound and does not
/// listen yet is not robbed (K-PROBE-3). Anything that is not a socket is never touched, nor
/// is a stale file of another user in a directory with the sticky bit, such as `/tmp`.
/// Processes that race for one name take turns: exactly one serves.
///
/// ```
/// use stoop::Bind;
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("run/app.sock");
/// let listener = Bind::new(&path).mode(0o660).create_parents(0o755).listen()?;
///
/// let error = Bind::new(&path).listen().unwrap_err();
/// assert!(error.is_in_use());
/// assert_eq!(error.holder().and_then(|holder| holder.pid), Some(std::process::id()));
/// # Ok::<(), stoop::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is bound until `listen`, `listen_seqpacket` or `datagram`"]
pub struct Bind {
    address: std::result::Result<Address, AddressError>,
    permissions: Permissions,
    backlog: i32,
    parents: Option<u32>,
    replace: bool,
    policy: Option<Policy>,
    pass_credentials: bool,
}

impl Bind {
    /// At this address. Text is read by [`Address::parse`]; a relative path is made absolute, so
    /// that clients and tools see where it is. [`Address::UNNAMED`] lets the kernel choose an
    /// abstract name.
    pub fn new(address: impl ToAddress) -> Bind {
        Bind {
            address: address.to_address(),
            permissions: Permissions::default(),
            backlog: i32::from(i16::MAX),
            parents: None,
            replace: false,
            policy: None,
            pass_credentials: false,
        }
    }

    /// The file's permission bits, exactly, whatever the umask; never wider for an instant. A
    /// default access control list of the directory may admit others besides. A client needs
    /// *write* permission (K-CONNECT-11). At first, what the umask leaves of 0777.
    pub fn mode(mut self, mode: u32) -> Bind {
        self.permissions.mode = Some(mode & 0o7777);
        self
    }

    /// The file's owner, by user id. Needs privilege for any but our own.
    pub fn owner(mut self, uid: u32) -> Bind {
        self.permissions.uid = Some(uid);
        self
    }

    /// The file's group, by group id: one of ours, or any with privilege.
    pub fn group(mut self, gid: u32) -> Bind {
        self.permissions.gid = Some(gid);
        self
    }

    /// How many clients may wait to be accepted; the kernel admits one more, and caps it at
    /// `net.core.somaxconn`. At first, as many as that cap allows. No effect on datagrams.
    pub fn backlog(mut self, clients: u32) -> Bind {
        self.backlog = i32::try_from(clients).unwrap_or(i32::MAX);
        self
    }

    /// Makes missing directories on the way, with exactly these permission bits.
    pub fn create_parents(mut self, mode: u32) -> Bind {
        self.parents = Some(mode & 0o7777);
        self
    }

    /// Takes the name over from a live server too, without an instant at which a client is refused:
    /// the new socket listens before it is swapped in. Clients in the old server's queue stay
    /// with the old server; see [`Listener::drain`].
    pub fn replace(mut self, on: bool) -> Bind {
        self.replace = on;
        self
    }

    /// Who may connect or send. See [`Policy`] for what holds without it.
    pub fn policy(mut self, policy: Policy) -> Bind {
        self.policy = Some(policy);
        self
    }

    /// Whether each message is to come with its sender's credentials, from the very first
    /// (K-CRED-9). Those of datagrams always do: [`Datagram::reply`] needs them.
    pub fn pass_credentials(mut self, on: bool) -> Bind {
        self.pass_credentials = on;
        self
    }

    /// Binds and listens for streams.
    ///
    /// # Errors
    /// [`ErrorKind::AddressInUse`] (with [`Error::holder`] where a live server has it),
    /// [`ErrorKind::NotFound`] for a missing directory, [`ErrorKind::PermissionDenied`],
    /// [`ErrorKind::NotPermitted`] for an owner or group we may not give,
    /// [`ErrorKind::TimedOut`] if another process of this user works on the same name for five
    /// seconds, [`ErrorKind::NotPermitted`] also if something that is not ours has the name
    /// `.NAME.stoop`, which taking over a name needs for a moment,
    /// [`ErrorKind::InvalidAddress`]. Nothing is left behind, but for a stale file
    /// where descriptors run out half way; the next bind replaces it.
    pub fn listen(&self) -> Result<Listener<Stream>> {
        self.listener()
    }

    /// Binds and listens for seqpacket connections. As [`Bind::listen`].
    ///
    /// # Errors
    /// As [`Bind::listen`].
    pub fn listen_seqpacket(&self) -> Result<Listener<SeqPacket>> {
        self.listener()
    }

    /// Binds a datagram socket. As [`Bind::listen`]. The file is removed when the socket is
    /// dropped. The kernel adds its sender's credentials to each message (`SO_PASSCRED`), which
    /// plain receives do not see (K-CRED-16).
    ///
    /// # Errors
    /// As [`Bind::listen`].
    pub fn datagram(&self) -> Result<Datagram> {
        let (socket, file, policy) = self.open(Kind::Datagram)?;
        Ok(Datagram::server(socket, file, policy))
    }

    fn listener<C: Connected>(&self) -> Result<Listener<C>> {
        let (socket, file, policy) = self.open(C::KIND)?;
        Ok(Listener::new(socket, file, policy))
    }

    fn open(&self, kind: Kind) -> Result<(Socket, Option<SocketFile>, Policy)> {
        let address = self.address.clone().map_err(|error| Error::address(Operation::Bind, &error))?;
        let policy = self.policy_for(&address);
        let make = || self.socket(kind, &policy);
        let bound = match address.as_path() {
            Some(path) => self.bind_path(&make, path).map(|(socket, file)| (socket, Some(file))),
            None => self.bind_name(&make, &address).map(|socket| (socket, None)),
        };
        let (socket, file) = bound.map_err(|error| error.on(&address).of_kind(kind))?;
        Ok((socket, file, policy))
    }

    /// A new socket, with everything set on it that has to be set before anybody can reach it.
    fn socket(&self, kind: Kind, policy: &Policy) -> Result<Socket> {
        let socket = Socket::new(kind).map_err(binding)?;
        apply_policy(&socket, policy)?;
        if self.pass_credentials {
            socket.set_pass_credentials(true)?;
        }
        Ok(socket)
    }

    fn policy_for(&self, address: &Address) -> Policy {
        self.policy.clone().unwrap_or_else(|| Policy::default_at(address))
    }

    fn bind_name(&self, make: &dyn Fn() -> Result<Socket>, address: &Address) -> Result<Socket> {
        let socket = make()?;
        let raw = address.as_abstract().map_or(RawAddress::autobind(), RawAddress::abstract_name);
        sys::bind(socket.as_fd(), &raw).map_err(binding).map_err(|error| match error.is_in_use() {
            true => held(
                error,
                holder::of_abstract_name(address.as_abstract().unwrap_or_default(), socket.kind()),
            ),
            false => error,
        })?;
        self.start(&socket)?;
        Ok(socket)
    }

    /// Begins to listen, where the kind has that.
    fn start(&self, socket: &Socket) -> Result<()> {
        match socket.kind().is_connected() {
            true => sys::listen(socket.as_fd(), self.backlog).map_err(binding),
            false => Ok(()),
        }
    }

    fn bind_path(
        &self,
        make: &dyn Fn() -> Result<Socket>,
        path: &std::path::Path,
    ) -> Result<(Socket, SocketFile)> {
        if let Some(mode) = self.parents {
            parents::create_parents(path, mode)?;
        }
        let place = Place::open(path)?;
        for _ in 0..TRIES {
            // A socket can be bound only once, so each try has its own (K-BIND-12).
            let socket = make()?;
            let placed = match (stale::examine(&place)?, place.bindable()) {
                // Binding is exclusive by itself: no lock, and nothing but the socket is ever in the
                // directory.
                (Occupant::Nothing, Some(bindable)) if !Staging::is_there(&place) => {
                    self.bind_directly(&socket, &place, &bindable, None)
                }
                (Occupant::Live(file), _) if !self.replace => {
                    return Err(held(taken(), holder::of_file(file)));
                }
                (Occupant::Unknown(detail), _) => return Err(taken().with_detail(detail)),
                _ => self.bind_staged(&socket, &Staging::enter(&place, LOCK_WAIT)?, &place),
            };
            match placed {
                // Another process was faster: look again.
                Err(error) if error.is_in_use() && error.holder().is_none() => {}
                placed => return placed.map(|file| (socket, file)),
            }
        }
        Err(taken().with_detail("another process keeps binding and removing the same name"))
    }

    /// Binds under the final name, which is free: tools then show the path as it is, for ever
    /// (K-NAME-1).
    fn bind_directly(
        &self,
        socket: &Socket,
        place: &Place,
        bindable: &Bindable,
        staging: Option<&Staging>,
    ) -> Result<SocketFile> {
        self.permissions.before_bind(socket)?;
        let reserved = place.reserve()?;
        sys::bind(socket.as_fd(), &bindable.raw).map_err(binding)?;
        drop(reserved);
        let file = SocketFile::new(place, place.bound_file(socket)?)?;
        match self.finish(socket, &file) {
            Ok(()) => Ok(file),
            Err(error) => {
                // Where this call has no lock yet, the drop takes it.
                if let Some(staging) = staging {
                    file.discard(staging);
                }
                Err(error)
            }
        }
    }

    /// Takes a name that is not free, or too long for the kernel to bind, under the lock. What has
    /// it is looked at once more.
    fn bind_staged(&self, socket: &Socket, staging: &Staging, place: &Place) -> Result<SocketFile> {
        match stale::examine(place)? {
            Occupant::Live(file) if self.replace => {
                let new = self.bind_inside(socket, staging)?;
                return staging.publish_over(new, file);
            }
            Occupant::Live(file) => return Err(held(taken(), holder::of_file(file))),
            Occupant::Unknown(detail) => return Err(taken().with_detail(detail)),
            Occupant::Stale(file) => staging.remove(file).map_err(|errno| binding(errno.into()))?,
            Occupant::Nothing => {}
        }
        match place.bindable() {
            Some(bindable) => self.bind_directly(socket, place, &bindable, Some(staging)),
            // Under a short name first, then moved.
            None => staging.publish_new(self.bind_inside(socket, staging)?),
        }
    }

    /// Binds in the staging directory, with its permissions and listening: ready to be published.
    fn bind_inside(&self, socket: &Socket, staging: &Staging) -> Result<SocketFile> {
        self.permissions.before_bind(socket)?;
        let file = staging.bind(socket)?;
        match self.finish(socket, &file) {
            Ok(()) => Ok(file),
            Err(error) => Err(staging.give_up(file, error)),
        }
    }

    /// Gives a bound file its permissions and lets clients come.
    fn finish(&self, socket: &Socket, file: &SocketFile) -> Result<()> {
        self.permissions.after_bind(file).and_then(|()| self.start(socket))
    }
}

/// Makes the kernel say who sends each datagram: policies ask for that, and so does
/// [`Datagram::reply`]. A socket from elsewhere is left as it is otherwise: whoever made it may
/// have refused descriptors on it.
pub(crate) fn ask_senders(socket: &Socket) -> Result<()> {
    match socket.kind() {
        Kind::Datagram => socket.set_pass_credentials(true),
        Kind::Stream | Kind::SeqPacket => Ok(()),
    }
}

/// Sets on the socket what the policy needs the kernel to do.
pub(crate) fn apply_policy(socket: &Socket, policy: &Policy) -> Result<()> {
    ask_senders(socket)?;
    match socket.set_pass_descriptors(policy.descriptors_allowed()) {
        // An older kernel: descriptors that nobody asked for are closed on arrival instead.
        Err(error) if error.is_unsupported() => Ok(()),
        result => result,
    }
}

fn binding(cause: io::Error) -> Error {
    Error::system(Operation::Bind, cause)
}

/// The error of a bind that found somebody alive.
fn held(error: Error, holder: Holder) -> Error {
    error.with_detail(format!("a live server has it: {holder}")).with_holder(holder)
}

fn taken() -> Error {
    binding(io::Error::from_raw_os_error(libc::EADDRINUSE)).with_kind(ErrorKind::AddressInUse)
}
