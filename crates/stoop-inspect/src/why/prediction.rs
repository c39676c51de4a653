//! Predicting the result of a call that is not made.

use std::io;

use super::answer::why;
use super::diagnosis::Diagnosis;
use super::gather::gather;
use super::question::Question;
use super::verdict::Outcome;

/// What a call would return, and why: the result of [`predict`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prediction {
    /// What the call would return.
    pub outcome: Outcome,
    /// The first check that decides it, in the kernel's order.
    pub diagnosis: Diagnosis,
    /// What was not checked and may change the result, one line each.
    pub caveats: Vec<String>,
}

/// Predicts the result of a call.
///
/// This takes some milliseconds and changes nothing: a server does not notice it. It blocks only on
/// the file system and on `/proc` ([K-PROBE-2], [K-PROBE-8]).
///
/// # Errors
/// Returns an error if not even `/proc` can be read, or if this process has fewer than 32 free file
/// descriptors (`EMFILE`; some more if there are many network namespaces). If something is merely
/// hidden, the outcome is [`Outcome::Unknown`].
///
/// # Examples
///
/// ```
/// use stoop::Address;
/// use stoop_inspect::why::{Operation, Outcome, Question, Who, predict};
///
/// # let path = std::env::temp_dir().join(format!("stoop-doc-predict-{}", std::process::id()));
/// let server = stoop::Bind::new(&path).listen()?;
/// let question = Question {
///     operation: Operation::Connect,
///     kind: None,
///     address: Address::path(&path)?,
///     subject: Who::CurrentProcess,
/// };
/// assert_eq!(predict(&question)?.outcome, Outcome::Succeeds);
/// drop(server);
/// assert_eq!(predict(&question)?.diagnosis.cause, "missing");
///
/// // An unknown subject is not an error.
/// let question = Question { subject: Who::Process(u32::MAX), ..question };
/// assert_eq!(predict(&question)?.diagnosis.cause, "no-such-subject");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [K-PROBE-2]: stoop::kernel_facts#K-PROBE-2
/// [K-PROBE-8]: stoop::kernel_facts#K-PROBE-8
pub fn predict(question: &Question) -> io::Result<Prediction> {
    let mut verdict = why(&gather(question)?);
    let (outcome, caveats) = (verdict.outcome, std::mem::take(&mut verdict.caveats));
    Ok(Prediction { outcome, diagnosis: Diagnosis::of(verdict), caveats })
}
