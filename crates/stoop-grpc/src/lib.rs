//! gRPC and HTTP over local sockets.
