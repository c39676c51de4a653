//! A program at its tracepoint.

use std::os::fd::{AsFd, OwnedFd};

use super::builder::Code;
use crate::btf::TypeId;
use crate::loader;
use crate::support::{Missing, Unavailable, failed};
use crate::sys::{self, Target};

/// A program that runs at a tracepoint until the value is dropped.
#[derive(Debug)]
pub(super) struct Attached {
    program: OwnedFd,
    _link: OwnedFd,
    /// How often it had been skipped when that was counted last.
    skipped: u64,
}

impl Attached {
    pub(super) fn new(code: Code, tracepoint: TypeId) -> Result<Attached, Unavailable> {
        let target = Target::tracepoint(tracepoint.0);
        let program = loader::load(&code.map_err(Missing::Type)?, target)?;
        let link = sys::attach(program.as_fd()).map_err(failed("attaching a program"))?;
        Ok(Attached { program, _link: link, skipped: 0 })
    }

    /// Returns how often the kernel has skipped it since the last call. Before Linux 5.12 that is
    /// not counted.
    pub(super) fn skipped(&mut self) -> u64 {
        match sys::misses(self.program.as_fd()) {
            Ok(total) => total - std::mem::replace(&mut self.skipped, total).min(total),
            Err(_) => 0,
        }
    }
}
