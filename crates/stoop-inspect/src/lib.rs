//! Every local socket of the machine, with both ends and their owners; and why an operation on one
//! fails.
//!
//! [`Inspector::snapshot`] reads the kernel's tables of all network namespaces and joins them with
//! the processes that have the sockets open: a [`Snapshot`]. Who the ends of a connection are is in
//! [`Snapshot::connections`], what could not be read in [`Snapshot::missing`].
//!
//! Who listens, and who serves there:
//!
//! ```
//! use stoop_inspect::{Inspector, Options, State};
//!
//! let snapshot = Inspector::new(Options::default()).snapshot();
//! for (id, socket) in snapshot.iter().filter(|(_, socket)| socket.state == State::Listening) {
//!     let served_by: Vec<String> =
//!         snapshot.processes_of(id).map(|process| format!("{} in {}", process.pid, process.place)).collect();
//!     println!("{}: {}", socket.name, served_by.join(", "));
//! }
//! for missing in &snapshot.missing {
//!     eprintln!("not seen: {missing}");
//! }
//! ```
//!
//! A snapshot is read while the machine goes on. What it says was so while it was read; what could
//! be otherwise is left out (`None`), not guessed, and what could not be read is in
//! [`Snapshot::missing`].
//!
//! Nothing here prints, changes a socket, or needs root; without it less can be seen, and what is
//! missing is said.

mod assembly;
mod attempt;
mod by_hand;
mod copy;
pub mod endpoints;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod given;
mod inspector;
mod join;
mod model;
mod namespaces;
mod options;
mod owners;
mod place;
mod proc_net_unix;
mod process;
mod procfs;
mod strays;
mod table;
pub mod why;

pub use attempt::{Attempt, Delivery, attempt};
pub use inspector::Inspector;
pub use model::{
    Connection, Missing, Namespace, NamespaceIno, Owner, OwnersFrom, Pid, Process, ProcessNamespaces,
    ProcessState, Queue, Snapshot, Socket, SocketId, SocketIno, State, What,
};
pub use options::{Options, OwnersWanted};
pub use place::Place;
