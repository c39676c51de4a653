//! Small BPF programs, assembled at run time from the running kernel's type information (BTF): no
//! clang, no object file, no C library.
//!
//! There is one program so far. [`TaskFiles`] lists the file descriptors of all processes that are
//! Unix domain sockets, in all network namespaces, in one pass, and so replaces a walk through
//! `/proc/*/fd`. It requires `CAP_BPF` with `CAP_PERFMON`, or `CAP_SYS_ADMIN`, and a kernel with
//! BTF.
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
//!     Support::No(lack) => println!("walk through /proc instead: {lack}"),
//!     Support::Unknown(doubt) => println!("walk through /proc instead: {doubt}"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate never decides by kernel version: it probes, and a negative answer names what is
//! missing. It never attaches to running code and pins nothing. What it loads is unloaded when the
//! value that holds it is dropped.
//!
//! Reading order of the modules: `btf` (offsets of fields; pure), `layout` (the fields needed;
//! pure), `asm` and `program` (instructions; pure), `record` (the output format; pure), `task_file`
//! (loading and reading), `support` (why it is unavailable), `types` (obtaining the type
//! information), `sys` (`bpf(2)` and `mmap(2)`; the only `unsafe` code).

mod asm;
mod btf;
mod layout;
mod program;
mod record;
mod support;
mod sys;
mod task_file;
mod types;

pub use btf::{Btf, BtfError, Field, Kind, TypeId};
pub use record::{Command, CutShort, NameKey, RECORD_BYTES, Record, Records};
pub use support::{Capability, Doubt, Lack, Support, Unavailable};
pub use task_file::{TaskFiles, probe};
