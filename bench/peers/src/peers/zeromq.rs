//! ZeroMQ: a pair over its `ipc` transport.

use zmq::{Context, Message, PAIR, Socket};

use crate::Result;
use crate::link::Link;
use crate::role::Role;

pub struct Pair {
    socket: Socket,
    message: Message,
}

impl Pair {
    fn new() -> Result<Self> {
        Ok(Self { socket: Context::new().socket(PAIR)?, message: Message::new() })
    }
}

fn url(role: &Role) -> String {
    format!("ipc://{}", role.path.display())
}

impl Link for Pair {
    type Listener = Option<Self>;

    async fn listen(role: &Role) -> Result<Option<Self>> {
        let pair = Self::new()?;
        pair.socket.bind(&url(role))?;
        Ok(Some(pair))
    }

    async fn accept(listener: &mut Option<Self>, _: &Role) -> Result<Self> {
        Ok(listener.take().ok_or("it serves one client")?)
    }

    async fn connect(role: &Role) -> Result<Self> {
        let pair = Self::new()?;
        pair.socket.connect(&url(role))?;
        Ok(pair)
    }

    async fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.socket.send(message, 0)?)
    }

    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.socket.recv(&mut self.message, 0)?;
        Ok(look(&self.message))
    }
}
