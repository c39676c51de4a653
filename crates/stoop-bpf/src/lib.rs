//! Lists the Unix domain sockets of all processes with a small BPF program.
//!
//! [`TaskFiles`] lists the file descriptors of all processes that are Unix domain sockets, in all
//! network namespaces, in one pass. It replaces a walk through `/proc/*/fd`. The program is
//! assembled at run time from the running kernel's type information (BTF), without a compiler, an
//! object file or a C library.
//!
//! # Examples
//!
//! ```
//! use stoop_bpf::{Support, TaskFiles};
//!
//! match stoop_bpf::probe() {
//!     Support::Yes => {
//!         for socket in TaskFiles::load()?.read()? {
//!             println!("{} fd {}: socket:[{}]", socket.pid, socket.fd, socket.inode);
//!         }
//!     }
//!     Support::No(missing) => println!("walk through /proc instead: {missing}"),
//!     Support::Unknown(cause) => println!("walk through /proc instead: {cause}"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Contents
//!
//! | To | Use |
//! |---|---|
//! | check whether this process can use the program | [`probe`] |
//! | load it | [`TaskFiles::load`] |
//! | list all sockets, once or repeatedly | [`TaskFiles::read`], [`TaskFiles::read_each`] |
//! | find out why it is unavailable | [`Unavailable`], [`Missing`] |
//! | decode its output | [`Record`], [`Records`] |
//! | look up offsets of kernel structures | [`Btf`] |
//!
//! # Requirements
//!
//! Linux 5.11 with BTF, and `CAP_BPF` with `CAP_PERFMON`, or `CAP_SYS_ADMIN`, in the initial user
//! and pid namespaces. Nothing depends on the kernel version: support is probed, and a negative
//! result names what is missing. The crate has no cargo features.
//!
//! # Limitations
//!
//! * Some kernels lack a field of [`Details`]. `stoop-inspect` then uses the kernel's socket
//!   table in addition, and `/proc` if the program is unavailable.
//! * Sockets without a file descriptor (in flight, or in a backlog) are not listed.
//! * It attaches to no running code and pins nothing. Dropping the value unloads the program.
//! * This is not a general BPF loader: it has this one program.
//
// Reading order of the modules: `btf` (offsets of fields; pure), `layout` (the fields needed; pure),
// `asm`, `program` and `queue` (instructions; pure), `record` and `details` (the output format; pure), `task_file` (loading
// and reading), `support` (why it is unavailable), `types` (obtaining the type information), `sys`
// (`bpf(2)` and `mmap(2)`; the only `unsafe` code).

#![cfg_attr(docsrs, feature(doc_cfg))]
// Elsewhere the build fails here. Without the rest of the crate, no other errors hide this one.
#![cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64")),
    doc = compile_error!("stoop-bpf supports Linux on 64-bit machines only"),
    cfg(any())
)]

mod asm;
mod attached;
mod btf;
mod capture;
mod counters;
mod details;
mod hook;
mod layout;
mod loader;
mod program;
mod queue;
mod record;
mod stack;
mod support;
mod sys;
mod target;
mod task_file;
mod types;

pub use btf::{Btf, BtfError, Field, Kind, TypeId};
pub use capture::{
    BufferKey, Capture, CaptureOptions, Captured, End, Event, HEADER_BYTES, Key, Message, PassedFile,
    Received, Skipped, SocketKind, What,
};
pub use counters::{Counters, Latencies, SocketCounts, Uncounted};
pub use details::Details;
pub use record::{Command, NameKey, Queue, RECORD_BYTES, Record, Records, TruncatedRecord};
pub use support::{Capability, Missing, Support, Unavailable, Undetermined};
pub use task_file::{TaskFiles, probe};

/// Runs the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
