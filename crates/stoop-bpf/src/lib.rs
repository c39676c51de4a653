//! Small kernel programs, assembled at run time from the running kernel's own type information
//! (BTF): no clang, no object file, no C library.
//!
//! One program so far: [`TaskFiles`] lists every descriptor of every process that is a local
//! socket, of all network namespaces, in one read; it takes the place of a walk through
//! `/proc/*/fd`. It needs `CAP_BPF` with `CAP_PERFMON`, or `CAP_SYS_ADMIN`, and a kernel with BTF.
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
//! What is here never decides by the version of the kernel: it asks, and an answer of *no* names
//! what is missing. It never attaches to anything that runs, pins nothing, and what it loads is
//! gone with the value that holds it.
//!
//! In the order to read: `btf` (where fields lie: pure), `layout` (which ones are asked for: pure),
//! `asm` and `program` (from those to instructions: pure), `record` (what comes out: pure),
//! `task_file` (loading and reading), `support` (why not), `types` (where the type information is
//! had from), `sys` (bpf(2) and mmap(2): the only `unsafe`).

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
