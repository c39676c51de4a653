//! The caller: the process behind a request.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock, Weak};

use http::Extensions;
use stoop::{Peer, Policy, aio};

/// The caller of a request: the credentials of the process at the other end of the connection.
///
/// It is in the extensions of each request that arrived over a Unix socket. The credentials are
/// fetched from the kernel, which recorded them when the connection was made, on first use. For a
/// process that has exited since, some kernels no longer provide a pidfd ([K-CRED-5]).
///
/// ```
/// use stoop_http::Caller;
///
/// fn uid<B>(request: &hyper::Request<B>) -> Option<u32> {
///     Caller::of(request.extensions())?.uid.known().copied()
/// }
/// # assert_eq!(uid(&hyper::Request::new(())), None);
/// ```
///
/// [K-CRED-5]: stoop::kernel_facts#K-CRED-5
#[derive(Clone)]
pub struct Caller(Arc<LazyPeer>);

struct LazyPeer {
    peer: OnceLock<Peer>,
    /// The connection. Weak, so that a `Caller` does not keep it open.
    stream: Weak<aio::Stream>,
}

/// A weak handle to the caller of a connection, valid as long as the connection.
#[derive(Clone)]
pub struct PeerHandle(Weak<LazyPeer>);

impl PeerHandle {
    /// Returns the caller. Must be called by the connection's own task; in any other, the
    /// connection may have ended.
    pub fn caller(&self) -> Option<Caller> {
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

    /// Returns the address that it connected from. `None` after the connection has ended.
    pub(crate) fn address(&self) -> Option<stoop::Address> {
        self.0.stream.upgrade()?.peer_addr().ok()
    }

    #[cfg(test)]
    pub(crate) fn is_fetched(&self) -> bool {
        self.0.peer.get().is_some()
    }

    /// Returns the caller from the extensions of a request, or `None` if the request did not arrive
    /// over a Unix socket.
    ///
    /// hyper's and tonic's requests both have extensions.
    pub fn of(extensions: &Extensions) -> Option<&Caller> {
        #[cfg(feature = "axum")]
        if let Some(axum::extract::ConnectInfo(caller)) = extensions.get() {
            return Some(caller);
        }
        extensions.get()
    }

    /// Returns whether this policy allows the caller.
    ///
    /// A caller that the kernel does not know is allowed by [`Policy::everyone`] only.
    pub fn is_allowed_by(&self, policy: &Policy) -> bool {
        policy.allows_peer(self)
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
