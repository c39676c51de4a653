//! The smallest control socket: one line in, one line out, one client after the other. For limits
//! and an orderly exit see `daemon.rs`.
//!
//! ```text
//! cargo run -p stoop --example control_socket -- ./control.sock
//! ```

use std::io::{self, BufRead, BufReader, Write};
use stoop::{Bind, Policy, Stream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: control_socket SOCKET")?;
    // 0660: the owner and one group may connect. The policy checks the same again, by the credentials
    // that the kernel reports.
    let listener = Bind::new(address).mode(0o660).policy(Policy::same_user()).listen()?;
    loop {
        // A client that disconnects in the middle of a line ends only its own connection.
        let _ = converse(&listener.accept()?.0);
    }
}

fn converse(client: &Stream) -> io::Result<()> {
    let mut lines = BufReader::new(client);
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        let mut answer = client;
        match line.trim() {
            "status" => writeln!(answer, "well, thank you")?,
            other => writeln!(answer, "unknown: {other}")?,
        }
        line.clear();
    }
    Ok(())
}
