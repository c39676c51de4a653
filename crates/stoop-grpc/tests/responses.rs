//! Responses that tonic alone would misread, as a client of a channel sees them.

use std::error::Error;
use std::future::pending;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use stoop_grpc::{HttpResponse, code_name, code_number, connect};
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

/// Makes a call that is answered with this status of HTTP, these headers and this body, and no
/// trailers.
async fn answered(
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static [u8],
) -> Status {
    let directory = stoop_testkit::tempdir();
    let path = directory.path().join("app.sock");
    let listener = stoop::Bind::new(&path).listen_async().await.unwrap();
    let respond = service_fn(move |_: Request<Incoming>| async move {
        let response = Response::builder().status(status);
        let response =
            headers.iter().fold(response, |response, (name, value)| response.header(*name, *value));
        response.body(Full::new(Bytes::from_static(body)))
    });
    let server = stoop_http::Server::new(stoop::serve::Server::new(listener));
    tokio::spawn(server.run(respond, pending::<()>()));
    let mut client = HealthClient::new(connect(path.as_path()).await.unwrap());
    client.check(HealthCheckRequest::default()).await.unwrap_err()
}

fn source<E: Error + 'static>(status: &Status) -> Option<&E> {
    status.source()?.downcast_ref()
}

#[tokio::test(flavor = "current_thread")]
async fn a_response_of_http_has_the_code_that_grpc_assigns() {
    for (status, code) in [
        (400, Code::Internal),
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::Unimplemented),
        (429, Code::Unavailable),
        (502, Code::Unavailable),
        (500, Code::Unknown),
        (200, Code::Unknown),
    ] {
        let failed = answered(status, &[("content-type", "text/html")], b"\n<h1>no</h1>\n").await;
        let response: &HttpResponse = source(&failed).unwrap();
        assert_eq!((failed.code(), response.status.as_u16()), (code, status), "{failed:?}");
        assert_eq!((&*response.line, response.content_type.as_deref()), ("<h1>no</h1>", Some("text/html")));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_response_without_a_status_is_no_success() {
    // A whole message: SERVING.
    let failed = answered(200, &[("content-type", "application/grpc")], &[0, 0, 0, 0, 2, 8, 1]).await;
    assert_eq!((failed.code(), failed.message()), (Code::Unknown, "the response ended without a status"));
}

#[tokio::test(flavor = "current_thread")]
async fn a_status_keeps_its_code_whatever_else_is_invalid() {
    const TYPE: (&str, &str) = ("content-type", "application/grpc");
    let invalid = answered(200, &[TYPE, ("grpc-status", "5"), ("grpc-message", "100%zz %E4%")], b"").await;
    assert_eq!((invalid.code(), invalid.message()), (Code::NotFound, "100%zz \u{fffd}%"));
    let own = answered(200, &[TYPE, ("grpc-status", "4711")], b"").await;
    assert_eq!((own.code(), code_number(&own), &*code_name(&own)), (Code::Unknown, 4711, "4711"));
    let details = answered(200, &[TYPE, ("grpc-status", "9"), ("grpc-status-details-bin", "?")], b"").await;
    assert_eq!((details.code(), details.details()), (Code::FailedPrecondition, &b""[..]));
}
