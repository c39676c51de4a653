//! The crate ipc-channel: one channel of bytes per direction. Its server chooses its own name,
//! which is passed in a file.

use ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender, bytes_channel};

use crate::Result;
use crate::link::Link;
use crate::role::Role;

type Ends = (IpcBytesSender, IpcBytesReceiver);

pub struct Channel(IpcBytesSender, IpcBytesReceiver);

impl Link for Channel {
    type Listener = Option<IpcOneShotServer<Ends>>;

    async fn listen(role: &Role) -> Result<Self::Listener> {
        let (server, name) = IpcOneShotServer::new()?;
        std::fs::write(&role.path, name)?;
        Ok(Some(server))
    }

    async fn accept(listener: &mut Self::Listener, _: &Role) -> Result<Self> {
        let (_, (sender, receiver)) = listener.take().ok_or("it serves one client")?.accept()?;
        Ok(Self(sender, receiver))
    }

    async fn connect(role: &Role) -> Result<Self> {
        let server = IpcSender::<Ends>::connect(std::fs::read_to_string(&role.path)?)?;
        let ((to_us, ours), (theirs, to_them)) = (bytes_channel()?, bytes_channel()?);
        server.send((to_us, to_them))?;
        Ok(Self(theirs, ours))
    }

    async fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.0.send(message)?)
    }

    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        Ok(look(&self.1.recv()?))
    }
}
