//! Several datagram sockets in one thread, waited for by the crate polling (smol's poller).
//!
//! ```text
//! cargo run -p stoop-adapters --example polling
//! ```

use std::io;
use std::time::Duration;

use polling::{Event, Events, Poller};
use stoop::Datagram;

/// Sockets registered with a poller. Each event's key is the index of its socket.
pub struct Sockets<'a> {
    poller: Poller,
    sockets: &'a [Datagram],
}

impl<'a> Sockets<'a> {
    /// Registers the sockets, and makes them nonblocking.
    #[expect(unsafe_code, reason = "the safety of `Poller::add` is up to its caller")]
    pub fn new(sockets: &'a [Datagram]) -> io::Result<Sockets<'a>> {
        // A guard from here on: `drop` deregisters what was registered, however this ends.
        let guard = Sockets { poller: Poller::new()?, sockets };
        for (index, socket) in sockets.iter().enumerate() {
            socket.set_nonblocking(true)?;
            // SAFETY: `sockets` is borrowed for as long as the guard lives, and the guard deregisters each
            // socket before it ends the borrow: none is closed while it is registered.
            unsafe { guard.poller.add(socket, Event::readable(index))? };
        }
        Ok(guard)
    }

    /// Waits for a message on any of the sockets, and returns it with the socket's index. `None`
    /// when the time is over.
    pub fn receive(&self, timeout: Duration) -> io::Result<Option<(usize, Vec<u8>)>> {
        let mut events = Events::new();
        self.poller.wait(&mut events, Some(timeout))?;
        // An event is reported once; a socket that is still ready is reported again after this.
        for event in events.iter() {
            self.poller.modify(&self.sockets[event.key], Event::readable(event.key))?;
        }
        let Some(event) = events.iter().next() else { return Ok(None) };
        let mut buffer = [0; 4096];
        let length = self.sockets[event.key].recv(&mut buffer)?;
        Ok(Some((event.key, buffer[..length].to_vec())))
    }
}

impl Drop for Sockets<'_> {
    fn drop(&mut self) {
        for socket in self.sockets {
            let _ = self.poller.delete(socket);
        }
    }
}

/// Sends a message to one of two sockets, and returns where it arrived.
pub fn run() -> Result<String, Box<dyn std::error::Error>> {
    let ((_quiet, first), (sender, second)) = (Datagram::pair()?, Datagram::pair()?);
    let sockets = [first, second];
    let sockets = Sockets::new(&sockets)?;
    sender.send(b"hello")?;
    let (index, message) = sockets.receive(Duration::from_secs(10))?.ok_or("no message")?;
    Ok(format!("socket {index}: {}", String::from_utf8(message)?))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", run()?);
    Ok(())
}
