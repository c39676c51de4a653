//! A stream server: answers every line with the same line in capital letters, for many clients at
//! once.
//!
//! ```text
//! cargo run -p stoop --example stream_server -- ./app.sock
//! ```

use std::io::{BufRead, BufReader, Write};
use std::process::ExitCode;

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

fn answer(client: &Stream) -> std::io::Result<()> {
    // A stream has no message boundaries: one read may return less or more than one write. Lines are
    // our own framing. Their length is limited, since a client could send one that never ends.
    let mut lines = BufReader::new(client);
    loop {
        let mut line = String::new();
        if std::io::Read::take(&mut lines, 64 * 1024).read_line(&mut line)? == 0 {
            return Ok(());
        }
        // Never raises SIGPIPE: a closed connection is an error here.
        (&mut &*client).write_all(line.to_uppercase().as_bytes())?;
    }
}
