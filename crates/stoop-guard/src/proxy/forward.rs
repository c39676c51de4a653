//! Sends what was judged to the server, and its response to the client.

use http::header::{CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};

use super::body::{GuardBody, whole};
use super::judge::Outgoing;
use super::protocol::Protocol;
use super::{Guard, filter, tunnel};

/// Headers of a response that are about its connection.
const HOP_BY_HOP: [&str; 6] =
    ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

impl Guard {
    /// Returns the server's response.
    pub(super) async fn forward(
        &self,
        parts: Parts,
        outgoing: Outgoing,
    ) -> Result<Response<GuardBody>, stoop_http::Error> {
        let mut client = self.connect(self.asking(&parts)).await?;
        let Outgoing { method, target, headers, body, upgrade, rule, visible, own } = outgoing;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        // Canonical text is always a valid URI.
        *request.uri_mut() = target.to_text().parse().unwrap_or_default();
        *request.headers_mut() = headers;
        if self.protocol == Protocol::Grpc {
            request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        }
        if let Some(protocol) = upgrade.as_ref().and_then(|name| HeaderValue::from_str(name).ok()) {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            request.headers_mut().insert(UPGRADE, protocol);
        }
        let mut response = client.send(request).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(switched(parts, response, upgrade.is_some()));
        }
        clean(response.headers_mut());
        let filter =
            rule.map(|rule| filter::Wanted::new(rule, visible, own)).filter(filter::Wanted::is_needed);
        match filter {
            Some(wanted) if response.status().is_success() => Ok(filter::apply(self, response, wanted).await),
            _ => Ok(response.map(whole)),
        }
    }
}

fn clean(headers: &mut HeaderMap) {
    HOP_BY_HOP.iter().for_each(|name| _ = headers.remove(*name));
}

/// Connects both ends after a change of protocols, and returns the response to the client.
fn switched(parts: Parts, response: Response<stoop_http::Body>, was_asked: bool) -> Response<GuardBody> {
    if !was_asked {
        let error = "it changed the protocol without being asked";
        return super::respond::unavailable(Protocol::Http, &error);
    }
    let mut answer = Response::new(super::body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *answer.headers_mut() = response.headers().clone();
    [CONTENT_LENGTH, TRANSFER_ENCODING].iter().for_each(|name| _ = answer.headers_mut().remove(name));
    tokio::spawn(tunnel::connect(Request::from_parts(parts, ()), response));
    answer
}
