//! Sends a request to an HTTP server on a Unix domain socket, and prints the response as it
//! arrives.
//!
//! ```text
//! cargo run -p stoop-http --example http_client -- \
//!     /var/run/docker.sock GET /version
//! ```

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use stoop::Connect;
use stoop_http::{Client, Error, Version};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let [address, method, path] = &std::env::args().skip(1).collect::<Vec<_>>()[..] else {
        eprintln!("usage: http_client SOCKET METHOD PATH");
        return ExitCode::from(2);
    };
    match ask(address, method, path).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

// ANCHOR: ask
async fn ask(address: &str, method: &str, path: &str) -> Result<(), Box<dyn std::error::Error>> {
    // `Connect` handles full backlogs and servers that start late.
    let connect = Connect::new(address).timeout(Duration::from_secs(2));
    let stream = connect.stream_async().await.map_err(Error::from)?;
    let mut client = Client::over(stream, Version::Http1).await?;

    let request = Request::builder().method(method).uri(path).body(Empty::<Bytes>::new())?;
    let answer = client.send(request).await?;
    eprintln!("{}", answer.status());
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data() {
            std::io::stdout().write_all(&piece)?;
        }
    }
    Ok(())
}
// ANCHOR_END: ask
