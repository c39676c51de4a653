//! Servers of a thousand clients, on one thread each: plain tokio, and stoop's `serve`. The clients
//! are in `c/peers.c`.

use stoop::serve::Server;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::tokio_stream::block_on;
use crate::Result;
use crate::role::Role;

/// Longer than a message, so that a read shows whether there may be more.
const BUFFER_BYTES: usize = 72;

/// Answers until the client closes.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps room for its argument twice")]
fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> impl Future<Output = ()> {
    async move {
        let mut buffer = [0; BUFFER_BYTES];
        while let Ok(len @ 1..) = stream.read(&mut buffer).await {
            if stream.write_all(&buffer[..len]).await.is_err() {
                return;
            }
        }
    }
}

pub fn tokio(role: &Role) -> Result<()> {
    block_on(async {
        let listener = tokio::net::UnixListener::bind(&role.path)?;
        println!("ready");
        loop {
            tokio::spawn(echo(listener.accept().await?.0));
        }
    })
}

pub fn stoop(role: &Role) -> Result<()> {
    block_on(async {
        let listener = super::tokio_stream::listen(role)?;
        println!("ready");
        Server::new(listener).run(|stream, _| echo(stream), std::future::pending::<()>()).await?;
        Ok(())
    })
}
