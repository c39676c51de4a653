//! WebSockets over a Unix socket, on both ends: tokio-tungstenite over `aio::Stream`.
//!
//! ```text
//! cargo run -p stoop-adapters --example websocket
//! ```

use std::error::Error;

use futures_util::{SinkExt, StreamExt};
use stoop::aio;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

/// Sends each message back, until the client closes.
pub async fn echo(stream: aio::Stream) -> tungstenite::Result<()> {
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

/// Completes the client's half of the handshake.
///
/// Of the URL, only the host and the path are sent.
pub async fn connect(stream: aio::Stream) -> tungstenite::Result<WebSocketStream<aio::Stream>> {
    let (socket, _response) = client_async("ws://localhost/", stream).await?;
    Ok(socket)
}

/// Sends a message, and returns what comes back.
pub async fn run() -> Result<String, Box<dyn Error>> {
    let (client, server) = aio::Stream::pair()?;
    let echo = tokio::spawn(echo(server));
    let mut socket = connect(client).await?;
    socket.send(Message::text("hello")).await?;
    let message = socket.next().await.ok_or("the server closed the connection")??;
    socket.close(None).await?;
    while socket.next().await.is_some() {} // until the server has closed, too
    echo.await??;
    Ok(message.into_text()?.to_string())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", run().await?);
    Ok(())
}
