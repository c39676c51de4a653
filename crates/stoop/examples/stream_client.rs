//! A stream client: sends each argument as a line, and prints the answers.
//!
//! ```text
//! cargo run -p stoop --example stream_client -- ./app.sock hello there
//! ```

use std::io::{Read, Write};
use std::net::Shutdown;
use std::process::ExitCode;
use std::time::Duration;

use stoop::{Connect, Stream};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(address) = arguments.next() else {
        eprintln!("usage: stream_client SOCKET [WORD]…");
        return ExitCode::from(2);
    };
    // A stream client need not bind: the server answers on the connection. This one waits a moment for
    // a server that is just starting.
    let stream = match Connect::new(&address).wait_for_server(Duration::from_secs(10)).stream() {
        Ok(stream) => stream,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match talk(stream, arguments) {
        Ok(answer) => {
            print!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn talk(mut stream: Stream, words: impl Iterator<Item = String>) -> std::io::Result<String> {
    for word in words {
        stream.write_all(format!("{word}\n").as_bytes())?;
    }
    // The server reads the end of the stream, and we can still read its answer.
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
