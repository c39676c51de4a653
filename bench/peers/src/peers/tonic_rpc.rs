//! tonic: unary gRPC calls over a stream, with a codec that leaves the bytes as they are.

use std::task::{Context, Poll};

use bytes::{Buf, BufMut};
use http::uri::PathAndQuery;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Endpoint;
use tonic::{Request, Response, Status};
use tower::service_fn;

use super::rpc::ask_many;
use crate::Result;
use crate::role::Role;

#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, to: &mut EncodeBuf<'_>) -> std::result::Result<(), Status> {
        to.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> std::result::Result<Option<Vec<u8>>, Status> {
        let mut message = vec![0; from.remaining()];
        from.copy_to_slice(&mut message);
        Ok(Some(message))
    }
}

/// Answers one request.
#[derive(Clone)]
struct Echo;

impl tower::Service<Request<Vec<u8>>> for Echo {
    type Response = Response<Vec<u8>>;
    type Error = Status;
    type Future = std::future::Ready<std::result::Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Vec<u8>>) -> Self::Future {
        std::future::ready(Ok(Response::new(request.into_inner())))
    }
}

pub fn run_role(role: &Role) -> Result<()> {
    super::tokio_stream::block_on(async { if role.serves { serve(role).await } else { ask(role).await } })
}

async fn serve(role: &Role) -> Result<()> {
    let listener = UnixListener::bind(&role.path)?;
    println!("ready");
    let (stream, _) = listener.accept().await?;
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
        let request = request.map(Body::new);
        Ok::<_, std::convert::Infallible>(tonic::server::Grpc::new(Raw).unary(Echo, request).await)
    });
    let http = Builder::new(TokioExecutor::new()).http2_only();
    let service = TowerToHyperService::new(service);
    http.serve_connection(TokioIo::new(stream), service).await.map_err(|error| error.to_string())?;
    Ok(())
}

async fn ask(role: &Role) -> Result<()> {
    let path = role.path.clone();
    let connector = service_fn(move |_| {
        let path = path.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
    });
    let channel = Endpoint::from_static("http://localhost").connect_with_connector(connector).await?;
    ask_many(role, |message| {
        let mut client = Grpc::new(channel.clone());
        async move {
            client.ready().await?;
            let path = PathAndQuery::from_static("/peers.Echo/Echo");
            Ok(client.unary(Request::new(message), path, Raw).await?.into_inner())
        }
    })
    .await
}
