//! Streams driven by tokio, on a runtime of one thread: tokio's own, and stoop's with and without
//! adaptive waiting.

use stoop::{Bind, SocketExt, aio};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::{IDLE, SPIN};
use crate::Result;
use crate::link::{Chunk, Link, Watch};
use crate::role::Role;

/// Runs on a runtime of this thread.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

/// Creates a stoop listener. Not with `listen_async`, for which tokio starts a thread: system calls
/// of a process with a second thread cost a little more.
pub fn listen(role: &Role) -> Result<aio::Listener> {
    Ok(Bind::new(&role.path).listen()?.try_into()?)
}

struct Plain<S>(S, Chunk);

impl<S: AsyncRead + AsyncWrite + Unpin> Plain<S> {
    async fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.0.write_all(message).await?)
    }

    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        loop {
            if let Some(message) = self.1.next() {
                return Ok(look(message));
            }
            let len_bytes = self.0.read(self.1.room()).await?;
            self.1.filled(len_bytes)?;
        }
    }
}

pub struct Tokio(Plain<UnixStream>);

impl Link for Tokio {
    type Listener = UnixListener;

    fn run<T>(work: impl Future<Output = T>) -> T {
        block_on(work)
    }

    async fn listen(role: &Role) -> Result<UnixListener> {
        Ok(UnixListener::bind(&role.path)?)
    }

    async fn accept(listener: &mut UnixListener, role: &Role) -> Result<Self> {
        Ok(Self(Plain(listener.accept().await?.0, Chunk::new(role))))
    }

    async fn connect(role: &Role) -> Result<Self> {
        Ok(Self(Plain(UnixStream::connect(&role.path).await?, Chunk::new(role))))
    }

    async fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0.send(message).await
    }

    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.0.receive(look).await
    }
}

pub struct Stoop<const SPINS: bool>(Plain<aio::Stream>);

impl<const SPINS: bool> Stoop<SPINS> {
    fn new(stream: aio::Stream, role: &Role) -> Self {
        if SPINS {
            stream.set_spin(SPIN);
        }
        Self(Plain(stream, Chunk::new(role)))
    }
}

impl<const SPINS: bool> Link for Stoop<SPINS> {
    type Listener = aio::Listener;

    fn run<T>(work: impl Future<Output = T>) -> T {
        block_on(work)
    }

    async fn listen(role: &Role) -> Result<aio::Listener> {
        listen(role)
    }

    async fn accept(listener: &mut aio::Listener, role: &Role) -> Result<Self> {
        Ok(Self::new(listener.accept().await?.0, role))
    }

    async fn connect(role: &Role) -> Result<Self> {
        Ok(Self::new(aio::Stream::connect(&role.path).await?, role))
    }

    async fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0.send(message).await
    }

    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.0.receive(look).await
    }
}

/// Waits on an idle stream, as in [`super::stoop_sync::idle`].
pub fn idle() -> Result<()> {
    block_on(async {
        let (mut one, mut other) = aio::Stream::pair()?;
        other.set_spin(SPIN);
        one.write_all(b"!").await?;
        other.read_exact(&mut [0]).await?;
        let watch = Watch::start(0);
        let came = tokio::time::timeout(IDLE, other.read(&mut [0])).await;
        println!("{}", watch.stop().to_line());
        if came.is_ok() { Err("something came".into()) } else { Ok(()) }
    })
}
