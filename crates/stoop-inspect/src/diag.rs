//! The kernel's table of Unix domain sockets (`NETLINK_SOCK_DIAG`), and queries of a single socket.
//!
//! A [`Table`] lists the sockets of one network namespace without their owners. It needs no
//! privilege and takes a fraction of the time of a snapshot. [`Settings`] and [`peek`] query a
//! socket through a file descriptor, such as a [duplicate](crate::Socket::dup_fd) of another
//! process's, without a trace.
//!
//! # Examples
//!
//! ```
//! use stoop_inspect::diag::{Show, Table};
//!
//! # let path = std::env::temp_dir().join(format!("stoop-doc-diag-{}", std::process::id()));
//! let _server = stoop::Bind::new(&path).listen()?;
//! let mut sockets = Vec::new();
//! Table::open()?.dump(Show::NAME, &mut sockets)?;
//! let found = sockets.iter().find(|socket| socket.name.as_pathname() == Some(&path)).unwrap();
//! assert!(found.is_listening);
//! // What was not requested is `None`.
//! assert_eq!((found.file, found.uid), (None, None));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use stoop::diag::{Dump, Entry, FileId, Memory, Settings, Show, Table, bound_file_of, peek};
