//! nng: a pair over its `ipc` transport.

use nng::options::{Options, RecvMaxSize};
use nng::{Protocol, Socket};

use crate::Result;
use crate::link::Link;
use crate::role::Role;

pub struct Pair(Socket);

fn socket() -> Result<Socket> {
    let socket = Socket::new(Protocol::Pair0)?;
    socket.set_opt::<RecvMaxSize>(16 << 20)?;
    Ok(socket)
}

fn url(role: &Role) -> String {
    format!("ipc://{}", role.path.display())
}

impl Link for Pair {
    type Listener = Socket;

    async fn listen(role: &Role) -> Result<Socket> {
        let socket = socket()?;
        socket.listen(&url(role))?;
        Ok(socket)
    }

    async fn accept(listener: &mut Socket, _: &Role) -> Result<Self> {
        Ok(Self(listener.clone()))
    }

    async fn connect(role: &Role) -> Result<Self> {
        let socket = socket()?;
        socket.dial(&url(role))?;
        Ok(Self(socket))
    }

    async fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0.send(message).map_err(|(_, error)| error.into())
    }

    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        Ok(look(&self.0.recv()?))
    }
}
