//! The standard library's stream, and any other blocking one: a message is a write, and a read
//! takes all available bytes.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use crate::Result;
use crate::link::{Chunk, Link};
use crate::part::Part;

/// A blocking stream, with its unprocessed bytes.
pub struct Plain<S>(S, Chunk);

impl<S: Read + Write> Plain<S> {
    pub fn new(stream: S, part: &Part) -> Self {
        Self(stream, Chunk::new(part))
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

    async fn listen(part: &Part) -> Result<UnixListener> {
        Ok(UnixListener::bind(&part.path)?)
    }

    async fn accept(listener: &mut UnixListener, part: &Part) -> Result<Self> {
        Ok(Self(Plain::new(listener.accept()?.0, part)))
    }

    async fn connect(part: &Part) -> Result<Self> {
        Ok(Self(Plain::new(UnixStream::connect(&part.path)?, part)))
    }

    async fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0.send(message)
    }

    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.0.receive(look)
    }
}
