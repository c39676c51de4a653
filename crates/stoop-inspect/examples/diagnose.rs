//! A client that says why it cannot connect: the cause, what supports it, and what may remedy it.
//!
//! ```text
//! cargo run -p stoop-inspect --example diagnose -- ./app.sock
//! ```

use std::process::ExitCode;

use stoop::Stream;

fn main() -> ExitCode {
    let Some(address) = std::env::args().nth(1) else {
        eprintln!("usage: diagnose ADDRESS");
        return ExitCode::from(2);
    };
    match Stream::connect(&address) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            // No file, no listener, no permission (and on which directory), or another socket type?
            eprintln!("{}", stoop_inspect::diagnose(&error));
            ExitCode::FAILURE
        }
    }
}
