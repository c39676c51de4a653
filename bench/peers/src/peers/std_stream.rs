//! The standard library's stream, and any other blocking one: a message is a write, and a read
//! takes all available bytes.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use crate::Result;
use crate::link::{Chunk, Link};
use crate::role::Role;

/// A blocking stream, with its unprocessed bytes.
pub struct Plain<S>(S, Chunk);

impl<S: Read + Write> Plain<S> {
    pub fn new(stream: S, role: &Role) -> Self {
        Self(stream, Chunk::new(role))
    }

    #[inline]
    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.0.write_all(message)?)
    }

    #[inline]
    pub fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        loop {
            if let Some(message) = self.1.next() {
                return Ok(look(message));
            }
            let len_bytes = self.0.read(self.1.room())?;
            self.1.filled(len_bytes)?;
        }
    }
}

pub struct Std(Plain<UnixStream>);

impl Link for Std {
    type Listener = UnixListener;

    async fn listen(role: &Role) -> Result<UnixListener> {
        Ok(UnixListener::bind(&role.path)?)
    }

    async fn accept(listener: &mut UnixListener, role: &Role) -> Result<Self> {
        Ok(Self(Plain::new(listener.accept()?.0, role)))
    }

    async fn connect(role: &Role) -> Result<Self> {
        Ok(Self(Plain::new(UnixStream::connect(&role.path)?, role)))
    }

    async fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0.send(message)
    }

    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.0.receive(look)
    }
}
