//! tokio-util's `LengthDelimitedCodec` on tokio's stream, fed without a flush for each message.

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use crate::Result;
use crate::link::Link;
use crate::role::Role;

pub struct Delimited(Framed<UnixStream, LengthDelimitedCodec>);

impl Delimited {
    fn new(stream: UnixStream) -> Self {
        Self(LengthDelimitedCodec::builder().max_frame_length(16 << 20).new_framed(stream))
    }
}

impl Link for Delimited {
    type Listener = UnixListener;

    fn run<T>(work: impl Future<Output = T>) -> T {
        super::tokio_stream::block_on(work)
    }

    async fn listen(role: &Role) -> Result<UnixListener> {
        Ok(UnixListener::bind(&role.path)?)
    }

    async fn accept(listener: &mut UnixListener, _: &Role) -> Result<Self> {
        Ok(Self::new(listener.accept().await?.0))
    }

    async fn connect(role: &Role) -> Result<Self> {
        Ok(Self::new(UnixStream::connect(&role.path).await?))
    }

    async fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.0.feed(Bytes::copy_from_slice(message)).await?)
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(SinkExt::<Bytes>::flush(&mut self.0).await?)
    }

    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        Ok(look(&self.0.next().await.ok_or("the stream was closed too early")??))
    }

    fn receive_more<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<Option<T>> {
        match self.0.next().now_or_never() {
            Some(Some(message)) => Ok(Some(look(&message?))),
            _ => Ok(None),
        }
    }
}
