//! What is inside ttrpc's frames that open and end a call. The numbers of the fields are those of
//! the protocol.

/// Opens a call.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Request {
    /// Full name.
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(string, tag = "2")]
    pub(super) method: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) payload: Vec<u8>,
    /// How long the caller waits, in nanoseconds; 0 is as long as it takes.
    #[prost(int64, tag = "4")]
    pub(super) timeout_nano: i64,
    #[prost(message, repeated, tag = "5")]
    pub(super) metadata: Vec<KeyValue>,
}

/// Ends a call.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Response {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<RpcStatus>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) payload: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// `google.rpc.Status`, which gRPC has in its trailers as well.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<prost_types::Any>,
}
