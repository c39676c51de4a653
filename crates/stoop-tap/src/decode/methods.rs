//! What is known of calls with messages in protobuf.

use std::fmt;
use std::sync::Arc;

/// What is known of the methods of gRPC.
pub trait Methods: fmt::Debug + Send + Sync {
    /// Returns whether a method, as `/package.Service/Method`, answers with a stream of messages;
    /// `None` if it is not known.
    fn streams(&self, method: &str) -> Option<bool>;

    /// Returns the fields of the messages of a method, of those that the client sends or of those
    /// that the server sends; `None` if they are not known.
    fn fields(&self, _method: &str, _is_response: bool) -> Option<Arc<dyn Fields>> {
        None
    }
}

/// What the fields of a message are.
pub trait Fields: fmt::Debug + Send + Sync {
    /// Returns what a field with a length is, by its number.
    fn field(&self, number: u32) -> Field;

    /// Returns whether a message may have secrets, so that it is overwritten if it is compressed.
    fn has_secrets(&self) -> bool {
        true
    }
}

/// What a field with a length is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Field {
    /// Text or bytes, which are searched as text.
    Text,
    /// A secret.
    Secret,
    /// An environment variable: `NAME=value`.
    Variable,
    /// A message.
    Message(Arc<dyn Fields>),
}
