//! A datagram client: sends each argument as one message, and prints the answers.
//!
//! ```text
//! cargo run -p stoop --example datagram_client -- ./app.sock hello there
//! ```

use std::process::ExitCode;
use std::time::Duration;

use stoop::Connect;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(address) = arguments.next() else {
        eprintln!("usage: datagram_client SOCKET [WORD]…");
        return ExitCode::from(2);
    };
    match talk(&address, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn talk(address: &str, words: impl Iterator<Item = String>) -> stoop::Result<()> {
    // A datagram client needs an address to be answered. The kernel chooses one here: an abstract
    // name, which leaves no file behind.
    let socket = Connect::new(address).wait_for_server(Duration::from_secs(10)).datagram()?;
    // If the server exits, its unread messages are lost without an error, so waiting has a limit.
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    for word in words {
        // One send is one message, and one receive gives one message.
        socket.send(word.as_bytes())?;
        let (answer, _) = socket.recv_vec()?;
        println!("{}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}
