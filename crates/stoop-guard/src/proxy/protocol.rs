//! What is spoken.

/// What the server behind a guard speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.1, as Docker does.
    Http,
    /// gRPC, as containerd does.
    Grpc,
}
