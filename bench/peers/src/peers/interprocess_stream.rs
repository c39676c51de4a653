//! The crate interprocess: its local socket, blocking.

use interprocess::local_socket::{GenericFilePath, Listener, ListenerOptions, Stream, prelude::*};

use super::std_stream::Plain;
use crate::Result;
use crate::link::Link;
use crate::role::Role;

pub struct Interprocess(Plain<Stream>);

impl Link for Interprocess {
    type Listener = Listener;

    async fn listen(role: &Role) -> Result<Listener> {
        let name = role.path.as_path().to_fs_name::<GenericFilePath>()?;
        Ok(ListenerOptions::new().name(name).create_sync()?)
    }

    async fn accept(listener: &mut Listener, role: &Role) -> Result<Self> {
        Ok(Self(Plain::new(listener.accept()?, role)))
    }

    async fn connect(role: &Role) -> Result<Self> {
        let name = role.path.as_path().to_fs_name::<GenericFilePath>()?;
        Ok(Self(Plain::new(Stream::connect(name)?, role)))
    }

    async fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0.send(message)
    }

    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.0.receive(look)
    }
}
