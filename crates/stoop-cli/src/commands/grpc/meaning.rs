//! What the status codes of gRPC mean, in words.

use stoop_dynamic::{Code, Status};

/// Returns the meaning of a code.
pub(super) fn meaning(code: Code) -> &'static str {
    match code {
        Code::Ok => "success",
        Code::Cancelled => "the call was cancelled",
        Code::Unknown => "the server reports no specific error",
        Code::InvalidArgument => "the request is invalid, whatever the state of the server",
        Code::DeadlineExceeded => "the deadline passed before the server was done",
        Code::NotFound => "what was requested does not exist",
        Code::AlreadyExists => "what was to be created exists already",
        Code::PermissionDenied => "the caller is known, but not permitted to do this",
        Code::ResourceExhausted => "a limit was reached: memory, a quota, or the size of a message",
        Code::FailedPrecondition => "the server is not in the required state",
        Code::Aborted => "it conflicted with another operation; a retry may succeed",
        Code::OutOfRange => "the request is beyond the valid range",
        Code::Unimplemented => "the server does not implement this method, or not in this version",
        Code::Internal => "an internal error of the server",
        Code::Unavailable => "the server is currently unavailable; a retry may succeed",
        Code::DataLoss => "data was lost or corrupted",
        Code::Unauthenticated => "the caller is not authenticated",
    }
}

/// Returns what is to be known of BuildKit's sessions if the server has asked one in vain, and a
/// command that has one.
pub(super) fn session(status: &Status) -> Option<(&'static str, &'static str)> {
    status.message().contains("no active session").then_some((
        "it asks a session of the client for files and passwords, and this client has none",
        "docker build DIR    # has a session; without one, sources are images, git and URLs",
    ))
}
