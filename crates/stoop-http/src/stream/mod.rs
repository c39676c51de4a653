//! Stream wrappers between a socket and HTTP. Each does one thing and passes everything else
//! through.
//!
//! | side | wrapper | purpose |
//! |---|---|---|
//! | client | [`Drain`](drain::Drain) | reads a server's last message after `EPIPE` |
//! | client | [`RecordPrefix`](record_prefix::RecordPrefix) | records the server's first bytes |
//! | server | [`Sniff`](sniff::Sniff) | detects the version of HTTP |
//! | server | [`Linger`](linger::Linger) | lingers, so that the last message can be read |
//! | server | [`PeerStream`](peer_stream::PeerStream) | provides the peer's credentials |
//! | server | [`SharedStream`](shared::SharedStream) | can be referred to weakly |
//! | server | [`Progress`](progress::Progress) | records reads and writes, for idle tracking |

/// Implements `poll_read` by delegation to the stream in this field.
#[doc(hidden)]
#[macro_export]
macro_rules! read_within {
    ($field:tt) => {
        fn poll_read(
            mut self: ::std::pin::Pin<&mut Self>,
            cx: &mut ::std::task::Context<'_>,
            buffer: &mut ::tokio::io::ReadBuf<'_>,
        ) -> ::std::task::Poll<::std::io::Result<()>> {
            ::std::pin::Pin::new(&mut self.$field).poll_read(cx, buffer)
        }
    };
}

/// Implements writing by delegation to the stream in this field, for tokio's or hyper's trait.
#[doc(hidden)]
#[macro_export]
macro_rules! write_within {
    ($field:tt) => {
        fn poll_write(
            mut self: ::std::pin::Pin<&mut Self>,
            cx: &mut ::std::task::Context<'_>,
            bytes: &[u8],
        ) -> ::std::task::Poll<::std::io::Result<usize>> {
            ::std::pin::Pin::new(&mut self.$field).poll_write(cx, bytes)
        }

        fn poll_write_vectored(
            mut self: ::std::pin::Pin<&mut Self>,
            cx: &mut ::std::task::Context<'_>,
            pieces: &[::std::io::IoSlice<'_>],
        ) -> ::std::task::Poll<::std::io::Result<usize>> {
            ::std::pin::Pin::new(&mut self.$field).poll_write_vectored(cx, pieces)
        }
    };
}

/// Implements the rest of the trait by delegation, except writing and shutdown.
#[doc(hidden)]
#[macro_export]
macro_rules! flush_within {
    ($field:tt) => {
        fn is_write_vectored(&self) -> bool {
            self.$field.is_write_vectored()
        }

        fn poll_flush(
            mut self: ::std::pin::Pin<&mut Self>,
            cx: &mut ::std::task::Context<'_>,
        ) -> ::std::task::Poll<::std::io::Result<()>> {
            ::std::pin::Pin::new(&mut self.$field).poll_flush(cx)
        }
    };
}

/// Implements `poll_shutdown` by delegation.
#[doc(hidden)]
#[macro_export]
macro_rules! shutdown_within {
    ($field:tt) => {
        fn poll_shutdown(
            mut self: ::std::pin::Pin<&mut Self>,
            cx: &mut ::std::task::Context<'_>,
        ) -> ::std::task::Poll<::std::io::Result<()>> {
            ::std::pin::Pin::new(&mut self.$field).poll_shutdown(cx)
        }
    };
}

#[cfg(feature = "client")]
pub mod drain;
#[cfg(feature = "server")]
pub mod linger;
#[cfg(feature = "server")]
pub mod peer_stream;
#[cfg(feature = "server")]
pub(crate) mod progress;
#[cfg(feature = "client")]
pub mod record_prefix;
#[cfg(feature = "server")]
pub(crate) mod shared;
#[cfg(feature = "server")]
pub(crate) mod sniff;

/// The first bytes of an HTTP/2 client.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
