//! Items that the other crates of this repository share with this one. They are not part of the
//! public API, and change without notice.

pub use crate::address::error::AddressErrorKind;
pub use crate::address::limits::{ABSTRACT_NAME_MAX_BYTES, DIRECT_PATH_MAX_BYTES};
pub use crate::address::text::{Place, Target};
pub use crate::bind::activation::State;
pub use crate::connect::Connection;
pub use crate::error::Operation;
pub use crate::frame::buffer::{PAGE_BYTES, PageBuffer};
pub use crate::frame::decoder::Decoder;
pub use crate::frame::encoder::Encoder;
pub use crate::frame::error::FrameError;
pub use crate::kind::UnknownKind;
pub use crate::sends::{QueueFront, front};
pub use crate::socket::Socket;
pub use crate::socket_file::file_system;
pub use crate::socket_file::mounts::Mounts;
pub use crate::socket_file::other_views::{Doubt, Elsewhere, Views};
pub use crate::sys::query;

/// The mounts that a process sees.
pub mod mountinfo {
    pub use crate::mountinfo::{MountEntry, parse, read};
}
