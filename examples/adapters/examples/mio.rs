//! An echo server on mio: one thread, no runtime, the blocking types in nonblocking mode.
//!
//! ```text
//! cargo run -p stoop-adapters --example mio
//! ```

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use stoop::{ErrorKind, Listener, Stream};

const LISTENER: Token = Token(0);
const CHUNK: usize = 4096;

/// Serves this many clients to their end, several at a time.
pub fn serve(listener: &Listener, mut clients: usize) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut poll = Poll::new()?;
    let registry = poll.registry().try_clone()?;
    registry.register(&mut SourceFd(&listener.as_raw_fd()), LISTENER, Interest::READABLE)?;
    let mut streams = HashMap::new();
    let mut events = Events::with_capacity(64);
    let mut next = 1;
    while clients > 0 {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                // Edge-triggered: accept until the queue is empty.
                while let Some(stream) = accept(listener)? {
                    let both = Interest::READABLE | Interest::WRITABLE;
                    registry.register(&mut SourceFd(&stream.as_raw_fd()), Token(next), both)?;
                    streams.insert(Token(next), (stream, Vec::new()));
                    next += 1;
                }
            } else if let Some((stream, unsent)) = streams.get_mut(&event.token())
                && !echo(stream, unsent).unwrap_or(false)
            {
                streams.remove(&event.token()); // closing deregisters
                clients -= 1;
            }
        }
    }
    Ok(())
}

fn accept(listener: &Listener) -> io::Result<Option<Stream>> {
    match listener.accept_nonblocking() {
        Ok((stream, _address)) => Ok(Some(stream)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Sends back what has arrived, and returns whether the client is still connected.
fn echo(stream: &mut Stream, unsent: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        while !unsent.is_empty() {
            match stream.write(unsent) {
                Ok(sent) => drop(unsent.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        let mut buffer = [0; CHUNK];
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(received) => unsent.extend_from_slice(&buffer[..received]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

/// Serves one client, and returns what it received.
pub fn run() -> Result<String, Box<dyn std::error::Error>> {
    let listener = stoop::Bind::new(stoop::Address::UNNAMED).listen()?;
    let address = listener.local_addr()?;
    let server = std::thread::spawn(move || serve(&listener, 1));
    let mut client = Stream::connect(address)?;
    client.write_all(b"hello")?;
    client.shutdown(std::net::Shutdown::Write)?;
    let mut text = String::new();
    client.read_to_string(&mut text)?;
    server.join().expect("the server does not panic")?;
    Ok(text)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", run()?);
    Ok(())
}
