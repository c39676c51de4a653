//! Who makes a call, and who may.

use std::ops::Deref;
use std::sync::Arc;

use stoop::{Peer, Policy};
use tonic::{Request, Status};

/// Who makes a call: what the kernel says of the process at the other end of the connection. It stands in the extensions of
/// each request that came over a local socket.
///
/// ```
/// use stoop_grpc::Caller;
///
/// fn uid<T>(request: &tonic::Request<T>) -> Option<u32> {
///     Caller::of(request)?.uid.known().copied()
/// }
/// # assert_eq!(uid(&tonic::Request::new(())), None);
/// ```
#[derive(Clone, Debug)]
pub struct Caller(Arc<Peer>);

impl Caller {
    pub(crate) fn new(peer: Peer) -> Caller {
        Caller(Arc::new(peer))
    }

    /// The caller of this request; nobody where it did not come over a local socket.
    pub fn of<T>(request: &Request<T>) -> Option<&Caller> {
        request.extensions().get()
    }

    /// Whether this policy admits the caller. One whom the kernel does not know is admitted by [`Policy::everyone`] alone.
    pub fn is_admitted_by(&self, policy: &Policy) -> bool {
        let groups = self.groups.known().map_or(&[][..], Vec::as_slice);
        match (self.uid.known(), self.gid.known()) {
            (Some(&uid), Some(&gid)) => policy.admits(uid, gid, groups),
            _ => policy.admits_everyone(),
        }
    }
}

impl Deref for Caller {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        &self.0
    }
}

/// An interceptor for one service: others are told `PERMISSION_DENIED`. For a whole socket there is
/// [`Bind::policy`](stoop::Bind::policy), which refuses the connection itself.
///
/// A call that did not come over a local socket has no caller whom the kernel knows, and is refused.
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
