//! A server that passes its listening socket itself to its next version: the queue goes along, and
//! nobody notices.
//!
//! ```text
//! cargo run -p stoop --example hand_over -- ./app.sock ./app.handover one &
//! cargo run -p stoop --example hand_over -- ./app.sock ./app.handover two    # `one` hands over and ends
//! ```

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use stoop::Bind;
use stoop::handover::{Next, Server};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, control, version] = &arguments[..] else {
        eprintln!("usage: hand_over ADDRESS CONTROL-ADDRESS VERSION");
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
    // Asks at the control address for a running server, and takes its sockets; where none runs, binds
    // both. Only our own user and root can ask.
    let mut server: Server =
        Server::start(&Bind::new(address).mode(0o600), control, Duration::from_secs(10))?;
    println!("listening, {}", if server.took_over() { "taken over" } else { "the first" });
    loop {
        match server.accept()? {
            // A client may have gone by now; that is no reason to end.
            Next::Client(mut client) => {
                let _ = client.write_all(format!("this is version {version}\n").as_bytes());
            }
            // It broke before it could serve. Nothing has changed for us, or for anybody.
            Next::NotHandedOver(error) => eprintln!("a successor failed: {error}"),
            // The next version accepts from here on. Here a server with conversations under way would finish
            // them.
            Next::HandedOver => {
                println!("handed over");
                return Ok(());
            }
        }
    }
}
