//! Requests in the form that is judged and forwarded. Pure.

pub(crate) mod headers;
pub(crate) mod target;

use std::borrow::Cow;
use std::fmt;

/// Why a request has no single meaning, or one that the guard does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear(pub(crate) Cow<'static, str>);

impl Unclear {
    pub(crate) fn new(why: impl Into<Cow<'static, str>>) -> Unclear {
        Unclear(why.into())
    }
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unclear {}
