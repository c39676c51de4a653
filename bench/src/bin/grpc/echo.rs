//! An echo service, and its client: the codec passes bytes through, so that nothing but the
//! transport is measured.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use stoop_grpc::Raw;
use tonic::body::Body;
use tonic::codegen::{Bytes, Service, StdError, http};
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status};

#[derive(Clone)]
pub struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "stoop.bench.Echo";
}

type Answer<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async { Ok(Grpc::new(Raw).unary(Back, request).await) })
    }
}

struct Back;

impl Service<Request<Bytes>> for Back {
    type Response = Response<Bytes>;
    type Error = Status;
    type Future = Answer<Response<Bytes>, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        Box::pin(async { Ok(Response::new(request.into_inner())) })
    }
}

/// Makes one call, and checks the response.
pub async fn call<C>(client: &mut tonic::client::Grpc<C>, number: u64) -> Result<(), Status>
where
    C: tonic::client::GrpcService<Body>,
    C::ResponseBody: tonic::codegen::Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
{
    client.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let message = Bytes::from([number.to_be_bytes(); 8].concat());
    let path = http::uri::PathAndQuery::from_static("/stoop.bench.Echo/Back");
    let answer = client.unary(Request::new(message.clone()), path, Raw).await?.into_inner();
    if answer == message { Ok(()) } else { Err(Status::data_loss("another message came back")) }
}
