//! Type erasure for channels, so that types built on one need no type parameter.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use stoop_grpc::internal::accept;
use tonic::Status;
use tonic::body::Body;

type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

/// A channel of any type.
#[derive(Clone)]
pub(crate) struct BoxChannel(Arc<dyn Fn(Request<Body>) -> ResponseFuture + Send + Sync>);

impl BoxChannel {
    pub(crate) fn new<S>(channel: S) -> BoxChannel
    where
        S: tower_service::Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send,
    {
        let call = move |request| -> ResponseFuture {
            let mut channel = channel.clone();
            Box::pin(async move {
                let ready = poll_fn(|cx| channel.poll_ready(cx)).await;
                ready.map_err(|error| Status::from_error(error.into()))?;
                let response = channel.call(request).await;
                let response = response.map_err(|error| Status::from_error(error.into()))?;
                // A channel of `stoop-grpc` has done so already, and any other has not.
                accept(response).await
            })
        };
        BoxChannel(Arc::new(call))
    }
}

impl tower_service::Service<Request<Body>> for BoxChannel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        (self.0)(request)
    }
}

impl fmt::Debug for BoxChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxChannel")
    }
}
