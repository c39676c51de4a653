//! compio: streams on io_uring, one operation at a time.

use compio::io::{AsyncReadExt, AsyncWriteExt};
use compio::net::{UnixListener, UnixStream};

use crate::Result;
use crate::link::Link;
use crate::role::Role;

/// Its operations own their buffers.
pub struct Compio {
    stream: UnixStream,
    sent: Vec<u8>,
    received: Vec<u8>,
}

impl Compio {
    fn new(stream: UnixStream, role: &Role) -> Self {
        Self { stream, sent: Vec::new(), received: vec![0; role.message_bytes] }
    }
}

impl Link for Compio {
    type Listener = UnixListener;

    fn run<T>(work: impl Future<Output = T>) -> T {
        compio::runtime::Runtime::new().expect("a runtime").block_on(work)
    }

    async fn listen(role: &Role) -> Result<UnixListener> {
        Ok(UnixListener::bind(&role.path).await?)
    }

    async fn accept(listener: &mut UnixListener, role: &Role) -> Result<Self> {
        Ok(Self::new(listener.accept().await?.0, role))
    }

    async fn connect(role: &Role) -> Result<Self> {
        Ok(Self::new(UnixStream::connect(&role.path).await?, role))
    }

    async fn send(&mut self, message: &[u8]) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.sent);
        buffer.clear();
        buffer.extend_from_slice(message);
        let (result, buffer) = self.stream.write_all(buffer).await.into();
        self.sent = buffer;
        Ok(result?)
    }

    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let (result, buffer) = self.stream.read_exact(std::mem::take(&mut self.received)).await.into();
        self.received = buffer;
        let () = result?;
        Ok(look(&self.received))
    }
}
