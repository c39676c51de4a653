//! Many clients on one thread: each connects, sends a line, and reads the answer.
//!
//! ```text
//! cargo run -p stoop --features tokio --example many_clients -- ./app.sock 200
//! ```

use std::process::ExitCode;
use std::time::Duration;

use stoop::Connect;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::timeout;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, count] = &arguments[..] else {
        eprintln!("usage: many_clients SOCKET COUNT");
        return ExitCode::from(2);
    };
    let Ok(count) = count.parse::<usize>() else {
        eprintln!("error: '{count}' is not a number");
        return ExitCode::from(2);
    };

    let mut clients = JoinSet::new();
    for number in 0..count {
        // If the server's backlog is full, tasks wait and no thread blocks.
        let connect =
            Connect::new(address).timeout(Duration::from_secs(10)).wait_for_server(Duration::from_secs(10));
        // Async sockets have no timeouts of their own: tokio's covers the whole exchange.
        clients.spawn(timeout(Duration::from_secs(20), ask(connect, number)));
    }
    let mut answered = 0;
    while let Some(done) = clients.join_next().await {
        match done.expect("no client panics") {
            Ok(Ok(true)) => answered += 1,
            Ok(Ok(false)) => eprintln!("a wrong answer"),
            Ok(Err(error)) => eprintln!("no answer: {error}"),
            Err(late) => eprintln!("no answer in time: {late}"),
        }
    }
    println!("{answered} of {count} answered");
    if answered == count { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn ask(connect: Connect, number: usize) -> std::io::Result<bool> {
    let mut stream = connect.stream_async().await?;
    stream.write_all(format!("client {number}\n").as_bytes()).await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer == format!("CLIENT {number}\n"))
}
