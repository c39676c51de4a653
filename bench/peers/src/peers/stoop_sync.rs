//! stoop's blocking streams: plain, and as frames; each with and without adaptive waiting.

use std::io::{Read, Write};

use stoop::frame::{FrameReader, FrameWriter, Native};
use stoop::{Bind, Listener, SocketExt, Stream};

use super::std_stream::Plain;
use super::{IDLE, SPIN};
use crate::Result;
use crate::link::{Link, Watch};
use crate::role::{Role, Workload};

/// The requested send buffer for long messages; the kernel grants up to `net.core.wmem_max`. A
/// larger one has no further effect.
const SEND_BUFFER_BYTES: usize = 1 << 20;
const LONG_BYTES: usize = 64 << 10;

fn listen(role: &Role, spins: bool) -> Result<Listener> {
    let listener = Bind::new(&role.path).listen()?;
    if spins {
        listener.set_spin(SPIN);
    }
    Ok(listener)
}

fn adapted(stream: Stream, spins: bool) -> Stream {
    if spins {
        stream.set_spin(SPIN);
    }
    stream
}

pub struct Sync<const SPINS: bool>(Plain<Stream>);

impl<const SPINS: bool> Link for Sync<SPINS> {
    type Listener = Listener;

    async fn listen(role: &Role) -> Result<Listener> {
        listen(role, SPINS)
    }

    async fn accept(listener: &mut Listener, role: &Role) -> Result<Self> {
        Ok(Self(Plain::new(adapted(listener.accept()?.0, SPINS), role)))
    }

    async fn connect(role: &Role) -> Result<Self> {
        Ok(Self(Plain::new(adapted(Stream::connect(&role.path)?, SPINS), role)))
    }

    async fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0.send(message)
    }

    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.0.receive(look)
    }
}

pub struct Frames<const SPINS: bool> {
    writer: FrameWriter<Stream>,
    reader: FrameReader<Stream>,
}

impl<const SPINS: bool> Frames<SPINS> {
    fn new(stream: Stream, role: &Role) -> Result<Self> {
        let stream = adapted(stream, SPINS);
        if role.workload == Workload::OneWay && role.message_bytes >= LONG_BYTES {
            stream.set_send_buffer_bytes(SEND_BUFFER_BYTES)?;
        }
        let writer = FrameWriter::new(stream.try_clone()?, Native);
        Ok(Self { writer, reader: FrameReader::new(stream, Native) })
    }
}

impl<const SPINS: bool> Link for Frames<SPINS> {
    type Listener = Listener;

    async fn listen(role: &Role) -> Result<Listener> {
        listen(role, SPINS)
    }

    async fn accept(listener: &mut Listener, role: &Role) -> Result<Self> {
        Self::new(listener.accept()?.0, role)
    }

    async fn connect(role: &Role) -> Result<Self> {
        Self::new(Stream::connect(&role.path)?, role)
    }

    #[inline]
    async fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.writer.send(message)?)
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(self.writer.flush()?)
    }

    #[inline]
    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        Ok(look(self.reader.next()?.ok_or("the stream was closed too early")?))
    }

    fn receive_more<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<Option<T>> {
        Ok(self.reader.next_buffered()?.map(look))
    }
}

/// Waits for a time on a stream on which data arrived once and then no more.
pub fn idle() -> Result<()> {
    let (mut one, other) = Stream::pair()?;
    let mut other = adapted(other, true);
    one.write_all(b"!")?;
    other.read_exact(&mut [0])?;
    other.set_read_timeout(Some(IDLE))?;
    let watch = Watch::start(0);
    let came = other.read(&mut [0]);
    println!("{}", watch.stop().to_line());
    if came.is_ok() { Err("something came".into()) } else { Ok(()) }
}
