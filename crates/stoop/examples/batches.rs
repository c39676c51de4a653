//! Several datagrams with one system call: a thousand messages, and how many calls it took to
//! receive them.
//!
//! ```text
//! cargo run -p stoop --example batches
//! ```

use std::io::IoSlice;
use std::process::ExitCode;
use std::thread;

use stoop::{Batch, Datagram};

const MESSAGES: usize = 1000;

fn main() -> ExitCode {
    match run() {
        Ok(calls) => {
            println!("{MESSAGES} messages in {calls} calls");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> stoop::Result<usize> {
    let (sender, receiver) = Datagram::pair()?;
    let sending = thread::spawn(move || {
        let message = [IoSlice::new(b"as small as messages are"); 16];
        let mut left = MESSAGES;
        while left > 0 {
            // Fewer may be sent than were given: if one failed, the next call returns its error.
            left -= sender.send_batch(&message[..left.min(message.len())])?;
        }
        Ok(())
    });

    // All memory is allocated here, once: for up to 64 messages of up to 512 bytes.
    let mut batch = Batch::new(64, 512);
    let (mut received, mut calls) = (0, 0);
    while received < MESSAGES {
        received += receiver.recv_batch(&mut batch)?;
        calls += 1;
        for message in batch.iter() {
            // A message longer than its buffer is an error here; the other messages are unaffected.
            assert_eq!(message.bytes()?, b"as small as messages are");
        }
    }
    sending.join().expect("it does not panic").map(|()| calls)
}
