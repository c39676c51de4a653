//! A server whose next version takes over its name while it runs. No client is refused in between.
//!
//! ```text
//! cargo run -p stoop --example take_over -- ./app.sock one &
//! cargo run -p stoop --example take_over -- ./app.sock two    # `one` finishes and exits
//! ```

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use stoop::{Bind, Stream};

fn main() -> ExitCode {
    let (Some(address), Some(version)) = (std::env::args().nth(1), std::env::args().nth(2)) else {
        eprintln!("usage: take_over SOCKET VERSION");
        return ExitCode::from(2);
    };
    match serve(&address, &version) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: &str, version: &str) -> stoop::Result<()> {
    // `replace` is for names with a live server. The new socket listens already when it gets the name,
    // atomically.
    let listener = Bind::new(address).mode(0o600).replace(true).listen()?;
    println!("listening");

    // Checks from time to time whether the name still belongs to us.
    listener.set_read_timeout(Some(Duration::from_millis(100)))?;
    while listener.file().is_none_or(|file| file.is_in_place()) {
        match listener.accept() {
            Ok((client, _)) => greet(client, version),
            Err(error) if error.is_would_block() => {}
            Err(error) => return Err(error),
        }
    }

    // Clients that connected before the change are in our queue alone.
    for client in listener.drain()? {
        greet(client?, version);
    }
    println!("replaced");
    // The file belongs to another server now; dropping the listener does not remove it.
    Ok(())
}

fn greet(mut client: Stream, version: &str) {
    // The client may have closed its end by now, which is not an error of the server.
    let _ = client.write_all(format!("this is version {version}\n").as_bytes());
}
