//! Requests and answers as messages on a stream, many in each system call: a server that counts the
//! bytes of what it is sent.
//!
//! ```text
//! cargo run -p stoop --example frames -- serve ./app.sock &
//! cargo run -p stoop --example frames -- ask ./app.sock 10000
//! ```

use std::process::ExitCode;

use stoop::frame::{FrameReader, FrameWriter, Native};
use stoop::{Bind, Policy, Stream};

/// How many requests are under way at once: more, and both sides could wait for room, each for the
/// other to read.
const WINDOW: u32 = 256;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["serve", address] => serve(address),
        ["ask", address, count] => ask(address, count.parse().unwrap_or(1)),
        _ => {
            eprintln!("usage: frames serve ADDRESS | frames ask ADDRESS COUNT");
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
        let client = listener.accept()?;
        std::thread::spawn(move || {
            if let Err(error) = answer(&client) {
                eprintln!("a client has gone: {error}");
            }
        });
    }
}

// ANCHOR: answer
fn answer(client: &Stream) -> stoop::Result<()> {
    // The longest message is our decision. A longer one is refused before anything is allocated for it.
    let mut requests = FrameReader::new(client, Native).max_bytes(64 * 1024);
    let mut answers = FrameWriter::new(client, Native);
    while let Some(request) = requests.next()? {
        answers.send(&(request.len() as u32).to_le_bytes())?;
        // Whatever came in the same read is answered too…
        while let Some(request) = requests.next_buffered()? {
            answers.send(&(request.len() as u32).to_le_bytes())?;
        }
        // …and before waiting for more, all answers go in one system call.
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
        // About to wait: nothing may be left behind here. Costs nothing where nothing is.
        requests.flush()?;
        let expected = message(number).len() as u32;
        right += u32::from(answers.next()? == Some(&expected.to_le_bytes()[..]));
    }
    println!("{right} of {count} answers right");
    Ok(())
}
// ANCHOR_END: ask

/// Messages of many lengths, the empty one among them.
fn message(number: u32) -> Vec<u8> {
    vec![b'x'; number as usize % 100]
}
