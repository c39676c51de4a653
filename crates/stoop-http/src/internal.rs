//! Items that `stoop-grpc` and `stoop-dynamic` share with this crate. They are not part of the
//! public API, and change without notice.

#[cfg(feature = "server")]
pub use crate::caller::PeerHandle;
#[cfg(feature = "server")]
pub use crate::idle::{IdleTracker, TrackedBody};
#[cfg(feature = "client")]
pub use crate::protocol::Protocol;
pub use crate::spawn::Spawn;
pub use crate::stream::PREFACE;
#[cfg(feature = "client")]
pub use crate::stream::drain::Drain;
#[cfg(feature = "server")]
pub use crate::stream::linger::Linger;
#[cfg(feature = "server")]
pub use crate::stream::peer_stream::PeerStream;
#[cfg(feature = "client")]
pub use crate::stream::record_prefix::{Opening, RecordPrefix};
pub use crate::{flush_within, read_within, shutdown_within, write_within};
