//! A server of byte streams: answers every line with the same line in capital letters, to many
//! clients at once.
//!
//! ```text
//! cargo run -p stoop --example stream_server -- ./app.sock
//! ```

use std::io::{BufRead, BufReader, Write};
use std::process::ExitCode;

use stoop::{Bind, Stream};

fn main() -> ExitCode {
    let Some(address) = std::env::args().nth(1) else {
        eprintln!("usage: stream_server ADDRESS");
        return ExitCode::from(2);
    };
    match serve(&address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            // The library looks at the machine for the cause and for a way out.
            let explanation = error.explain();
            eprintln!("  why: {}", explanation.why);
            explanation.next.iter().for_each(|command| eprintln!("  next: {command}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(address: &str) -> stoop::Result<()> {
    // Replaces a file that a crashed server left behind, and never one whose server lives. A signal
    // ends this program on the spot, and the file stays for the next start to replace; `daemon.rs`
    // is the one that ends with grace.
    let listener = Bind::new(address).mode(0o600).listen()?;
    println!("listening");
    loop {
        let client = listener.accept()?;
        // A thread each: one that is slow or silent keeps nobody waiting.
        std::thread::spawn(move || {
            // A client may go at any time; that ends its own conversation and nothing else.
            if let Err(error) = answer(&client) {
                eprintln!("a client has gone: {error}");
            }
        });
    }
}

fn answer(client: &Stream) -> std::io::Result<()> {
    // A stream has no messages: what arrives in one read is not what was written in one write. Lines
    // are our own rule. A client could send one without end, so its length is limited.
    let mut lines = BufReader::new(client);
    loop {
        let mut line = String::new();
        if std::io::Read::take(&mut lines, 64 * 1024).read_line(&mut line)? == 0 {
            return Ok(());
        }
        // Never SIGPIPE: a client that has gone is an error here.
        (&mut &*client).write_all(line.to_uppercase().as_bytes())?;
    }
}
