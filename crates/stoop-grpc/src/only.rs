//! Authorization of one service by policy.

use std::sync::Arc;

use stoop::Policy;
use tonic::{Request, Status};

use crate::Caller;

/// Creates an interceptor that restricts one service to the callers a policy allows.
///
/// Other calls fail with `PERMISSION_DENIED`. To restrict a whole socket, use
/// [`Bind::policy`](stoop::Bind::policy), which refuses the connection itself.
///
/// A call that did not arrive over a Unix socket has no peer credentials, and is refused.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # let (_reporter, health) = tonic_health::server::health_reporter();
/// use stoop::Policy;
/// use stoop_grpc::{Endpoint, Server, connect, only};
/// use tonic::service::{Routes, interceptor::InterceptedService};
/// # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
///
/// // For a generated service: `GreeterServer::with_interceptor(greeter, only(policy))`.
/// let health = InterceptedService::new(health, only(Policy::nobody()));
/// let incoming = Endpoint::try_from(path.as_path())?.listen(|bind| bind).await?;
/// tokio::spawn(Server::new(Routes::new(health)).serve(incoming, std::future::pending::<()>()));
///
/// let mut client = HealthClient::new(connect(path.as_path()).await?);
/// let status = client.check(HealthCheckRequest::default()).await.unwrap_err();
/// assert_eq!(status.code(), tonic::Code::PermissionDenied);
/// # Ok(())
/// # }
/// ```
pub fn only(policy: Policy) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone {
    let policy = Arc::new(policy);
    move |request| match Caller::of(request.extensions()) {
        Some(caller) if caller.is_allowed_by(&policy) => Ok(request),
        Some(_) => Err(Status::permission_denied("this user is not allowed to call this service")),
        None => Err(Status::permission_denied(
            "the caller is unknown: the call did not arrive over a Unix socket",
        )),
    }
}
