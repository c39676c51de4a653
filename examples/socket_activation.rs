//! A server on a socket that systemd passes to it. Started by hand, it binds its own.
//!
//! ```text
//! cargo build -p stoop --example socket_activation
//! systemd-socket-activate --listen=$PWD/app.sock \
//!     target/debug/examples/socket_activation ./app.sock
//! ```

use std::io::Write;
use std::process::ExitCode;

use stoop::notify::Notifier;
use stoop::{Bind, Policy};

fn main() -> ExitCode {
    let Some(address) = std::env::args().nth(1) else {
        eprintln!("usage: socket_activation SOCKET");
        return ExitCode::from(2);
    };
    match serve(&address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: &str) -> stoop::Result<()> {
    // A passed socket must listen, be a Unix stream socket (with `Accept=yes` it would be a connection),
    // be bound to this address, and let no more users connect than this mode. The policy applies either
    // way.
    let listener = Bind::new(address).mode(0o600).policy(Policy::same_user()).activated(true).listen()?;
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
