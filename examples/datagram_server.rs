//! A server of datagrams: answers every message with the same message in capital letters. One
//! socket for all clients.
//!
//! ```text
//! cargo run -p stoop --example datagram_server -- ./app.sock
//! ```

use std::process::ExitCode;
use std::time::Duration;

use stoop::Bind;

fn main() -> ExitCode {
    let Some(address) = std::env::args().nth(1) else {
        eprintln!("usage: datagram_server ADDRESS");
        return ExitCode::from(2);
    };
    match serve(&address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: &str) -> stoop::Result<()> {
    let socket = Bind::new(address).mode(0o600).datagram()?;
    // Nothing is ever lost locally: a send waits while the receiver's queue is full. A client that asks
    // and never reads must not hold up the others, so our patience ends.
    socket.set_write_timeout(Some(Duration::from_millis(100)))?;
    println!("listening");
    loop {
        // However long the message is, none of it is cut.
        let (message, sender) = socket.recv_request()?;
        // Clients that did not bind have no address and cannot be answered; others may have exited already,
        // or have put another's socket in their place.
        if let Err(error) = socket.reply(&message.to_ascii_uppercase(), &sender) {
            eprintln!("{error}");
        }
    }
}
