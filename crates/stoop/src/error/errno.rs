//! What an error number means on a Unix domain socket: its class, and its symbol.

use super::operation::Operation;

/// The class of an [`Error`](crate::Error), by what it means on a Unix domain socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text or path is not a valid address.
    InvalidAddress,
    /// `ENOENT`: nothing exists at that path. No server has been started, or its file was removed.
    NotFound,
    /// `ECONNREFUSED`: the file exists but no process listens on it, or no socket has that abstract
    /// name.
    Refused,
    /// `EPROTOTYPE`: the socket there is of another kind.
    WrongKind,
    /// `EACCES`: no search permission for a directory of the path, or no write permission for the
    /// socket file (for a server: the directory).
    PermissionDenied,
    /// `EPERM`: the receiver is connected to another peer, the sender may not claim these
    /// credentials, or a policy refuses.
    NotPermitted,
    /// `EADDRINUSE`: the path or the name is in use.
    AddressInUse,
    /// `EADDRINUSE`: no socket of this machine is bound to the socket file through this mount, but
    /// one may be on another machine, or through another mount of the same files.
    LivenessUnknown,
    /// `EAGAIN`: on a nonblocking socket, or after its timeout, the call would have to wait for
    /// space or for a message.
    WouldBlock,
    /// The timeout has passed.
    TimedOut,
    /// `EMSGSIZE`, `ENOBUFS`: the message is larger than the send buffer allows.
    MessageTooLarge,
    /// The message was larger than the buffer it was received into. The rest of it is lost.
    MessageTruncated,
    /// Control messages were truncated (`MSG_CTRUNC`). The received file descriptors have been
    /// closed.
    ControlTruncated,
    /// More file descriptors arrived than the receiver allowed. All have been closed.
    SurplusDescriptors,
    /// `ENOTCONN`: the socket has no peer.
    NotConnected,
    /// `EPIPE`, `ECONNRESET`: the peer has closed.
    PeerClosed,
    /// `EINTR`: a signal interrupted the call.
    Interrupted,
    /// `EMFILE`, `ENFILE`: no file descriptor is free in this process, or on this system.
    OutOfDescriptors,
    /// `ENOBUFS`, `ENOMEM`: the kernel is out of memory.
    OutOfMemory,
    /// `ETOOMANYREFS`: too many file descriptors of this user are in flight.
    TooManyInFlight,
    /// This kernel, or this kind of socket, does not support it.
    Unsupported,
    /// The peer, or the environment, violated the protocol.
    Protocol,
    /// `EINVAL`, or this crate rejects an argument: an option is invalid, or would have no effect.
    InvalidInput,
    /// Any other error.
    Other,
}

impl ErrorKind {
    pub(super) fn of(operation: Operation, errno: i32) -> ErrorKind {
        match errno {
            libc::ENOENT | libc::ENOTDIR => ErrorKind::NotFound,
            libc::ECONNREFUSED => ErrorKind::Refused,
            libc::EPROTOTYPE => ErrorKind::WrongKind,
            libc::EACCES => ErrorKind::PermissionDenied,
            libc::EPERM => ErrorKind::NotPermitted,
            libc::EADDRINUSE | libc::EEXIST => ErrorKind::AddressInUse,
            libc::EAGAIN => ErrorKind::WouldBlock,
            libc::ETIMEDOUT => ErrorKind::TimedOut,
            libc::EMSGSIZE => ErrorKind::MessageTooLarge,
            libc::ENOBUFS if operation == Operation::Send => ErrorKind::MessageTooLarge,
            libc::ENOTCONN | libc::EDESTADDRREQ => ErrorKind::NotConnected,
            libc::EPIPE | libc::ECONNRESET => ErrorKind::PeerClosed,
            libc::EINTR => ErrorKind::Interrupted,
            libc::EMFILE | libc::ENFILE => ErrorKind::OutOfDescriptors,
            libc::ENOBUFS | libc::ENOMEM => ErrorKind::OutOfMemory,
            libc::ETOOMANYREFS => ErrorKind::TooManyInFlight,
            libc::ENAMETOOLONG => ErrorKind::InvalidAddress,
            libc::EINVAL => ErrorKind::InvalidInput,
            libc::ENOPROTOOPT | libc::EOPNOTSUPP | libc::ENOSYS | libc::EAFNOSUPPORT => {
                ErrorKind::Unsupported
            }
            _ => ErrorKind::Other,
        }
    }
}

/// Returns the symbol of an error number that Unix sockets, or operations on their files, return.
pub(super) fn symbol(errno: i32) -> Option<&'static str> {
    macro_rules! table {
        ($($name:ident)*) => {
            match errno { $(libc::$name => Some(stringify!($name)),)* _ => None }
        };
    }
    table! {
        EPERM ENOENT EINTR EIO ENXIO EBADF EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL
        ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC EROFS EMLINK EPIPE ERANGE EDEADLK ENAMETOOLONG ENOSYS ENOTEMPTY ELOOP
        EPROTO EOVERFLOW ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP
        EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS
        ETIMEDOUT ECONNREFUSED EALREADY EINPROGRESS ESTALE EDQUOT ESRCH
    }
}
