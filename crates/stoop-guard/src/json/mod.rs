//! JSON bodies: read strictly, judged field by field, redacted. Pure.

pub(crate) mod fields;
pub(crate) mod redact;
pub(crate) mod strict;
