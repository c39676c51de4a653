//! A stream server: answers every line with the same line in capital letters, for many clients at
//! once.
//!
//! ```text
//! cargo run -p stoop --example stream_server -- ./app.sock
//! ```

use std::process::ExitCode;

use stoop::frame::{FrameReader, FrameWriter, Lines};
use stoop::{Bind, Stream};

fn main() -> ExitCode {
    let Some(address) = std::env::args().nth(1) else {
        eprintln!("usage: stream_server SOCKET");
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
    // Replaces a file that a crashed server left behind, and never that of a live server. A signal
    // kills this program at once, and its file stays for the next start to replace; `daemon.rs` shuts
    // down gracefully.
    let listener = Bind::new(address).mode(0o600).listen()?;
    println!("listening");
    loop {
        let (client, _) = listener.accept()?;
        // A thread each, so that a slow or silent client does not delay the others.
        std::thread::spawn(move || {
            // A client may disconnect at any time, which ends only its own connection.
            if let Err(error) = answer(&client) {
                eprintln!("a client disconnected: {error}");
            }
        });
    }
}

fn answer(client: &Stream) -> stoop::Result<()> {
    // A stream has no message boundaries: one read may return less or more than one write. Lines are
    // our own framing. Their length is limited, since a client could send one that never ends. A last
    // line without its line feed is an error, since it may be incomplete.
    let mut lines = FrameReader::new(client, Lines).max_bytes(64 * 1024);
    let mut answers = FrameWriter::new(client, Lines);
    while let Some(line) = lines.next()? {
        answers.send(&line.to_ascii_uppercase())?;
        // Never raises SIGPIPE: a closed connection is an error here.
        answers.flush()?;
    }
    Ok(())
}
