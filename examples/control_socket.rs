//! The smallest control socket: one line in, one line out, one client after the other. For limits
//! and an orderly exit see `daemon.rs`.
//!
//! ```text
//! cargo run -p stoop --example control_socket -- ./control.sock
//! ```

use stoop::frame::{FrameReader, FrameWriter, Lines};
use stoop::{Bind, Policy, Stream};

/// The longest accepted line.
const LINE_MAX_BYTES: usize = 4096;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: control_socket SOCKET")?;
    // The mode and the policy say the same: this user, and root. The policy checks it by the
    // credentials that the kernel reports. To serve a group as well, set all three:
    // `.group(gid).mode(0o660).policy(Policy::same_user().allow_gid(gid))`.
    let listener = Bind::new(address).mode(0o600).policy(Policy::same_user()).listen()?;
    loop {
        // A client that disconnects in the middle of a line ends only its own connection.
        let _ = converse(&listener.accept()?.0);
    }
}

fn converse(client: &Stream) -> stoop::Result<()> {
    // A longer line, and a last one without its line feed, are errors: half a command is not executed.
    let mut commands = FrameReader::new(client, Lines).max_bytes(LINE_MAX_BYTES);
    let mut answers = FrameWriter::new(client, Lines);
    while let Some(command) = commands.next()? {
        match command {
            b"status" => answers.send(b"well, thank you")?,
            other => answers.send(format!("unknown: {}", stoop::escaped(other)).as_bytes())?,
        }
        answers.flush()?;
    }
    Ok(())
}
