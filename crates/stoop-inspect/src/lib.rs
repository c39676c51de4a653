//! Inspects the Unix domain sockets of a machine: both ends of each connection, the processes that
//! own them, and why an operation on a socket fails.
//!
//! [`Inspector::snapshot`] reads the kernel's socket tables of all network namespaces. It joins
//! them with the processes that have the sockets open and returns a [`Snapshot`].
//! [`Snapshot::connections`] returns both ends of each connection, and [`Snapshot::missing`] lists
//! what could not be read.
//!
//! # Examples
//!
//! Print each listener and the processes that serve it:
//!
//! ```
//! use stoop_inspect::{Inspector, Options, State};
//!
//! let snapshot = Inspector::new(Options::default()).snapshot();
//! for (id, socket) in snapshot.iter().filter(|(_, socket)| socket.state == State::Listening) {
//!     let served_by: Vec<String> = snapshot
//!         .processes_of(id)
//!         .map(|process| format!("{} in {}", process.pid, process.workload))
//!         .collect();
//!     println!("{}: {}", socket.name, served_by.join(", "));
//! }
//! for missing in &snapshot.missing {
//!     eprintln!("not seen: {missing}");
//! }
//! ```
//!
//! # Contents
//!
//! | To | Use |
//! |---|---|
//! | list sockets, connections and owners | [`Inspector`], [`Options`], [`Snapshot`] |
//! | find the other end of a socket of this process | [`Snapshot::socket_of`], [`Socket::peer`] |
//! | query another process's socket, or act on it | [`Socket::dup_fd`] |
//! | name the container, unit or session of a process | [`Workload`] |
//! | find out why an operation of `stoop` failed | [`diagnose()`], [`why::Diagnosis`] |
//! | predict whether a call fails, and why | [`why::predict`](why::predict()) |
//! | find Docker, podman, containerd or CRI-O | [`endpoints::find`] |
//! | test code that reads snapshots | [`Snapshot::of`], [`Socket::new`], [`Process::new`] |
//!
//! # Consistency
//!
//! A snapshot is not atomic: processes and sockets keep changing while it is taken. Every value was
//! true at some moment during the reading. A value that could not be determined for certain is
//! `None` rather than a guess, and what could not be read is listed in [`Snapshot::missing`].
//!
//! # Privileges
//!
//! Nothing requires root. Without root less is visible, and [`Snapshot::missing`] lists what is
//! hidden.
//! With `CAP_BPF` and `CAP_PERFMON`, owners are read by a BPF program (`stoop-bpf`), otherwise from
//! `/proc`. The results are the same. The crate has no cargo features.
//!
//! # Limitations
//!
//! * Only Unix domain sockets are listed.
//! * Changes are not reported: take another snapshot to see what has changed.
//! * Queued data is counted, but never read.
//! * Security modules, seccomp and Landlock are named as caveats, but not evaluated.
//! * Nothing is printed or changed, and no server notices anything.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod asker;
mod assembly;
mod bound_path;
mod builder;
mod diagnose;
mod dup_fd;
pub mod endpoints;
mod file_location;
mod free_descriptors;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hindrance;
mod inspector;
#[doc(hidden)]
pub mod internal;
mod join;
mod listed;
mod model;
mod mountinfo;
mod namespaces;
mod options;
mod owners;
mod probe;
mod proc_net_unix;
mod process;
mod procfs;
mod table;
mod unlisted;
pub mod why;
mod workload;

pub use diagnose::diagnose;
pub use inspector::Inspector;
pub use model::{
    Connection, Messages, Missing, Namespace, NamespaceIno, Owner, OwnersFrom, Pid, Process,
    ProcessNamespaces, ProcessState, Queue, Snapshot, Socket, SocketId, SocketIno, State, What,
};
pub use options::{Options, OwnersWanted};
#[doc(inline)]
pub use stoop::diag::{FileId, Memory};
pub use workload::Workload;

/// Runs the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
