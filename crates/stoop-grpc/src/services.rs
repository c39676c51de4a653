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
/// The sets are encoded file descriptor sets, as `tonic-prost-build` writes them.
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
    let builder = || {
        sets.iter().fold(tonic_reflection::server::Builder::configure(), |builder, set| {
            builder.register_encoded_file_descriptor_set(set)
        })
    };
    let failed = |cause: tonic_reflection::server::Error| crate::Error::Descriptors(cause.into());
    let v1 = builder().build_v1().map_err(failed)?;
    let v1alpha = builder().build_v1alpha().map_err(failed)?;
    Ok(routes.add_service(v1).add_service(v1alpha))
}
