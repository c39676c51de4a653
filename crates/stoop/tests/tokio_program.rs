//! One program, compiled with the types of `tokio::net` and with those of `stoop::aio` in their
//! place. `tokio_program/program.rs` makes every call that `tokio::net` has for Unix domain
//! sockets. What `peer_cred` returns has fields in place of methods: see `uid` in each module.

mod with_tokio {
    use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
    use tokio::net::{UnixDatagram, UnixListener, UnixStream};

    fn uid(stream: &UnixStream) -> Result<u32> {
        Ok(stream.peer_cred()?.uid())
    }

    include!("tokio_program/program.rs");
}

mod with_stoop {
    use stoop::aio::split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
    use stoop::aio::{Datagram as UnixDatagram, Listener as UnixListener, Stream as UnixStream};

    fn uid(stream: &UnixStream) -> Result<u32> {
        Ok(stream.peer_cred()?.uid)
    }

    include!("tokio_program/program.rs");
}
