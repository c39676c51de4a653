//! A server that passes its listening socket to its next version, with the clients that wait in its
//! queue: no client notices.
//!
//! ```text
//! cargo run -p stoop --example hand_over -- ./app.sock ./app.handover one &
//! # `one` hands over and exits:
//! cargo run -p stoop --example hand_over -- ./app.sock ./app.handover two
//! ```

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use stoop::Bind;
use stoop::handover::{Next, Server};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, control, version] = &arguments[..] else {
        eprintln!("usage: hand_over SOCKET CONTROL-SOCKET VERSION");
        return ExitCode::from(2);
    };
    match serve(address, control, version) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: &str, control: &str, version: &str) -> stoop::Result<()> {
    // Asks a running server at the control address for its sockets; binds both if no server runs.
    // Only our own user and root can ask.
    let mut server: Server =
        Server::start(&Bind::new(address).mode(0o600), control, Duration::from_secs(10))?;
    println!("listening, {}", if server.took_over() { "taken over" } else { "the first" });
    loop {
        match server.accept()? {
            // The client may have closed its end by now, which is not an error of the server.
            Next::Client(mut client) => {
                let _ = client.write_all(format!("this is version {version}\n").as_bytes());
            }
            // It failed before it could serve. Nothing has changed for us or for any client.
            Next::NotHandedOver(error) => eprintln!("a successor failed: {error}"),
            // The next version accepts from now on. A server with open connections would finish them here.
            Next::HandedOver => {
                println!("handed over");
                return Ok(());
            }
        }
    }
}
