//! Bytes from outside, in an event.

/// Bytes from outside: `{"text": …}` in JSON if they are UTF-8, else `{"bytes": base64}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Data(pub(crate) Vec<u8>);
