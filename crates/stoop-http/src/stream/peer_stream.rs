//! A server's stream with its peer's credentials, which are fetched on first use, or when the
//! stream is dropped while a [`Caller`] may still need them.

use std::sync::{Arc, Weak};

use stoop::aio;
use tokio::io::{AsyncRead, AsyncWrite};

use super::shared::SharedStream;
use crate::caller::{Caller, PeerHandle};

/// A stream whose [`Caller`] remains usable after the stream was dropped.
pub struct PeerStream {
    stream: SharedStream,
    caller: Caller,
}

impl PeerStream {
    /// Wraps a stream, and returns a handle to its caller.
    pub fn new(stream: aio::Stream) -> (PeerStream, PeerHandle) {
        let stream = Arc::new(stream);
        let caller = Caller::new(&stream);
        let peer_handle = caller.peer_handle();
        (PeerStream { stream: SharedStream(stream), caller }, peer_handle)
    }

    /// Returns the caller at the other end.
    pub(crate) fn caller(&self) -> Caller {
        self.caller.clone()
    }

    /// Returns a weak reference to the stream.
    pub(crate) fn downgrade(&self) -> Weak<aio::Stream> {
        Arc::downgrade(&self.stream.0)
    }

    /// Returns the stream, which others hold only weakly.
    pub(crate) fn into_shared(self) -> Arc<aio::Stream> {
        self.stream.0.clone()
    }
}

impl Drop for PeerStream {
    fn drop(&mut self) {
        self.caller.settle();
    }
}

impl AsyncRead for PeerStream {
    read_within!(stream);
}

impl AsyncWrite for PeerStream {
    write_within!(stream);
    flush_within!(stream);
    shutdown_within!(stream);
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn callers_outlive_the_connection_without_holding_it() {
        let (one, mut other) = aio::Stream::pair().unwrap();
        let (stream, peer_handle) = PeerStream::new(one);
        let caller = peer_handle.caller().unwrap();
        let also = caller.clone();
        drop(stream);
        assert!(also.is_fetched());
        assert_eq!(other.read(&mut [0]).await.unwrap(), 0, "the connection is closed");
        for caller in [caller, also] {
            assert_eq!(caller.pid.known(), Some(&std::process::id()));
            assert_eq!(caller.uid.known(), Some(&rustix::process::geteuid().as_raw()));
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn into_shared_returns_the_stream_while_callers_exist() {
        for asked in [false, true] {
            let (one, _other) = aio::Stream::pair().unwrap();
            let (stream, peer_handle) = PeerStream::new(one);
            let caller = peer_handle.caller().unwrap();
            assert!(!caller.is_fetched());
            if asked {
                assert!(caller.pid.known().is_some());
            }
            assert_eq!(Arc::strong_count(&stream.into_shared()), 1);
            assert_eq!(caller.pid.known(), Some(&std::process::id()));
        }
    }
}
