//! A program for each client.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use stoop::{Kind, SeqPacket, Stream};

use crate::end::{Connected, End, into_io};

/// The stack of a thread that does nothing but wait.
const STACK_BYTES: usize = 64 << 10;

/// A program and its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
}

/// Starts a program with one end of a socketpair as its standard input and output: a half-close is
/// one for it, too, and messages stay whole.
pub(crate) fn start(program: &Program, kind: Kind) -> io::Result<Connected> {
    let (end, its): (End, OwnedFd) = match kind {
        Kind::SeqPacket | Kind::Datagram => {
            let (here, its) = SeqPacket::pair().map_err(into_io)?;
            (End::SeqPacket(here), its.into())
        }
        _ => {
            let (here, its) = Stream::pair().map_err(into_io)?;
            (End::Stream(here), its.into())
        }
    };
    let output = its.try_clone()?;
    let child = Command::new(&program.program)
        .args(&program.arguments)
        .stdin(Stdio::from(its))
        .stdout(Stdio::from(output))
        .spawn()?;
    Ok(Connected { end, child: Some(child) })
}

/// Waits for the program in a thread, and reports its exit.
pub(crate) fn watch(mut child: Child, report: impl FnOnce(ExitStatus) + Send + 'static) {
    let waiting = thread::Builder::new().name("exec".into()).stack_size(STACK_BYTES).spawn(move || {
        if let Ok(status) = child.wait() {
            report(status);
        }
    });
    // Without a thread it is not reported, and stays a zombie until the relay exits.
    drop(waiting);
}
