//! The peer of a call, and authorization by policy.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock, Weak};

use stoop::{Peer, Policy, aio};
use tonic::{Request, Status};

/// The peer of a call: the credentials of the process at the other end of the connection.
///
/// It is in the extensions of each request that arrived over a Unix socket. The credentials are
/// fetched from the kernel, which recorded them when the connection was made, on first use. For a
/// process that has exited since, some kernels no longer provide a pidfd (K-CRED-5).
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
pub struct Caller(Arc<LazyPeer>);

struct LazyPeer {
    peer: OnceLock<Peer>,
    /// The connection. Weak, so that a `Caller` does not keep it open.
    stream: Weak<aio::Stream>,
}

/// A weak handle to the caller of a connection, valid as long as the connection.
#[derive(Clone)]
pub(crate) struct PeerHandle(Weak<LazyPeer>);

impl PeerHandle {
    /// Returns the caller. Must be called by the connection's own task; in any other, the
    /// connection may have ended.
    pub(crate) fn caller(&self) -> Option<Caller> {
        self.0.upgrade().map(Caller)
    }
}

impl fmt::Debug for PeerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerHandle")
    }
}

impl Caller {
    pub(crate) fn peer_handle(&self) -> PeerHandle {
        PeerHandle(Arc::downgrade(&self.0))
    }

    /// Creates the caller of this stream. [`settle`](Caller::settle) must be called before the
    /// stream is dropped.
    pub(crate) fn new(stream: &Arc<aio::Stream>) -> Caller {
        Caller(Arc::new(LazyPeer { peer: OnceLock::new(), stream: Arc::downgrade(stream) }))
    }

    /// Fetches the credentials if a clone may need them later. Afterwards no clone accesses the
    /// stream.
    pub(crate) fn settle(&self) {
        if Arc::strong_count(&self.0) > 1 {
            let _ = self.peer();
        }
    }

    fn peer(&self) -> &Peer {
        self.0.peer.get_or_init(|| match self.0.stream.upgrade() {
            Some(stream) => stream.peer(),
            None => unreachable!("a stream is dropped only after its caller is settled"),
        })
    }

    #[cfg(test)]
    pub(crate) fn is_fetched(&self) -> bool {
        self.0.peer.get().is_some()
    }

    /// Returns the caller of this request, or `None` if it did not arrive over a Unix socket.
    pub fn of<T>(request: &Request<T>) -> Option<&Caller> {
        request.extensions().get()
    }

    /// Returns whether this policy allows the caller.
    ///
    /// A caller that the kernel does not know is allowed by [`Policy::everyone`] only.
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

/// Creates an interceptor that restricts one service to the callers a policy allows.
///
/// Other calls fail with `PERMISSION_DENIED`. To restrict a whole socket, use
/// [`Bind::policy`](stoop::Bind::policy), which refuses the connection itself.
///
/// A call that did not arrive over a Unix socket has no peer credentials, and is refused.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # let (_reporter, health) = tonic_health::server::health_reporter();
/// use stoop::Policy;
/// use stoop_grpc::{Endpoint, Server, connect, only};
/// use tonic::service::{Routes, interceptor::InterceptedService};
/// # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
///
/// // For a generated service: `GreeterServer::with_interceptor(greeter, only(policy))`.
/// let health = InterceptedService::new(health, only(Policy::nobody()));
/// let incoming = Endpoint::try_from(path.as_path())?.listen(|bind| bind).await?;
/// tokio::spawn(Server::new(Routes::new(health)).serve(incoming, std::future::pending::<()>()));
///
/// let mut client = HealthClient::new(connect(path.as_path()).await?);
/// let status = client.check(HealthCheckRequest::default()).await.unwrap_err();
/// assert_eq!(status.code(), tonic::Code::PermissionDenied);
/// # Ok(())
/// # }
/// ```
pub fn only(policy: Policy) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone {
    let policy = Arc::new(policy);
    move |request| match Caller::of(&request) {
        Some(caller) if caller.is_admitted_by(&policy) => Ok(request),
        Some(_) => Err(Status::permission_denied("this user is not allowed to call this service")),
        None => Err(Status::permission_denied(
            "the caller is unknown: the call did not arrive over a Unix socket",
        )),
    }
}
