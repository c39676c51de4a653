//! Examples and tests of other libraries over the sockets of stoop; see `examples/`.
