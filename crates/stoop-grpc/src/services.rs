//! The standard services that tools and orchestrators expect.

use tonic::service::Routes;

/// Adds the standard health service, `grpc.health.v1.Health`.
///
/// The reporter sets the status of each service. The status of the server as a whole (the empty
/// name) is `SERVING` from the start.
///
/// ```
/// # async fn health() {
/// let (reporter, routes) = stoop_grpc::health(tonic::service::Routes::default());
/// reporter.set_service_status("app.v1.App", tonic_health::ServingStatus::Serving).await;
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
/// let routes = tonic::service::Routes::default();
/// let routes = stoop_grpc::reflection(routes, &[/* proto::FILE_DESCRIPTOR_SET */])?;
/// # Ok::<(), stoop_grpc::Error>(())
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
