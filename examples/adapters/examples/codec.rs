//! A codec of tokio-util over `aio::Stream`: lines in both directions.
//!
//! ```text
//! cargo run -p stoop-adapters --example codec
//! ```

use std::error::Error;

use futures_util::{SinkExt, StreamExt};
use stoop::aio;
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};

/// Answers each line in upper case, until the client shuts down.
pub async fn shout(stream: aio::Stream) -> Result<(), LinesCodecError> {
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(1024));
    while let Some(line) = lines.next().await {
        lines.send(line?.to_uppercase()).await?;
    }
    Ok(())
}

/// Sends a line, and returns the answer.
pub async fn run() -> Result<String, Box<dyn Error>> {
    let (client, server) = aio::Stream::pair()?;
    tokio::spawn(shout(server));
    let mut lines = Framed::new(client, LinesCodec::new());
    lines.send("hello").await?;
    Ok(lines.next().await.ok_or("the server closed the connection")??)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", run().await?);
    Ok(())
}
