//! Why an operation on a Unix domain socket fails, or that it would succeed.
//!
//! [`diagnose`](crate::diagnose()) explains an error of `stoop`. [`predict()`] answers a question
//! about a call that is not made: by this process, another process, or another user.
//!
//! A question is always about the plain system call, made by the subject with a fresh socket:
//! `connect`, `bind`, or `sendto` of one message. For example, a path of more than 108 bytes fails
//! here because no address holds it, although [`stoop::Connect`] has a way to reach it.
//!
//! What is not visible is not guessed: the outcome is then [`Outcome::Unknown`], and the diagnosis
//! names what is missing.
//!
//! # Examples
//!
//! ```
//! use stoop::Address;
//! use stoop_inspect::why::{Errno, Operation, Outcome, Question, Who, predict};
//!
//! # let path = std::env::temp_dir().join(format!("stoop-doc-why-{}", std::process::id()));
//! // A server that exited without removing its socket file.
//! drop(std::os::unix::net::UnixListener::bind(&path)?);
//! let question = Question {
//!     operation: Operation::Connect,
//!     kind: None,
//!     address: Address::path(&path)?,
//!     subject: Who::CurrentProcess,
//! };
//! let prediction = predict(&question)?;
//! assert_eq!(prediction.outcome, Outcome::Fails(Errno::CONNREFUSED));
//! assert_eq!(prediction.diagnosis.cause, "stale");
//! assert_eq!(prediction.diagnosis.why, "the socket file is stale: no socket is bound to it");
//! # std::fs::remove_file(&path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// `gather` inspects the machine and does all I/O. `judge` evaluates these facts and is pure: the
// same facts give the same verdict on any machine.
pub(crate) mod action;
mod action_text;
mod advice;
pub(crate) mod advise;
pub(crate) mod answer;
pub(crate) mod audit_record;
mod audit_syscall;
mod bind;
mod bound_elsewhere;
pub(crate) mod cause;
mod caveats;
pub(crate) mod denials;
pub(crate) mod diagnosis;
mod elsewhere;
pub(crate) mod facts;
mod file_systems;
pub(crate) mod gather;
mod judge;
mod long_path;
mod lookup;
mod lookup_error;
pub(crate) mod messages;
mod other_server;
mod owner_program;
mod permission;
mod prediction;
pub(crate) mod question;
mod server;
mod service;
mod suit;
pub(crate) mod verdict;

pub use advice::Advice;
pub use diagnosis::Diagnosis;
pub use prediction::{Prediction, predict};
pub use question::{Operation, Question, Who};
/// An error number of the kernel.
pub use rustix::io::Errno;
pub use verdict::Outcome;

#[cfg(test)]
mod tests;
