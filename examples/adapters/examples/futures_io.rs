//! `aio::Stream` for libraries that are written for the traits of futures-io.
//!
//! ```text
//! cargo run -p stoop-adapters --example futures_io
//! ```

use std::io;

use futures_util::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use stoop::aio;
use tokio_util::compat::TokioAsyncReadCompatExt;

/// Sends everything back that arrives. Written without tokio.
pub async fn echo(stream: impl AsyncRead + AsyncWrite) -> io::Result<u64> {
    let (reader, mut writer) = stream.split();
    let bytes = futures_util::io::copy(reader, &mut writer).await?;
    writer.close().await?;
    Ok(bytes)
}

/// Sends some bytes, and returns what comes back.
pub async fn run() -> io::Result<String> {
    let (client, server) = aio::Stream::pair()?;
    let echo = tokio::spawn(echo(server.compat()));
    let mut client = client.compat();
    client.write_all(b"hello").await?;
    client.close().await?; // shuts down the write half
    let mut text = String::new();
    client.read_to_string(&mut text).await?;
    let bytes = echo.await??;
    Ok(format!("{text}: {bytes} bytes"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    println!("{}", run().await?);
    Ok(())
}
