//! A server on a socket that systemd passes to it. Started by hand, it binds its own.
//!
//! ```text
//! cargo build -p stoop --example socket_activation
//! systemd-socket-activate --listen=$PWD/app.sock target/debug/examples/socket_activation
//! ```

use std::io::Write;
use std::process::ExitCode;

use stoop::activation::{self, Activation};
use stoop::notify::Notifier;
use stoop::{Bind, Listener};

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the inherited socket, or a new one.
fn listener() -> stoop::Result<Listener> {
    match activation::take()? {
        // This checks that it is a Unix stream socket, and that it listens (with `Accept=yes` it would be
        // a connection).
        Activation::Sockets(sockets) => return sockets.only()?.try_into(),
        // The variables were meant for another process, usually for a wrapper that started us without
        // `exec`.
        Activation::ForAnotherProcess { pid } => eprintln!("the sockets passed are for process {pid}"),
        Activation::NotActivated | Activation::TakenBefore => {}
    }
    let path = std::env::args().nth(1).unwrap_or_else(|| "./app.sock".into());
    Bind::new(path).mode(0o600).listen()
}

fn serve() -> stoop::Result<()> {
    let listener = listener()?;
    println!("listening");
    // With `Type=notify` in the unit, systemd waits for this before it starts dependent units. Started
    // by hand, this does nothing.
    if let Some(manager) = Notifier::from_env()? {
        manager.ready()?;
        manager.status("waiting for clients")?;
    }
    loop {
        let (mut client, _) = listener.accept()?;
        // The client may have closed its end by now, which is not an error of the server.
        let _ = client.write_all(b"hello from behind the door\n");
    }
}
