//! A datagram server: answers every message with the same message in capital letters, on one socket
//! for all clients.
//!
//! ```text
//! cargo run -p stoop --example datagram_server -- ./app.sock
//! ```

use std::process::ExitCode;
use std::time::Duration;

use stoop::Bind;

fn main() -> ExitCode {
    let Some(address) = std::env::args().nth(1) else {
        eprintln!("usage: datagram_server SOCKET");
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
    // No datagram is lost: a send waits while the receiver's queue is full. A client that never reads
    // must not delay the others, so sends have a timeout.
    socket.set_write_timeout(Some(Duration::from_millis(100)))?;
    println!("listening");
    loop {
        // Never truncated, however long the message is.
        let (message, sender) = socket.recv_request()?;
        // Clients that did not bind have no address and cannot be answered. Others may have exited by now,
        // or another socket may have their name.
        if let Err(error) = socket.reply(&message.to_ascii_uppercase(), &sender) {
            eprintln!("{error}");
        }
    }
}
