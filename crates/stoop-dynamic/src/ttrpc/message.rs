//! The messages in the frames that open and end a ttrpc call. The field numbers are those of the
//! protocol.

/// Opens a call.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Request {
    /// The full name of the service.
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(string, tag = "2")]
    pub(super) method: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) payload: Vec<u8>,
    /// The timeout in nanoseconds; 0 means no timeout.
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

/// `google.rpc.Status`, which gRPC sends in its trailers.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<prost_types::Any>,
}
