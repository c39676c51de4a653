//! A codec that passes messages as bytes.

use bytes::{Buf, BufMut, Bytes};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// A tonic codec that passes messages through as bytes.
///
/// For proxies, dynamic calls and tests, which do not decode messages. A message that arrives in
/// one piece is not copied.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # let (_reporter, health) = tonic_health::server::health_reporter();
/// # let routes = tonic::service::Routes::new(health);
/// use bytes::Bytes;
/// use http::uri::PathAndQuery;
/// use stoop_grpc::{Raw, connect};
/// use tonic::client::Grpc;
/// # let incoming = stoop_grpc::Endpoint::try_from(path.as_path())?.listen(|bind| bind).await?;
/// # let server = stoop_grpc::Server::new(routes);
/// # tokio::spawn(server.serve(incoming, std::future::pending::<()>()));
///
/// let mut grpc = Grpc::new(connect(path.as_path()).await?);
/// grpc.ready().await?;
/// let method = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
/// let response = grpc.unary(tonic::Request::new(Bytes::new()), method, Raw).await?;
/// // Field 1 (`status`) is 1 (`SERVING`).
/// assert_eq!(response.into_inner(), [8, 1][..]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
