//! A daemon: it answers every line in capital letters, accepts its own user and root, limits the
//! resources of its clients, and on SIGTERM or Ctrl-C finishes the requests in progress before it
//! exits.
//!
//! ```text
//! cargo run -p stoop --features tokio --example daemon -- ./app.sock
//! ```

use std::process::ExitCode;
use std::time::Duration;

use stoop::aio::{FrameReader, FrameWriter, Stream};
use stoop::frame::Lines;
use stoop::serve::{Draining, Server};
use stoop::{Bind, Policy};
use tokio::signal::unix::{SignalKind, signal};

/// The longest accepted line: without a limit, a client could send one that never ends.
const LINE_MAX_BYTES: usize = 64 * 1024;

// One thread serves thousands of clients that mostly wait.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(address) = std::env::args().nth(1) else {
        eprintln!("usage: daemon SOCKET");
        return ExitCode::from(2);
    };
    match serve(&address).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    // Registered before the socket is bound, so that no signal comes too early.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = Bind::new(address).mode(0o600).policy(Policy::same_user()).listen_async().await?;
    let server = Server::new(listener)
        .max_connections(100) // more wait in the queue
        .idle_timeout(Duration::from_secs(60)) // closes silent connections
        .drain_deadline(Duration::from_secs(5));
    let (counters, draining) = (server.counters(), server.draining());
    println!("listening");

    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    server
        .run(
            move |stream, _peer| {
                let draining = draining.clone();
                // A client may disconnect at any time, which ends only its own connection.
                async move { drop(answer(stream, draining).await) }
            },
            shutdown,
        )
        .await?;

    let seen = counters.snapshot();
    println!(
        "clients: {} served, {} finished, {} cut",
        seen.accepted,
        seen.finished,
        seen.aborted + seen.idle
    );
    Ok(())
}

async fn answer(stream: Stream, mut draining: Draining) -> stoop::Result<()> {
    // A longer line, and a last one without its line feed, are errors: half a request is not answered.
    let mut requests = FrameReader::new(&stream, Lines).max_bytes(LINE_MAX_BYTES);
    let mut answers = FrameWriter::new(&stream, Lines);
    loop {
        // Requests that have arrived are answered. A client without one does not delay the shutdown.
        let request = tokio::select! {
            biased;
            request = requests.next() => request?,
            () = draining.wait() => return Ok(()),
        };
        let Some(request) = request else { return Ok(()) };
        answers.send(&request.to_ascii_uppercase()).await?;
        answers.flush().await?;
    }
}
