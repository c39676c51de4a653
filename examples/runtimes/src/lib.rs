//! The interface between a host and its runtimes, and what every runtime does the same way.
//!
//! Three programs stand in `bin`: `host`, and two runtimes, `upper` and `reverse`. The host knows
//! the interface (`proto/runtime.proto`) and a directory of sockets; it knows no runtime. A runtime
//! is whoever listens there.

mod serve;
pub mod tls;

pub use serve::{Work, run};

/// What `tonic-prost-build` made of the interface.
pub mod api {
    #![expect(missing_docs, reason = "the words are in the .proto")]
    #![expect(clippy::allow_attributes_without_reason, reason = "generated code gives none")]

    tonic::include_proto!("lecture.runtime.v1");

    /// The interface, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/runtime.bin"));
}

/// The revisions of the interface that are known here.
pub const REVISIONS: [u32; 2] = [1, 2];

/// Where a runtime says that it is ready to be replaced: beside its socket.
pub fn control_of(socket: &std::path::Path) -> std::path::PathBuf {
    socket.with_extension("handover")
}

/// The arguments that are not flags, and the value of `--name`, for each of these names.
pub fn arguments<const N: usize>(names: [&str; N]) -> (Vec<String>, [Option<String>; N]) {
    let (mut plain, mut values) = (Vec::new(), [const { None }; N]);
    let mut all = std::env::args().skip(1);
    while let Some(argument) = all.next() {
        match argument.strip_prefix("--").and_then(|flag| names.iter().position(|name| *name == flag)) {
            Some(at) => values[at] = all.next(),
            None => plain.push(argument),
        }
    }
    (plain, values)
}
