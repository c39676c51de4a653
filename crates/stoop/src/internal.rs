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
pub use crate::socket_file::Behind;
pub use crate::socket_file::file_system;
pub use crate::socket_file::interpose::{Restored, kind_at, restore};
pub use crate::socket_file::is_alive as is_bound;
pub use crate::socket_file::mounts::Mounts;
pub use crate::socket_file::other_views::{Doubt, Elsewhere, Views};
pub use crate::sys::query;

/// File systems that do not respond.
pub mod responding {
    pub use crate::responding::{
        NotResponding, check, check_below, check_file, check_name, learn, lstat, metadata, stat,
    };
}

use crate::{Bind, SocketFile};

/// Returns the user id, or `None` if the number stands for no user in particular: the overflow id
/// in a user namespace that does not map every user.
pub fn known_user(uid: u32) -> Option<u32> {
    crate::overflow_ids::user(uid)
}

/// Returns the group id, likewise.
pub fn known_group(gid: u32) -> Option<u32> {
    crate::overflow_ids::group(gid)
}

/// Binds in front of a live server: takes its name over, and gives it back on release.
pub fn interpose(bind: Bind) -> Bind {
    bind.interpose()
}

/// Returns the server that this file stands in front of, if there is one.
pub fn behind(file: &SocketFile) -> Option<&Behind> {
    file.behind()
}

/// Polls until the peer of a stream has closed it, and not only shut down its write half. What it
/// sent before may still be in the queue.
#[cfg(feature = "tokio")]
pub fn poll_hang_up(
    stream: &crate::aio::Stream,
    cx: &mut std::task::Context<'_>,
) -> std::task::Poll<std::io::Result<()>> {
    stream.poll_hang_up(cx)
}

/// The mounts that a process sees.
pub mod mountinfo {
    pub use crate::mountinfo::{MountEntry, parse, read};
}
