//! Diagnoses an error: gathers the facts about the call that failed, and has them judged by
//! [`crate::why`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use stoop::internal::Operation as Failed;
use stoop::{Address, Error, ErrorKind};

use crate::why::facts::Facts;
use crate::why::gather::gather;
use crate::why::gather::settings::bind_refusal;
use crate::why::{Diagnosis, Operation, Question, Who, diagnosis};

/// Determines why an operation failed, and what may remedy it.
///
/// This inspects the machine now, after the failure. If a call made now would fail in the same way,
/// the diagnosis is that of [`predict`](crate::why::predict()) for it. Otherwise the diagnosis is
/// based on the class of the error, and [`Diagnosis::is_current`] is `false`.
///
/// It takes some milliseconds and changes nothing: a server does not notice it. It blocks only on
/// the file system and on `/proc`. Errors that are not about an address need no inspection.
///
/// # Examples
///
/// ```
/// # let path = std::env::temp_dir().join(format!("stoop-doc-diagnose-{}", std::process::id()));
/// // A server that exited without removing its socket file.
/// drop(std::os::unix::net::UnixListener::bind(&path)?);
/// let error = stoop::Stream::connect(&path).unwrap_err();
/// let diagnosis = stoop_inspect::diagnose(&error);
/// assert_eq!(diagnosis.cause, "stale");
/// assert_eq!(diagnosis.why, "the socket file is stale: no socket is bound to it");
/// assert!(diagnosis.advice[0].to_string().starts_with("start the program that"));
///
/// // An error that is not repeated has no present cause.
/// std::fs::remove_file(&path)?;
/// let _server = stoop::Bind::new(&path).listen()?;
/// assert!(!stoop_inspect::diagnose(&error).is_current);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn diagnose(error: &Error) -> Diagnosis {
    let gathered = question(error).map(|question| gather(&question));
    if let Some(Err(why)) = &gathered {
        return diagnosis::not_inspected(error, why);
    }
    let mut facts = gathered.and_then(Result::ok);
    if let Some(facts) = facts.as_mut().filter(|facts| facts.question.operation == Operation::Bind) {
        let is_filtered = facts.security.seccomp == Some(true) && facts.security.refusal.is_none();
        facts.security.refusal = is_filtered.then(bind_refusal).flatten();
    }
    let staging = staging(error);
    diagnosis::judge(error, facts.as_ref(), staging.as_ref())
}

/// Returns the call that failed, if its error is about an address.
fn question(error: &Error) -> Option<Question> {
    let is_about_address = matches!(
        error.kind(),
        ErrorKind::InvalidAddress
            | ErrorKind::NotFound
            | ErrorKind::Refused
            | ErrorKind::WrongKind
            | ErrorKind::PermissionDenied
            | ErrorKind::NotPermitted
            | ErrorKind::AddressInUse
            | ErrorKind::LivenessUnknown
            | ErrorKind::WouldBlock
            | ErrorKind::TimedOut
            | ErrorKind::Unsupported
            | ErrorKind::Other
    ) || error.operation() == Failed::Bind && error.kind() == ErrorKind::Unsupported
        // A datagram's receiver has no other reason for EPIPE than a shutdown.
        || error.operation() == Failed::Send && error.kind() == ErrorKind::PeerClosed;
    let operation = match error.operation() {
        Failed::Accept | Failed::Receive | Failed::Configure => return None,
        Failed::Bind | Failed::Release => Operation::Bind,
        // The size of the message is not known here, and concerns no address.
        Failed::Send => Operation::Send { len_bytes: 1 },
        _ => Operation::Connect,
    };
    let address = error.subject().filter(|address| is_about_address && !address.is_unnamed())?;
    let (kind, address) = (error.socket_kind(), address.clone());
    Some(Question { operation, kind, address, subject: Who::CurrentProcess })
}

/// Inspects the private directory next to a socket, if `stoop` refused to use it.
fn staging(error: &Error) -> Option<Facts> {
    let is_bind = matches!(error.operation(), Failed::Bind | Failed::Release);
    let is_refusal = matches!(error.kind(), ErrorKind::NotPermitted | ErrorKind::TimedOut);
    // Without an error number it was the library that refused, and not the kernel.
    if !is_bind || !is_refusal || error.errno().is_some() {
        return None;
    }
    let path = staging_path(&std::path::absolute(error.subject()?.as_pathname()?).ok()?)?;
    let address = Address::path(path).ok()?;
    let question = Question { operation: Operation::Bind, kind: None, address, subject: Who::CurrentProcess };
    gather(&question).ok()
}

/// Returns the path of the private directory through which a bind changes a name in use:
/// `.NAME.stoop`. The one for a name of more than 200 bytes has a hash, and is not determined.
fn staging_path(path: &Path) -> Option<PathBuf> {
    let name = path.file_name().filter(|name| name.len() <= 200)?;
    let staging: OsString = [".".as_ref(), name, ".stoop".as_ref()].into_iter().collect();
    Some(path.with_file_name(staging))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_private_directory_is_next_to_the_socket() {
        assert_eq!(staging_path(Path::new("/run/a")).unwrap(), Path::new("/run/.a.stoop"));
        assert_eq!(staging_path(Path::new("/")), None);
        assert_eq!(staging_path(Path::new(&"x".repeat(201))), None);
    }
}
