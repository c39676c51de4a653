//! What stands between a socket and HTTP: streams around a stream, each of which does one thing and
//! passes the rest on.
//!
//! | side | stream | does |
//! |---|---|---|
//! | client | [`HearOut`](hear_out::HearOut) | reads to the end what a server said that has hung up |
//! | client | [`Overheard`](overheard::Overheard) | remembers what the server said first |
//! | server | [`Begun`](begun::Begun) | finds out which HTTP its client speaks |
//! | server | [`Lingering`](lingering::Lingering) | lets the last word be read before it hangs up |
//! | server | [`Met`](met::Met) | knows who is at the other end |
//! | client | [`Together`](together::Together) | sends what HTTP/2 begins with in one piece with what follows |
//! | server | [`Mended`](mended::Mended) | corrects what HTTP/2 libraries would refuse |
//! | server | [`Placed`](placed::Placed) | gives its place back when it is gone |

/// Reading as the stream in this field does it.
#[cfg(any(feature = "client", feature = "http", feature = "server"))]
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

/// Writing as the stream in this field does it, with tokio's trait or with hyper's.
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

/// All of writing that is not writing bytes, likewise; for a stream that ends in its own way, all
/// but the end.
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

/// The end of writing, likewise.
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

#[cfg(feature = "http")]
pub(crate) mod begun;
#[cfg(any(feature = "client", feature = "http"))]
pub(crate) mod hear_out;
#[cfg(any(feature = "http", feature = "server"))]
pub(crate) mod lingering;
pub(crate) mod mended;
#[cfg(any(feature = "http", feature = "server"))]
pub(crate) mod met;
#[cfg(any(feature = "dynamic", feature = "http"))]
pub(crate) mod overheard;
#[cfg(feature = "server")]
pub(crate) mod placed;
#[cfg(feature = "http")]
pub(crate) mod progress;
#[cfg(feature = "client")]
pub(crate) mod together;

#[cfg(feature = "http")]
pub(crate) use flush_within;
#[cfg(feature = "http")]
pub(crate) use shutdown_within;
#[cfg(feature = "http")]
pub(crate) use write_within;
