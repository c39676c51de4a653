//! One program, compiled with the types of `tokio::net` and with those of `stoop::aio` in their
//! place. `tokio_program/program.rs` makes every call that `tokio::net` has for Unix domain
//! sockets; the few that mean something else in `stoop::aio` are in the `differences` of each
//! module.

mod with_tokio {
    use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
    use tokio::net::{UnixDatagram, UnixListener, UnixStream};

    /// What `stoop::aio` has in another form.
    mod differences {
        use super::{UnixDatagram, UnixListener, UnixStream};
        use std::io::Result;
        use std::path::Path;
        use std::task::{Context, Poll, ready};

        pub async fn accept(listener: &UnixListener) -> Result<UnixStream> {
            let (stream, address) = listener.accept().await?;
            assert!(address.is_unnamed());
            Ok(stream)
        }

        pub fn poll_accept(listener: &UnixListener, cx: &mut Context<'_>) -> Poll<Result<UnixStream>> {
            Poll::Ready(Ok(ready!(listener.poll_accept(cx))?.0))
        }

        pub fn connect(socket: &UnixDatagram, path: &Path) -> Result<()> {
            socket.connect(path)
        }

        pub fn uid(stream: &UnixStream) -> Result<u32> {
            Ok(stream.peer_cred()?.uid())
        }

        pub fn path_of(address: &tokio::net::unix::SocketAddr) -> Option<&Path> {
            address.as_pathname()
        }
    }

    include!("tokio_program/program.rs");
}

mod with_stoop {
    use stoop::aio::split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
    use stoop::aio::{Datagram as UnixDatagram, Listener as UnixListener, Stream as UnixStream};

    /// What `tokio::net` has in another form: see the table in the documentation of `stoop::aio`.
    mod differences {
        use super::{UnixDatagram, UnixListener, UnixStream};
        use std::io::Result;
        use std::path::Path;
        use std::task::{Context, Poll, ready};

        pub async fn accept(listener: &UnixListener) -> Result<UnixStream> {
            Ok(listener.accept().await?)
        }

        pub fn poll_accept(listener: &UnixListener, cx: &mut Context<'_>) -> Poll<Result<UnixStream>> {
            Poll::Ready(Ok(ready!(listener.poll_accept(cx))?))
        }

        pub fn connect(socket: &UnixDatagram, path: &Path) -> Result<()> {
            Ok(socket.connect(path)?)
        }

        pub fn uid(stream: &UnixStream) -> Result<u32> {
            Ok(*stream.peer().uid.known().expect("the kernel knows its user"))
        }

        pub fn path_of(address: &stoop::Address) -> Option<&Path> {
            address.as_path()
        }
    }

    include!("tokio_program/program.rs");
}
