//! A program that runs at a place in the kernel's code.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::asm::Instruction;
use crate::btf::BtfError;
use crate::hook::Hook;
use crate::loader;
use crate::support::{Missing, Unavailable, failed};
use crate::sys;
use crate::target::Target;

/// A program that runs until the value is dropped.
#[derive(Debug)]
pub(crate) struct Attached {
    program: OwnedFd,
    _link: OwnedFd,
    /// How often it had been skipped when that was counted last.
    skipped: u64,
}

type Code = Result<Vec<Instruction>, BtfError>;

impl Attached {
    pub(crate) fn new(code: Code, target: Target) -> Result<Attached, Unavailable> {
        let program = loader::load(&code.map_err(Missing::Type)?, target)?;
        let link = sys::attach(program.as_fd()).map_err(failed("attaching a program"))?;
        Ok(Attached { program, _link: link, skipped: 0 })
    }

    /// Attaches a program at each of the places.
    pub(crate) fn at_all(hooks: &[Hook], code: impl Fn(Hook) -> Code) -> Result<Vec<Attached>, Unavailable> {
        let attach = |hook: &Hook| match Attached::new(code(*hook), hook.target) {
            // With the permission that was checked before, what is left is a kernel that cannot, or
            // was locked down.
            Err(Unavailable::Unknown(reason)) if hook.target.is_function() => {
                Err(Missing::Functions(reason.to_string()).into())
            }
            result => result,
        };
        hooks.iter().map(attach).collect()
    }

    /// Returns how often the kernel has skipped it. Before Linux 5.12 that is not counted.
    ///
    /// # Errors
    /// Returns an error if the kernel does not tell.
    pub(crate) fn all_skipped(&self) -> io::Result<u64> {
        sys::misses(self.program.as_fd())
    }

    /// Returns how often the kernel has skipped it since the last call, as far as it tells.
    pub(crate) fn skipped(&mut self) -> u64 {
        match self.all_skipped() {
            Ok(total) => total - std::mem::replace(&mut self.skipped, total).min(total),
            Err(_) => 0,
        }
    }
}
