//! Requests and responses as messages on a stream, many in each system call: a server that returns
//! the length of each request.
//!
//! ```text
//! cargo run -p stoop --example frames -- serve ./app.sock &
//! cargo run -p stoop --example frames -- ask ./app.sock 10000
//! ```

use std::process::ExitCode;

use stoop::frame::{FrameReader, FrameWriter, Native};
use stoop::{Bind, Policy, Stream};

/// The number of requests in flight. With more, both sides could block on a full buffer, each
/// waiting for the other to read.
const WINDOW: u32 = 256;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["serve", address] => serve(address),
        ["ask", address, count] => ask(address, count.parse().unwrap_or(1)),
        _ => {
            eprintln!("usage: frames serve SOCKET | frames ask SOCKET COUNT");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: &str) -> stoop::Result<()> {
    let listener = Bind::new(address).policy(Policy::same_user()).listen()?;
    println!("listening");
    loop {
        let (client, _) = listener.accept()?;
        std::thread::spawn(move || {
            if let Err(error) = answer(&client) {
                eprintln!("a client disconnected: {error}");
            }
        });
    }
}

// ANCHOR: answer
fn answer(client: &Stream) -> stoop::Result<()> {
    // The limit is ours to choose. A longer message is refused before memory is allocated for it.
    let mut requests = FrameReader::new(client, Native).max_bytes(64 * 1024);
    let mut answers = FrameWriter::new(client, Native);
    while let Some(request) = requests.next()? {
        answers.send(&(request.len() as u32).to_le_bytes())?;
        // Requests of the same read are answered too…
        while let Some(request) = requests.next_buffered()? {
            answers.send(&(request.len() as u32).to_le_bytes())?;
        }
        // …and all responses are sent with one system call before the next wait.
        answers.flush()?;
    }
    Ok(())
}
// ANCHOR_END: answer

// ANCHOR: ask
fn ask(address: &str, count: u32) -> stoop::Result<()> {
    let server = Stream::connect(address)?;
    let mut requests = FrameWriter::new(&server, Native);
    let mut answers = FrameReader::new(&server, Native);
    let (mut sent, mut right) = (0, 0);
    for number in 0..count {
        while sent < count && sent - number < WINDOW {
            requests.send(&message(sent))?;
            sent += 1;
        }
        // About to wait, so everything has to be sent. Costs nothing if the buffer is empty.
        requests.flush()?;
        let expected = message(number).len() as u32;
        right += u32::from(answers.next()? == Some(&expected.to_le_bytes()[..]));
    }
    println!("{right} of {count} answers right");
    Ok(())
}
// ANCHOR_END: ask

/// Returns messages of many lengths, an empty one among them.
fn message(number: u32) -> Vec<u8> {
    vec![b'x'; number as usize % 100]
}
