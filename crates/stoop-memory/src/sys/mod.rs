//! Raw memory and the system calls that have no safe binding, one function per call.
//!
//! The only `unsafe` code of this crate is here. Nothing here sets policy: no retries, no limits,
//! no defaults.

#![expect(unsafe_code, reason = "raw memory and system calls; every block says why it is sound")]

mod mapping;
pub(crate) mod queue;

pub(crate) use mapping::Mapping;
