//! Items that `stoop-grpc`, `stoop-dynamic` and `stoop-guard` share with this crate. They are not
//! part of the public API, and change without notice.

#[cfg(feature = "server")]
pub use crate::caller::PeerHandle;
/// Returns the address that the caller of a request connected from, as long as it is connected.
#[cfg(feature = "server")]
pub fn address_of(caller: &crate::Caller) -> Option<stoop::Address> {
    caller.address()
}

#[cfg(feature = "server")]
pub use crate::idle::{IdleTracker, TrackedBody};
#[cfg(feature = "client")]
pub use crate::protocol::Protocol;
pub use crate::spawn::Spawn;
pub use crate::stream::PREFACE;
#[cfg(feature = "client")]
pub use crate::stream::drain::Drain;
#[cfg(feature = "server")]
pub use crate::stream::linger::Linger;
#[cfg(feature = "server")]
pub use crate::stream::peer_stream::PeerStream;
#[cfg(feature = "client")]
pub use crate::stream::record_prefix::{Opening, RecordPrefix};
#[cfg(feature = "zstd")]
pub use crate::zstd::{DamagedZstd, MAX_WINDOW_BYTES, ZstdDecoder, ZstdError, compress, decompress};
pub use crate::{flush_within, read_within, shutdown_within, write_within};

/// Returns settings with which a client records this number of the server's first bytes.
#[cfg(feature = "client")]
pub fn recording(settings: crate::Settings, max_bytes: usize) -> crate::Settings {
    settings.recorded(max_bytes)
}

/// Returns settings with which a client sends the names of HTTP/1.1 headers as in `Content-Type`.
#[cfg(feature = "client")]
pub fn title_case(settings: crate::Settings) -> crate::Settings {
    settings.title_case()
}

/// Returns the first bytes that the server has sent on this connection, as far as they are
/// recorded.
#[cfg(feature = "client")]
pub fn received<B>(client: &crate::Client<B>) -> Vec<u8>
where
    B: http_body::Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    client.opening().bytes()
}

/// Returns the reason phrase in the extensions of a response, if it is not that of the standard.
#[cfg(feature = "client")]
pub fn reason(extensions: &http::Extensions) -> Option<&[u8]> {
    extensions.get::<hyper::ext::ReasonPhrase>().map(hyper::ext::ReasonPhrase::as_bytes)
}
