//! The life of a socket file, from creation to replacement and removal. Listeners and datagram
//! sockets own one; nothing here knows them.
//!
//! | step | file |
//! |---|---|
//! | binding a socket to an address, in the order of the other steps | `create.rs` |
//! | resolving the directory and name, including paths longer than `sun_path` | `location.rs` |
//! | creating parent directories | `parents.rs` |
//! | what has the name: nothing, a **stale** file, a live server, not a socket | `stale.rs` |
//! | whether a socket is bound to the file | `probe.rs` |
//! | whether another mount has the server | `other_views.rs` (`mounts.rs`, `file_system.rs`) |
//! | why a file system did not create the file | `refusal.rs` |
//! | examining a file without blocking | `stat.rs` |
//! | exact mode, owner and group | `permissions.rs` |
//! | replacing a name atomically, under a lock | `staging.rs` (`publish.rs`), `private_dir.rs` |
//! | taking a server's name over and giving it back | `interpose.rs`, `behind.rs`, `inherit.rs` |
//! | unlinking the file if it is still this socket's | `release.rs` |

mod behind;
mod create;
pub mod file_system;
mod inherit;
pub mod interpose;
mod location;
pub mod mounts;
pub mod other_views;
mod parents;
mod permissions;
mod private_dir;
mod probe;
mod refusal;
mod release;
mod staging;
mod stale;
mod stat;

use std::io;
use std::time::Duration;

pub use behind::Behind;
pub(crate) use create::{FileOptions, bind};
pub use probe::is_alive;
pub use release::SocketFile;

use crate::error::{Error, ErrorKind, Operation};

/// How long to wait for the lock while another process of this user binds or releases the same
/// name.
const LOCK_WAIT: Duration = Duration::from_secs(5);

pub(crate) fn binding(cause: io::Error) -> Error {
    Error::system(Operation::Bind, cause)
}

fn in_use() -> Error {
    binding(io::Error::from_raw_os_error(libc::EADDRINUSE)).with_kind(ErrorKind::AddressInUse)
}
