//! The client: a channel that generated clients call through.

mod connect;
mod local;
mod remote;
mod retry_body;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::codegen::Service;
use tonic::{Status, body::Body};

pub use connect::{Connect, connect};
use local::Local;

use crate::deadline::{self, Side};
use crate::response;

/// A connection to a server, for clients that `tonic-prost-build` generates:
/// `GreeterClient::new(channel)`.
///
/// Cloning is cheap, and clones share one connection.
///
/// A connection that has ended is made again. Calls made meanwhile wait for the server, for as
/// long as [`Connect`] allows. Calls that the old connection had not begun are made on the new
/// one. A call under way when a server exits fails with
/// [`Code::Unavailable`](tonic::Code::Unavailable): only the caller knows whether it is safe to
/// repeat.
///
/// A response that is not gRPC, such as a proxy's, is an error whose source is an
/// [`HttpResponse`](crate::HttpResponse). One that ends without a status is an error, too, since
/// it may be incomplete.
///
/// A call with a deadline (`Request::set_timeout`) fails with
/// [`Code::DeadlineExceeded`](tonic::Code::DeadlineExceeded) when the deadline passes, whether it
/// waits for a connection, for the response, or for the rest of a stream.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # use std::time::Duration;
/// # use stoop_grpc::{Connect, Endpoint};
/// # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
/// let endpoint = Endpoint::try_from(path.as_path())?;
/// let mut client = HealthClient::new(Connect::new(endpoint).lazy()?);
/// // No server is running, and the deadline ends the wait for one.
/// let mut request = tonic::Request::new(HealthCheckRequest::default());
/// request.set_timeout(Duration::from_millis(20));
/// let status = client.check(request).await.unwrap_err();
/// assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Channel(Transport);

#[derive(Clone)]
enum Transport {
    Local(Arc<Local>),
    /// A TCP endpoint, by tonic's own transport.
    Remote(tonic::transport::Channel),
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let timer = deadline::timer(&request, None);
        match self.0.clone() {
            Transport::Local(local) => Box::pin(async move {
                let call = local.call(request);
                match timer {
                    None => call.await,
                    timer => Box::pin(deadline::within(timer, Side::Client, call, Err)).await,
                }
            }),
            Transport::Remote(mut channel) => {
                let call = async move {
                    let failed = |cause: tonic::transport::Error| Status::from_error(cause.into());
                    poll_fn(|cx| channel.poll_ready(cx)).await.map_err(failed)?;
                    response::accept(channel.call(request).await.map_err(failed)?).await
                };
                Box::pin(async { deadline::within(timer, Side::Client, call, Err).await })
            }
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Transport::Local(local) => local.fmt(f),
            Transport::Remote(channel) => channel.fmt(f),
        }
    }
}
