//! The standard services that tools and orchestrators expect.

use tonic::service::Routes;

/// Adds the standard health service, `grpc.health.v1.Health`.
///
/// The reporter sets the status of each service. The status of the server as a whole (the empty
/// name) is `SERVING` from the start.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # use stoop_grpc::{Endpoint, Server, connect};
/// # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
/// let (reporter, routes) = stoop_grpc::health(tonic::service::Routes::default());
/// reporter.set_service_status("app.v1.App", tonic_health::ServingStatus::NotServing).await;
/// # let incoming = Endpoint::try_from(path.as_path())?.listen(|bind| bind).await?;
/// # tokio::spawn(Server::new(routes).serve(incoming, std::future::pending::<()>()));
///
/// let mut client = HealthClient::new(connect(path.as_path()).await?);
/// for (service, expected) in [("", "SERVING"), ("app.v1.App", "NOT_SERVING")] {
///     let request = HealthCheckRequest { service: service.into() };
///     let response = client.check(request).await?.into_inner();
///     assert_eq!(response.status().as_str_name(), expected);
/// }
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "health")]
pub fn health(routes: Routes) -> (tonic_health::server::HealthReporter, Routes) {
    let (reporter, service) = tonic_health::server::health_reporter();
    (reporter, routes.add_service(service))
}

/// Adds the reflection services, `grpc.reflection.v1` and `v1alpha`, with which tools discover a
/// server's services.
///
/// The sets are encoded file descriptor sets, as `tonic-prost-build` writes them. If the routes
/// have the health service already (see `health`), it is described too.
///
/// ```
/// use stoop_grpc::{Error, reflection};
/// use tonic::service::Routes;
///
/// // `tonic::include_file_descriptor_set!` yields the set of generated code.
/// let routes = reflection(Routes::default(), &[tonic_health::pb::FILE_DESCRIPTOR_SET])?;
/// let invalid = reflection(routes, &[b"not a descriptor set"]);
/// assert!(matches!(invalid, Err(Error::Descriptors(_))));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// Returns an error ([`Error::Descriptors`](crate::Error::Descriptors)) if a set is invalid, or
/// lacks a file that another one imports.
#[cfg(feature = "reflection")]
pub fn reflection(routes: Routes, sets: &[&[u8]]) -> Result<Routes, crate::Error> {
    let is_missing = has_health(&routes) && !sets.iter().any(|set| defines_health(set));
    let health = is_missing.then_some(tonic_health::pb::FILE_DESCRIPTOR_SET);
    let builder = || {
        sets.iter().copied().chain(health).fold(
            tonic_reflection::server::Builder::configure(),
            tonic_reflection::server::Builder::register_encoded_file_descriptor_set,
        )
    };
    let failed = |cause: tonic_reflection::server::Error| crate::Error::Descriptors(cause.into());
    let v1 = builder().build_v1().map_err(failed)?;
    let v1alpha = builder().build_v1alpha().map_err(failed)?;
    Ok(routes.add_service(v1).add_service(v1alpha))
}

/// Returns whether this set has the package of the health service.
#[cfg(feature = "reflection")]
fn defines_health(set: &[u8]) -> bool {
    // The field `package` of a file: number 2, 14 bytes.
    const PACKAGE: &[u8] = b"\x12\x0egrpc.health.v1";
    set.windows(PACKAGE.len()).any(|bytes| bytes == PACKAGE)
}

/// Returns whether the routes have the health service: they answer a call of it with another status
/// than UNIMPLEMENTED. The call has no message, so nothing is run.
#[cfg(feature = "reflection")]
fn has_health(routes: &Routes) -> bool {
    use std::task::{Context, Poll, Waker};
    use tonic::codegen::Service;

    let path = "/grpc.health.v1.Health/Check";
    let request = http::Request::post(path).body(tonic::body::Body::empty());
    let mut routes = routes.clone();
    let answer = std::pin::pin!(routes.call(request.expect("the path is valid")));
    // Routes answer at once what they reject.
    match answer.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(answer)) => {
            let status = answer.headers().get("grpc-status").map(http::HeaderValue::as_bytes);
            status != Some(b"12")
        }
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => false,
    }
}

#[cfg(all(test, feature = "health", feature = "reflection"))]
mod tests {
    use super::*;

    #[test]
    fn health_is_known_if_it_is_there() {
        assert!(!has_health(&Routes::default()));
        let (_reporter, routes) = health(Routes::default());
        assert!(has_health(&routes));
        assert!(defines_health(tonic_health::pb::FILE_DESCRIPTOR_SET) && !defines_health(b"x"));
        assert!(reflection(routes, &[tonic_health::pb::FILE_DESCRIPTOR_SET]).is_ok());
    }
}
