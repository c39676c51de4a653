//! Checks a response before tonic does, which reads every HTTP response as gRPC, takes a response
//! without a status for a success, gives up the code of a status whose message is invalid, and
//! panics on invalid details.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::code::keep_number;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Details are base64, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How many bytes of a page are read for its first line, and for how long.
const MAX_PAGE_BYTES: usize = 4096;
const PAGE_TIMEOUT: Duration = Duration::from_secs(1);

/// How much of the first line is kept.
const MAX_LINE_CHARS: usize = 200;

/// An HTTP response that is not gRPC, such as a proxy's.
///
/// A [`Channel`](crate::Channel) fails the call with the [`Code`] that gRPC assigns to the HTTP
/// status, and this is the source of that [`Status`].
///
/// ```
/// # #[cfg(feature = "server")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # use std::error::Error;
/// # use hyper::{Request, Response, body::Incoming, service::service_fn};
/// # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
/// # let listener = stoop::Bind::new(&path).listen_async().await?;
/// use stoop_grpc::{HttpResponse, connect};
///
/// let busy = service_fn(|_: Request<Incoming>| async {
///     Response::builder().status(503).body("try again later".to_owned())
/// });
/// # let server = stoop_http::Server::new(stoop::serve::Server::new(listener));
/// # tokio::spawn(server.run(busy, std::future::pending::<()>()));
/// let mut client = HealthClient::new(connect(path.as_path()).await?);
/// let status = client.check(HealthCheckRequest::default()).await.unwrap_err();
/// assert_eq!(status.code(), tonic::Code::Unavailable);
/// let response: &HttpResponse = status.source().unwrap().downcast_ref().unwrap();
/// assert_eq!((response.status.as_u16(), &*response.line), (503, "try again later"));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "server"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpResponse {
    /// The status of HTTP.
    pub status: StatusCode,
    /// The content type. It comes from the peer and is untrusted.
    pub content_type: Option<String>,
    /// The first line of the body that is not blank; empty if there is none. It comes from the peer
    /// and is untrusted.
    pub line: String,
}

impl fmt::Display for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP status {}", self.status)?;
        match &self.content_type {
            Some(content_type) => write!(f, ", content type '{content_type}'"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for HttpResponse {}

impl From<HttpResponse> for Status {
    fn from(response: HttpResponse) -> Status {
        let code = match response.status.as_u16() {
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502 | 503 | 504 => Code::Unavailable,
            _ => Code::Unknown,
        };
        let mut status = Status::new(code, response.to_string());
        status.set_source(Arc::new(response));
        status
    }
}

/// A response that ended without a status, so that it may be incomplete.
#[derive(Clone, Copy, Debug)]
pub struct NoStatus;

impl fmt::Display for NoStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response ended without a status")
    }
}

impl std::error::Error for NoStatus {}

impl From<NoStatus> for Status {
    fn from(error: NoStatus) -> Status {
        let mut status = Status::unknown(error.to_string());
        status.set_source(Arc::new(error));
        status
    }
}

/// Returns the response in a form that tonic reads as it was meant.
///
/// # Errors
/// Returns an error if the response is not one of gRPC.
pub async fn accept<B>(response: Response<B>) -> Result<Response<Body>, Status>
where
    B: HttpBody<Data = Bytes, Error = Status> + Send + Unpin + 'static,
{
    let (mut parts, body) = response.into_parts();
    if !is_grpc(parts.status, &parts.headers) {
        // Boxed: the size of this future is copied for every call.
        let line = Box::pin(first_line(body)).await;
        let content_type = text_of(&parts.headers, &CONTENT_TYPE);
        return Err(HttpResponse { status: parts.status, content_type, line }.into());
    }
    let has_status = parts.headers.contains_key(GRPC_STATUS);
    if has_status {
        repair(&mut parts.headers);
        // There are no messages, so their compression does not matter.
        parts.headers.remove(GRPC_ENCODING);
    }
    Ok(Response::from_parts(parts, Body::new(StatusBody { body, has_status })))
}

/// Returns whether it is a response of gRPC: it has its status or its content type.
///
/// Some servers send no content type. Then the status of HTTP decides.
fn is_grpc(status: StatusCode, headers: &HeaderMap) -> bool {
    if headers.contains_key(GRPC_STATUS) {
        return true;
    }
    let is_typed = headers.get(CONTENT_TYPE).map(|value| value.as_bytes().starts_with(b"application/grpc"));
    status == StatusCode::OK && is_typed.unwrap_or(true)
}

fn text_of(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Reads the first line of a page that is not blank, as far as it arrives soon.
async fn first_line<B: HttpBody<Data = Bytes> + Unpin>(mut body: B) -> String {
    let mut page = Vec::new();
    let reading = async {
        while page.len() < MAX_PAGE_BYTES {
            let Some(Ok(frame)) = body.frame().await else { break };
            page.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
    };
    let _ = tokio::time::timeout(PAGE_TIMEOUT, reading).await;
    line_of(&page)
}

fn line_of(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(&page[..page.len().min(MAX_PAGE_BYTES)]);
    let line = page.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(MAX_LINE_CHARS).collect()
}

/// Repairs what tonic cannot read of a status: the code counts, whatever else is invalid.
fn repair(headers: &mut HeaderMap) {
    keep_number(headers);
    if let Some(message) = headers.get(GRPC_MESSAGE) {
        let bytes: Vec<u8> = percent_decode(message.as_bytes()).collect();
        if let Err(invalid) = String::from_utf8(bytes) {
            let text = String::from_utf8_lossy(invalid.as_bytes()).into_owned();
            let text = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
            let message = HeaderValue::from_str(&text).expect("percent-encoded text is ASCII");
            headers.insert(GRPC_MESSAGE, message);
        }
    }
    if headers.get(GRPC_DETAILS).is_some_and(|details| BASE64.decode(details.as_bytes()).is_err()) {
        headers.remove(GRPC_DETAILS);
    }
}

/// A body that ends with a status, or with an error.
struct StatusBody<B> {
    body: B,
    /// Whether the status has been received.
    has_status: bool,
}

impl<B> StatusBody<B> {
    /// Checks the trailers.
    fn checked(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Status> {
        let mut trailers = match frame.into_trailers() {
            Ok(trailers) => trailers,
            Err(frame) => return Ok(frame),
        };
        self.has_status |= trailers.contains_key(GRPC_STATUS);
        if !self.has_status {
            return Err(NoStatus.into());
        }
        repair(&mut trailers);
        Ok(Frame::trailers(trailers))
    }
}

impl<B: HttpBody<Data = Bytes, Error = Status> + Unpin> HttpBody for StatusBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => Some(self.checked(frame)),
            None if !self.has_status => {
                self.has_status = true;
                Some(Err(NoStatus.into()))
            }
            end => end,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.has_status && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(message: &'static str, details: &'static str) -> Status {
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_STATUS, HeaderValue::from_static("5"));
        headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
        headers.insert(GRPC_DETAILS, HeaderValue::from_static(details));
        repair(&mut headers);
        Status::from_header_map(&headers).unwrap()
    }

    #[test]
    fn an_invalid_message_does_not_hide_the_code() {
        for (sent, read) in [
            ("plain", "plain"),
            ("100%25 %C3%BC", "100% ü"),
            ("100%zz %E4%", "100%zz \u{fffd}%"),
            ("%FF", "\u{fffd}"),
        ] {
            let status = status_of(sent, "CAU=");
            assert_eq!((status.code(), status.message()), (tonic::Code::NotFound, read), "{sent}");
            assert_eq!(status.details(), [8, 5]);
        }
        assert_eq!(status_of("", "CAU").details(), [8, 5], "without padding");
        assert!(status_of("", "not base64!").details().is_empty());
    }

    #[test]
    fn responses_of_grpc_are_recognized() {
        let is = |status: u16, pairs: &[(HeaderName, &'static str)]| {
            let headers: HeaderMap =
                pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
            is_grpc(StatusCode::from_u16(status).unwrap(), &headers)
        };
        assert!(is(200, &[(CONTENT_TYPE, "application/grpc")]) && is(200, &[]));
        assert!(is(200, &[(CONTENT_TYPE, "application/grpc+proto")]));
        // A status of gRPC counts, whatever HTTP says.
        assert!(is(503, &[(CONTENT_TYPE, "text/plain"), (GRPC_STATUS, "14")]));
        assert!(!is(200, &[(CONTENT_TYPE, "text/html")]) && !is(404, &[]));
        assert!(!is(503, &[(CONTENT_TYPE, "application/grpc")]));
    }

    #[test]
    fn the_first_line_of_a_page_is_short_text() {
        assert_eq!(line_of(b"\r\n \n<html>busy</html>\r\n<p>"), "<html>busy</html>");
        assert_eq!(line_of(b""), "");
        assert_eq!(line_of(&[b'x'; 9000]).len(), MAX_LINE_CHARS);
        assert_eq!(line_of(b"\xff"), "\u{fffd}");
    }
}
