//! Who makes a call, and who may.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock, Weak};

use stoop::{Peer, Policy, aio};
use tonic::{Request, Status};

/// Who makes a call: what the kernel says of the process at the other end of the connection. It
/// stands in the extensions of each request that came over a local socket, and is asked for when
/// somebody looks at it first: the kernel noted it when the connection was made. Of a process that
/// has ended since, some kernels know no pidfd any more (K-CRED-5).
///
/// ```
/// use stoop_grpc::Caller;
///
/// fn uid<T>(request: &tonic::Request<T>) -> Option<u32> {
///     Caller::of(request)?.uid.known().copied()
/// }
/// # assert_eq!(uid(&tonic::Request::new(())), None);
/// ```
#[derive(Clone)]
pub struct Caller(Arc<Asked>);

struct Asked {
    peer: OnceLock<Peer>,
    /// The connection, which nobody who knows its caller keeps open.
    stream: Weak<aio::Stream>,
}

/// What knows the caller of a connection for as long as that lasts, and holds nothing.
#[derive(Clone)]
pub(crate) struct Introduction(Weak<Asked>);

impl Introduction {
    /// To be called by the connection's own task: it is over for everybody else.
    pub(crate) fn caller(&self) -> Option<Caller> {
        self.0.upgrade().map(Caller)
    }
}

impl fmt::Debug for Introduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Introduction")
    }
}

impl Caller {
    pub(crate) fn introduction(&self) -> Introduction {
        Introduction(Arc::downgrade(&self.0))
    }

    /// Of the stream that [`settle`](Caller::settle) is called for before it goes.
    pub(crate) fn new(stream: &Arc<aio::Stream>) -> Caller {
        Caller(Arc::new(Asked { peer: OnceLock::new(), stream: Arc::downgrade(stream) }))
    }

    /// Asks now, where somebody else may ask later. Nobody holds the stream for it afterwards.
    pub(crate) fn settle(&self) {
        if Arc::strong_count(&self.0) > 1 {
            let _ = self.peer();
        }
    }

    fn peer(&self) -> &Peer {
        self.0.peer.get_or_init(|| match self.0.stream.upgrade() {
            Some(stream) => stream.peer(),
            None => unreachable!("a stream goes only when its caller is settled"),
        })
    }

    #[cfg(test)]
    pub(crate) fn is_asked(&self) -> bool {
        self.0.peer.get().is_some()
    }

    /// The caller of this request; nobody where it did not come over a local socket.
    pub fn of<T>(request: &Request<T>) -> Option<&Caller> {
        request.extensions().get()
    }

    /// Whether this policy admits the caller. One whom the kernel does not know is admitted by
    /// [`Policy::everyone`] alone.
    pub fn is_admitted_by(&self, policy: &Policy) -> bool {
        policy.admits_peer(self)
    }
}

impl Deref for Caller {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        self.peer()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Caller").field(self.peer()).finish()
    }
}

/// An interceptor for one service: others are told `PERMISSION_DENIED`. For a whole socket there is
/// [`Bind::policy`](stoop::Bind::policy), which refuses the connection itself.
///
/// A call that did not come over a local socket has no caller whom the kernel knows, and is
/// refused.
///
/// ```
/// use stoop::Policy;
/// use stoop_grpc::only;
/// use tonic::service::Interceptor;
///
/// let app = 44;
/// let mut only = only(Policy::nobody().allow_root().allow_gid(app));
/// // GreeterServer::with_interceptor(greeter, only)
/// assert_eq!(only.call(tonic::Request::new(())).unwrap_err().code(), tonic::Code::PermissionDenied);
/// ```
pub fn only(policy: Policy) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone {
    let policy = Arc::new(policy);
    move |request| match Caller::of(&request) {
        Some(caller) if caller.is_admitted_by(&policy) => Ok(request),
        Some(_) => Err(Status::permission_denied("this user may not call this service")),
        None => Err(Status::permission_denied("the caller is not known: this is no local socket")),
    }
}
