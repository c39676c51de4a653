//! Responses of the guard itself: JSON with a `message`, as Docker's clients expect, or a status of
//! gRPC. Pure.

use std::fmt::Write;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use super::body::{GuardBody, empty, full};
use super::protocol::Protocol;
use crate::decision::Verdict;

/// Codes of gRPC.
const INVALID_ARGUMENT: u8 = 3;
const NOT_FOUND: u8 = 5;
const PERMISSION_DENIED: u8 = 7;
const UNAVAILABLE: u8 = 14;

/// Returns the response to a request that was not forwarded.
pub(super) fn refusal(protocol: Protocol, verdict: &Verdict, status: StatusCode) -> Response<GuardBody> {
    let (text, code) = match verdict {
        Verdict::Hidden { .. } => ("No such container".to_owned(), NOT_FOUND),
        Verdict::Unclear { why } => (format!("refused by the guard: {why}"), INVALID_ARGUMENT),
        Verdict::Refused { why, .. } => (format!("refused by the guard: {why}"), PERMISSION_DENIED),
        Verdict::Allowed { .. } => ("refused by the guard".to_owned(), PERMISSION_DENIED),
    };
    response(protocol, status, code, &text)
}

/// Returns the response if the server cannot be reached, or fails.
pub(super) fn unavailable(protocol: Protocol, error: &dyn std::fmt::Display) -> Response<GuardBody> {
    let text = format!("the server behind the guard failed: {error}");
    response(protocol, StatusCode::BAD_GATEWAY, UNAVAILABLE, &text)
}

fn response(protocol: Protocol, status: StatusCode, code: u8, text: &str) -> Response<GuardBody> {
    match protocol {
        Protocol::Http => {
            let body = serde_json::json!({ "message": text }).to_string();
            let mut response = Response::new(full(body));
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Protocol::Grpc => {
            let mut response = Response::new(empty());
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert("grpc-status", HeaderValue::from(u16::from(code)));
            if let Ok(text) = HeaderValue::from_str(&percent_encoded(text)) {
                headers.insert("grpc-message", text);
            }
            response
        }
    }
}

/// Encodes a status message, as gRPC does.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => _ = write!(encoded, "%{byte:02X}"),
        }
        encoded
    })
}
