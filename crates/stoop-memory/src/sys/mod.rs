//! Raw memory and the system calls that have no safe binding: one call, one function.
//!
//! The only `unsafe` of this crate lives here. Nothing here decides anything: no retry, no limit,
//! no default.

#![expect(unsafe_code, reason = "raw memory and system calls; every block says why it is sound")]

mod mapping;
pub(crate) mod queue;

pub(crate) use mapping::Mapping;
