//! Binding a server: [`Bind`], and what servers do with their sockets besides accepting.
//!
//! | task | file |
//! |---|---|
//! | the builder | `mod.rs`; `server_options` binds |
//! | socket activation and `sd_notify` | `activation.rs`, `notify.rs` |
//! | handing sockets over to a successor process | `handover.rs` |
//! | waiting until a deadline | `wait.rs` |

pub mod activation;
pub mod handover;
pub mod notify;
mod wait;

use self::activation::Activation;
use crate::error::Result;
use crate::listener::Connected;
use crate::server_options::ServerOptions;
use crate::socket::Socket;
use crate::socket_file::SocketFile;
use crate::{Datagram, Kind, Listener, Policy, SeqPacket, Stream, ToAddress};

/// Builder for binding a server socket.
///
/// If the address is a path and a file exists there, the outcome depends on the file:
///
/// - A socket file with a *live* server is kept, and binding fails.
///   [`Holder::find`](crate::Holder::find) finds the process that has the socket.
/// - A *stale* socket file, whose server has exited, is replaced. The kernel is asked whether any
///   socket in any network namespace is still bound to that inode. A server that has bound but does
///   not listen yet therefore keeps its file ([K-PROBE-3]).
/// - A socket file whose server may be on another machine, or bound through another mount of the
///   same files, is kept: on NFS, 9p, virtiofs, FUSE and other file systems that this kernel does
///   not have for itself ([K-PROBE-10]). See [`Bind::assume_stale`].
/// - A file that is not a socket is never touched. Neither is another user's stale file in a
///   directory with the sticky bit, such as `/tmp`.
///
/// If several processes bind the same name concurrently, they take turns, and exactly one of them
/// serves.
///
/// ```
/// use stoop::{Bind, Holder};
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("run/app.sock");
/// let listener = Bind::new(&path).mode(0o660).create_parents(0o755).listen()?;
///
/// let error = Bind::new(&path).listen().unwrap_err();
/// assert!(error.is_in_use());
/// let holder = error.subject().and_then(|address| Holder::find(address, None));
/// assert_eq!(holder.and_then(|holder| holder.pid), Some(std::process::id()));
/// # Ok::<(), stoop::Error>(())
/// ```
///
/// [K-PROBE-3]: crate::kernel_facts#K-PROBE-3
/// [K-PROBE-10]: crate::kernel_facts#K-PROBE-10
#[doc(alias("bind", "socket", "unlink"))]
#[derive(Clone, Debug)]
#[must_use = "nothing is bound until `listen`, `listen_seqpacket` or `datagram`"]
pub struct Bind {
    options: ServerOptions,
    activated: bool,
}

impl Bind {
    /// Creates a builder for a server socket at this address.
    ///
    /// Text and bytes are a path, exactly as they are (see [`ToAddress`]). With
    /// [`Address::UNNAMED`] the kernel chooses an abstract name.
    ///
    /// A relative path is made absolute, so that peers and tools see the full path. If that is too
    /// long for the kernel (108 bytes), the socket is bound to the relative path, as std does:
    /// peers in the same working directory can send to it.
    ///
    /// ```
    /// use stoop::{Address, Bind, Listener};
    ///
    /// // The kernel chooses an abstract name.
    /// let listener: Listener = Bind::new(Address::UNNAMED).listen()?;
    /// assert!(listener.local_addr()?.as_abstract_name().is_some());
    ///
    /// let error = Bind::new("").listen().unwrap_err(); // reported by the call that binds
    /// assert_eq!(error.kind(), stoop::ErrorKind::InvalidAddress);
    ///
    /// // An abstract name has no file, so a mode would have no effect.
    /// let error = Bind::new(Address::UNNAMED).mode(0o600).listen().unwrap_err();
    /// assert_eq!(error.kind(), stoop::ErrorKind::InvalidInput);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// [`Address::UNNAMED`]: crate::Address::UNNAMED
    pub fn new(address: impl ToAddress) -> Bind {
        Bind { options: ServerOptions::new(address), activated: false }
    }

    /// Sets the permission bits of the socket file, regardless of the umask.
    ///
    /// The file is never more permissive, not even briefly. A default access control list of the
    /// directory may grant access to further users. A client needs *write* permission to connect
    /// ([K-CONNECT-11]). The default is 0777 minus the umask.
    ///
    /// ```
    /// use std::os::unix::fs::PermissionsExt;
    /// use stoop::Bind;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).mode(0o666).listen()?; // whatever the umask is
    /// assert_eq!(path.metadata()?.permissions().mode() & 0o7777, 0o666);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [K-CONNECT-11]: crate::kernel_facts#K-CONNECT-11
    #[doc(alias("chmod", "umask"))]
    pub fn mode(mut self, mode: u32) -> Bind {
        self.options.file.permissions.mode = Some(mode & 0o7777);
        self
    }

    /// Sets the owner of the socket file, by user id. Any user but the caller's own requires
    /// privilege.
    ///
    /// ```
    /// use std::os::unix::fs::MetadataExt;
    /// use stoop::Bind;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let own = directory.path().metadata()?.uid();
    /// let listener = Bind::new(&path).owner(own).listen()?;
    /// assert_eq!(path.metadata()?.uid(), own);
    ///
    /// // Nothing is left behind if the kernel refuses.
    /// let other = directory.path().join("other.sock");
    /// if let Err(error) = Bind::new(&other).owner(own + 1).listen() {
    ///     assert!(error.is_permission() && !other.exists());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "chown")]
    pub fn owner(mut self, uid: u32) -> Bind {
        self.options.file.permissions.uid = Some(uid);
        self
    }

    /// Sets the group of the socket file, by group id. A group that the process is not in requires
    /// privilege.
    ///
    /// ```
    /// use std::os::unix::fs::MetadataExt;
    /// use stoop::Bind;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let gid = directory.path().metadata()?.gid();
    /// // Group members may connect; all other users may not.
    /// let listener = Bind::new(&path).group(gid).mode(0o660).listen()?;
    /// assert_eq!(path.metadata()?.gid(), gid);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "chgrp")]
    pub fn group(mut self, gid: u32) -> Bind {
        self.options.file.permissions.gid = Some(gid);
        self
    }

    /// Sets the number of connections that may wait to be accepted (the `backlog` of `listen(2)`).
    ///
    /// The kernel queues one more than that, and caps the value at `net.core.somaxconn`. The
    /// default is that cap. Datagram sockets ignore this.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::{Bind, Connect};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).backlog(1).listen()?;
    /// let connect = Connect::new(&path).timeout(Duration::from_millis(5));
    /// let _waiting = [connect.stream()?, connect.stream()?]; // one more than the backlog
    ///
    /// assert!(connect.stream().unwrap_err().is_timed_out());
    /// listener.accept()?;
    /// assert!(connect.stream().is_ok());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias("listen", "SOMAXCONN"))]
    pub fn backlog(mut self, clients: u32) -> Bind {
        self.options.backlog = i32::try_from(clients).unwrap_or(i32::MAX);
        self
    }

    /// Creates missing parent directories, with exactly these permission bits.
    ///
    /// ```
    /// use std::os::unix::fs::PermissionsExt;
    /// use stoop::Bind;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// let path = directory.path().join("run/app/app.sock");
    /// assert!(Bind::new(&path).listen().unwrap_err().is_not_found());
    ///
    /// let listener = Bind::new(&path).create_parents(0o750).listen()?;
    /// for parent in ["run", "run/app"] {
    ///     let mode = directory.path().join(parent).metadata()?.permissions().mode();
    ///     assert_eq!(mode & 0o7777, 0o750);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "mkdir")]
    pub fn create_parents(mut self, mode: u32) -> Bind {
        self.options.file.parents = Some(mode & 0o7777);
        self
    }

    /// Allows taking the name over from a live server. The default is `false`.
    ///
    /// The new socket listens before it is swapped in, so no client is refused in between. Clients
    /// in the old server's queue stay with the old server; see [`Listener::drain`].
    ///
    /// ```
    /// use stoop::{Bind, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let old = Bind::new(&path).listen()?;
    /// let _early = Stream::connect(&path)?;
    ///
    /// let new = Bind::new(&path).replace(true).listen()?;
    /// let _late = Stream::connect(&path)?;
    /// assert_eq!(old.drain()?.count(), 1); // the early client is still the old server's
    /// assert_eq!(new.drain()?.count(), 1);
    ///
    /// drop(old); // leaves the file alone: it is the new server's
    /// assert!(path.exists());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias("EADDRINUSE", "SO_REUSEADDR"))]
    pub fn replace(mut self, on: bool) -> Bind {
        self.options.file.replace = on;
        self
    }

    /// Sets whether a socket file is replaced as stale if its server could only be on another
    /// machine, or bound through another mount of the same files. The default is `false`: binding
    /// then fails with [`ErrorKind::LivenessUnknown`](crate::ErrorKind::LivenessUnknown).
    ///
    /// Set it if no other machine, container or mount serves at this path. On a file system that
    /// this machine has for itself it has no effect. A file whose server is found is kept in any
    /// case. [`Bind::replace`] includes it.
    ///
    /// ```
    /// use stoop::Bind;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).assume_stale(true).listen()?;
    /// let error = Bind::new(&path).assume_stale(true).listen().unwrap_err();
    /// assert!(error.is_in_use()); // a live server keeps its file
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias("NFS", "FUSE", "9p", "virtiofs"))]
    pub fn assume_stale(mut self, on: bool) -> Bind {
        self.options.file.assume_stale = on;
        self
    }

    /// Takes over the name of a live server, with the permissions of its file, and gives it back on
    /// release.
    pub(crate) fn interpose(mut self) -> Bind {
        self.options.file.interpose = true;
        self
    }

    /// Sets the policy: which clients may connect or send. See [`Policy`] for the default.
    ///
    /// ```
    /// use stoop::{Bind, Policy, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).policy(Policy::nobody()).listen()?;
    /// listener.set_nonblocking(true)?;
    /// let client = Stream::connect(&path)?; // the kernel connects it
    /// assert!(listener.accept().unwrap_err().is_would_block()); // the policy closes it
    /// assert_eq!(listener.counts().refused, 1);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn policy(mut self, policy: Policy) -> Bind {
        self.options.policy = Some(policy);
        self
    }

    /// Sets whether each message carries its sender's credentials (`SO_PASSCRED`), beginning with
    /// the first ([K-CRED-9]).
    ///
    /// The default is `false`. Datagram sockets always receive credentials, because
    /// [`Datagram::reply`] needs them.
    ///
    /// ```
    /// use std::io::{IoSliceMut, Write};
    /// use stoop::{Allow, Bind, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).pass_credentials(true).listen()?;
    /// Stream::connect(&path)?.write_all(b"hello")?;
    ///
    /// let (server, _) = listener.accept()?;
    /// let received = server.recv_with(&mut [IoSliceMut::new(&mut [0; 8])], Allow::NOTHING)?;
    /// let sender = received.credentials.map(|credentials| credentials.pid);
    /// assert_eq!(sender, Some(std::process::id()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [K-CRED-9]: crate::kernel_facts#K-CRED-9
    #[doc(alias = "SO_PASSCRED")]
    pub fn pass_credentials(mut self, on: bool) -> Bind {
        self.options.pass_credentials = on;
        self
    }

    /// Sets whether the socket that a service manager passed to this process is used in place of a
    /// new one (socket activation). The default is `false`.
    ///
    /// The policy and [`Bind::pass_credentials`] apply to it. Its file is the service manager's: it
    /// is never removed, and its owner, group and backlog stay as they are. It must be bound to the
    /// address of this builder, and its file must not let more users connect than [`Bind::mode`].
    ///
    /// If no socket was passed, or it was taken before, a new socket is bound. The call that binds
    /// takes all passed sockets. If a unit has several, use [`activation::take`] and
    /// [`Listener::set_policy`].
    ///
    /// ```
    /// use stoop::{Bind, Policy};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let bind = Bind::new(&path).mode(0o600).policy(Policy::same_user()).activated(true);
    /// let listener = bind.listen()?; // no service manager started this process
    /// assert!(listener.file().is_some());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// The call that binds also fails if
    ///
    /// - the variables are malformed, or more than one socket was passed ([`ErrorKind::Protocol`]);
    /// - the socket is bound to another address, is a connection, or has a file that more users can
    ///   connect to ([`ErrorKind::Protocol`]);
    /// - it cannot be used for another reason, with the kinds of the conversion of
    ///   [`activation::Passed`] into a [`Listener`].
    ///
    /// [`ErrorKind::Protocol`]: crate::ErrorKind::Protocol
    pub fn activated(mut self, on: bool) -> Bind {
        self.activated = on;
        self
    }

    /// Binds a stream socket and listens on it.
    ///
    /// ```
    /// use stoop::{Bind, ErrorKind};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// // A stale file is replaced: its server has exited.
    /// drop(std::os::unix::net::UnixListener::bind(&path)?);
    /// let listener = Bind::new(&path).listen()?;
    /// drop(listener);
    /// assert!(!path.exists());
    ///
    /// // Any other file stays as it is.
    /// std::fs::write(&path, "precious")?;
    /// let error = Bind::new(&path).replace(true).listen().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::AddressInUse);
    /// assert_eq!(std::fs::read(&path)?, b"precious");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - a live server has the address ([`ErrorKind::AddressInUse`]);
    /// - the path has a file that is never replaced: not a socket, another user's stale file in a
    ///   directory with the sticky bit, or one that cannot be probed ([`ErrorKind::AddressInUse`]);
    /// - the path has a socket file whose server may be on another machine, or bound through
    ///   another mount ([`ErrorKind::LivenessUnknown`]);
    /// - the directory does not exist ([`ErrorKind::NotFound`]);
    /// - the file system does not support sockets ([`ErrorKind::Unsupported`]);
    /// - the process may not create the file there ([`ErrorKind::PermissionDenied`]);
    /// - the process may not set the mode, owner or group ([`ErrorKind::NotPermitted`]);
    /// - a foreign file has the name `.NAME.stoop`, which is needed briefly to replace a name
    ///   ([`ErrorKind::NotPermitted`]);
    /// - another process of this user holds the lock on the same name for five seconds
    ///   ([`ErrorKind::TimedOut`]);
    /// - the address is invalid ([`ErrorKind::InvalidAddress`]);
    /// - the address is an abstract name, which has no file, and a mode, owner, group or parent
    ///   directories are requested ([`ErrorKind::InvalidInput`]).
    ///
    /// Nothing is left behind, with one exception: if the process runs out of file descriptors
    /// halfway, a stale file may remain. The next bind replaces it.
    ///
    /// [`ErrorKind::AddressInUse`]: crate::ErrorKind::AddressInUse
    /// [`ErrorKind::NotFound`]: crate::ErrorKind::NotFound
    /// [`ErrorKind::PermissionDenied`]: crate::ErrorKind::PermissionDenied
    /// [`ErrorKind::NotPermitted`]: crate::ErrorKind::NotPermitted
    /// [`ErrorKind::TimedOut`]: crate::ErrorKind::TimedOut
    /// [`ErrorKind::InvalidAddress`]: crate::ErrorKind::InvalidAddress
    /// [`ErrorKind::InvalidInput`]: crate::ErrorKind::InvalidInput
    /// [`ErrorKind::LivenessUnknown`]: crate::ErrorKind::LivenessUnknown
    /// [`ErrorKind::Unsupported`]: crate::ErrorKind::Unsupported
    pub fn listen(&self) -> Result<Listener<Stream>> {
        self.listener()
    }

    /// Binds a seqpacket socket and listens on it. Apart from the socket type, this is
    /// [`Bind::listen`].
    ///
    /// ```
    /// use stoop::{Bind, SeqPacket};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen_seqpacket()?;
    /// let client = SeqPacket::connect(&path)?;
    /// client.send(b"one")?;
    /// client.send(b"two")?;
    /// let (server, _) = listener.accept()?;
    /// assert_eq!(server.recv_vec()?.as_deref(), Some(&b"one"[..])); // boundaries are kept
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the address is in use or cannot be bound; [`Bind::listen`] lists the
    /// cases.
    pub fn listen_seqpacket(&self) -> Result<Listener<SeqPacket>> {
        self.listener()
    }

    /// Binds a datagram socket. The socket file is removed when the socket is dropped.
    ///
    /// The kernel attaches the sender's credentials to each message (`SO_PASSCRED`). Plain receives
    /// do not see them ([K-CRED-16]).
    ///
    /// ```
    /// use stoop::{Bind, Datagram};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram()?;
    /// Datagram::client(&path)?.send(b"hello")?;
    /// assert_eq!(server.recv_vec()?.0, b"hello");
    /// drop(server);
    /// assert!(!path.exists());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the address is in use or cannot be bound; [`Bind::listen`] lists the
    /// cases.
    ///
    /// [K-CRED-16]: crate::kernel_facts#K-CRED-16
    pub fn datagram(&self) -> Result<Datagram> {
        let (socket, file, policy) = self.open(Kind::Datagram)?;
        Ok(Datagram::server(socket, file, policy))
    }

    fn listener<C: Connected>(&self) -> Result<Listener<C>> {
        let (socket, file, policy) = self.open(C::KIND)?;
        Ok(Listener::new(socket, file, policy))
    }

    fn open(&self, kind: Kind) -> Result<(Socket, Option<SocketFile>, Policy)> {
        match self.passed(kind)? {
            Some((socket, policy)) => Ok((socket, None, policy)),
            None => self.options.bind(kind),
        }
    }

    /// Returns the socket that a service manager passed, if it is to be used, and its policy.
    fn passed(&self, kind: Kind) -> Result<Option<(Socket, Policy)>> {
        if !self.activated {
            return Ok(None);
        }
        let Activation::Sockets(sockets) = activation::take()? else { return Ok(None) };
        let (passed, address) = (sockets.only()?, self.options.address()?);
        passed.expect_place(&address, self.options.file.permissions.mode)?;
        let (socket, policy) = (passed.into_server(kind)?, self.options.policy_for(&address));
        self.options.configure(&socket, &policy)?;
        Ok(Some((socket, policy)))
    }

    /// Closes the passed sockets, if they would have been used: a service manager passes a
    /// successor the very socket that its predecessor hands over, and children must not inherit it.
    fn close_passed(&self) {
        if self.activated {
            drop(activation::take());
        }
    }
}
