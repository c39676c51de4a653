//! A server whose socket systemd opens. Run by hand, it opens its own.
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

/// The socket we were started with, or one of our own.
fn listener() -> stoop::Result<Listener> {
    match activation::take()? {
        // Checked here: that it is a local socket, of streams, and that it listens (with `Accept=yes` it
        // would be a client).
        Activation::Sockets(sockets) => return sockets.only()?.into_listener(),
        // Inherited from a parent: those sockets are not for us, and a wrapper without `exec` is the usual
        // cause.
        Activation::ForAnotherProcess { pid } => eprintln!("the sockets passed are for process {pid}"),
        Activation::NotActivated | Activation::TakenBefore => {}
    }
    let path = std::env::args().nth(1).unwrap_or_else(|| "./app.sock".into());
    Bind::new(path).mode(0o600).listen()
}

fn serve() -> stoop::Result<()> {
    let listener = listener()?;
    println!("listening");
    // With `Type=notify` in the unit, systemd waits for this before it starts what depends on us. By
    // hand there is nobody to tell, which is no error.
    if let Some(manager) = Notifier::from_env()? {
        manager.ready()?;
        manager.status("waiting for clients")?;
    }
    loop {
        let mut client = listener.accept()?;
        // A client may have gone by now; that is no reason to end.
        let _ = client.write_all(b"hello from behind the door\n");
    }
}
