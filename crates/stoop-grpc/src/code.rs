//! Status codes as servers send them. tonic takes every code that it does not know for `UNKNOWN`.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use tonic::{Code, Status};

/// The key of a number that tonic does not know, in the metadata of its status. Servers cannot set
/// it: it is removed from what they send.
const NUMBER: HeaderName = HeaderName::from_static("grpc-status-number");

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Returns the number of a status code as the server sent it.
///
/// For a code that gRPC does not define, [`Status::code`] is `Unknown`, and this is its number.
///
/// ```
/// use stoop_grpc::code_number;
/// use tonic::{Code, Status};
///
/// assert_eq!(code_number(&Status::new(Code::NotFound, "")), 5);
/// ```
pub fn code_number(status: &Status) -> i32 {
    let sent = status.metadata().get(NUMBER.as_str()).and_then(|number| number.to_str().ok()?.parse().ok());
    sent.unwrap_or_else(|| status.code().into())
}

/// Returns the name of a status code in the protocol, or the number of one without a name.
///
/// ```
/// use stoop_grpc::code_name;
/// use tonic::{Code, Status};
///
/// assert_eq!(code_name(&Status::new(Code::NotFound, "")), "NOT_FOUND");
/// ```
pub fn code_name(status: &Status) -> Cow<'static, str> {
    match (status.code(), code_number(status)) {
        (Code::Unknown, number) if number != i32::from(Code::Unknown) => number.to_string().into(),
        (code, _) => name_of(code).into(),
    }
}

/// Keeps the number of a code that tonic does not know.
pub(crate) fn keep_number(headers: &mut HeaderMap) {
    headers.remove(NUMBER);
    let number = headers.get(GRPC_STATUS).and_then(|status| status.to_str().ok()?.parse::<i32>().ok());
    if let Some(number) = number.filter(|&number| i32::from(Code::from_i32(number)) != number) {
        headers.insert(NUMBER, HeaderValue::from(number));
    }
}

fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pairs: &[(&'static str, &'static str)]) -> Status {
        let mut headers: HeaderMap = pairs
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        keep_number(&mut headers);
        Status::from_header_map(&headers).unwrap()
    }

    #[test]
    fn unknown_codes_keep_their_number() {
        for (text, number, name) in [
            ("0", 0, "OK"),
            ("5", 5, "NOT_FOUND"),
            ("2", 2, "UNKNOWN"),
            ("16", 16, "UNAUTHENTICATED"),
            ("17", 17, "17"),
            ("4711", 4711, "4711"),
            ("-1", -1, "-1"),
            // Not a number at all.
            ("x", 2, "UNKNOWN"),
            ("", 2, "UNKNOWN"),
            ("99999999999", 2, "UNKNOWN"),
        ] {
            let status = sent(&[("grpc-status", text)]);
            assert_eq!((code_number(&status), &*code_name(&status)), (number, name), "{text}");
        }
        let forged = sent(&[("grpc-status", "5"), ("grpc-status-number", "7")]);
        assert_eq!(code_number(&forged), 5);
    }
}
