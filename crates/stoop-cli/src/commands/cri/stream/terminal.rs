//! Standard input, and the size of the terminal, sent on streams.

use std::io::{self, Read};
use std::thread;

use rustix::termios::tcgetwinsize;
use serde_json::json;
use signal_hook::consts::SIGWINCH;
use signal_hook::iterator::Signals;

use super::connection::{PIECE_BYTES, Sender};
use super::spdy;
use crate::failure::Failure;

/// Sends standard input on a stream, up to its end. The thread ends with the process.
pub(super) fn send_input(sender: Sender, stream: u32) -> Result<(), Failure> {
    let copy = move || {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            match io::stdin().lock().read(&mut buffer) {
                Ok(len @ 1..) if sender.data_blocking(stream, &buffer[..len], false) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        sender.data_blocking(stream, &[], true);
    };
    let started = thread::Builder::new().spawn(copy).map(drop);
    started.map_err(|error| Failure::io("start a thread", &error))
}

/// Sends the size of the terminal on a stream: now, and whenever it changes.
pub(super) fn send_size(sender: Sender, stream: u32) -> Result<(), Failure> {
    let failed = |error| Failure::io("watch the size of the terminal", &error);
    let mut changes = Signals::new([SIGWINCH]).map_err(failed)?;
    send_size_once(&sender, stream);
    let watch = move || {
        for _ in &mut changes {
            if !send_size_once(&sender, stream) {
                return;
            }
        }
    };
    thread::Builder::new().spawn(watch).map(drop).map_err(failed)
}

fn send_size_once(sender: &Sender, stream: u32) -> bool {
    let Ok(size) = tcgetwinsize(io::stdout()) else { return true };
    let message = json!({"Width": size.ws_col, "Height": size.ws_row});
    sender.at_once(spdy::data(stream, format!("{message}\n").as_bytes(), false))
}
