//! File descriptors on a stream of messages: each arrives with the message it was sent with,
//! however the bytes are split into reads.
//!
//! ```text
//! cargo run -p stoop --example frame_descriptors -- README.md LICENSE-MIT
//! ```

use std::error::Error;
use std::fs::File;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::thread;

use stoop::frame::{FrameReader, FrameWriter, Native};
use stoop::{Allow, Stream};

fn main() -> ExitCode {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    match run(&paths) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(paths: &[String]) -> Result<(), Box<dyn Error>> {
    let (ours, theirs) = Stream::pair()?;
    thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(theirs).map_err(|error| error.to_string()));
        let sent = send(ours, paths);
        receiver.join().expect("it does not panic")?;
        sent
    })
}

fn send(stream: Stream, paths: &[String]) -> Result<(), Box<dyn Error>> {
    let mut writer = FrameWriter::new(stream, Native);
    for path in paths {
        writer.send(b"the next one brings a file")?; // buffered here…
        let file = File::open(path)?;
        writer.send_with_descriptors(path.as_bytes(), &[file.as_fd()])?; // …and sent just before this one
    }
    Ok(writer.flush()?)
}

fn receive(stream: Stream) -> Result<(), Box<dyn Error>> {
    let mut reader = FrameReader::new(stream, Native).max_bytes(4096);
    // Do not read this stream in any other way: on a plain read the kernel drops the files.
    while let Some((message, mut files)) = reader.next_with_descriptors(Allow::descriptors(1))? {
        let message = stoop::escaped(message);
        match files.pop() {
            Some(file) => println!("{message}: a file of {} bytes", File::from(file).metadata()?.len()),
            None => println!("{message}"),
        }
    }
    Ok(())
}
