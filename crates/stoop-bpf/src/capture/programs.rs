//! The capture programs. Pure.

use super::builder::{Builder, Code, Setting};
use super::event::*;
use crate::asm::{Reg, Width};
use crate::btf::BtfError;
use crate::hook::Hook;

const SOCK_DGRAM: i32 = 2;
const LISTENING: i32 = 10;
const PEEK: i32 = 2;
const EAGAIN: i32 = 11;

/// The program for `skb_copy_datagram_iovec`: a message, when its receiver copies bytes out of it.
pub(super) fn copy(setting: Setting<'_>) -> Code {
    let mut program = Builder::new(setting);
    program.code.load(Width::Eight, Reg::R8, Reg::R6, 0);
    program.step(Reg::R7, Reg::R8, setting.layout.sk)?;
    program.code.jump_if(Reg::R7, 0, program.out);
    program.unix_only()?;
    program.peer()?;
    program.filter(true)?;
    program.files()?;
    program.begin(COPIED)?;
    program.message()?;
    program.ends((SENDER, SENDER_INODE), (RECEIVER, RECEIVER_INODE))?;
    program.capture()?;
    Ok(program.finish())
}

/// The program for the end of a call that receives.
pub(super) fn receive(setting: Setting<'_>, hook: Hook) -> Code {
    let mut program = Builder::new(setting);
    hook.load_socket(&mut program.code, Reg::R7, program.out)?;
    program.unix_only()?;
    worth_reporting(&mut program, hook)?;
    program.peer()?;
    program.filter(false)?;
    program.begin(RECEIVED)?;
    program.identify();
    hook.load_result(&mut program.code, Reg::R1);
    program.store(RESULT, Reg::R1);
    hook.load_flags(&mut program.code, Reg::R1);
    program.store(FLAGS, Reg::R1);
    program.ends((RECEIVER, RECEIVER_INODE), (SENDER, SENDER_INODE))?;
    program.output();
    Ok(program.finish())
}

/// The program for the end of a call that sends: gives each sender a cookie while it is open, by
/// which it is recognized after it was closed, and reports its process.
pub(super) fn send(setting: Setting<'_>, hook: Hook) -> Code {
    let mut program = Builder::new(setting);
    hook.load_socket(&mut program.code, Reg::R7, program.out)?;
    program.unix_only()?;
    program.step(Reg::R1, Reg::R7, setting.layout.cookie)?;
    program.unless_reported();
    program.peer()?;
    program.filter(false)?;
    program.begin(SENT)?;
    program.identify();
    program.reported();
    program.ends((SENDER, SENDER_INODE), (RECEIVER, RECEIVER_INODE))?;
    program.output();
    Ok(program.finish())
}

/// The program for a listener to which a client has connected.
pub(super) fn connect(setting: Setting<'_>, hook: Hook) -> Code {
    let mut program = Builder::new(setting);
    hook.load_socket(&mut program.code, Reg::R7, program.out)?;
    program.step(Reg::R1, Reg::R7, setting.layout.state)?;
    program.code.jump_unless(Reg::R1, LISTENING, program.out);
    program.unix_only()?;
    program.code.set(Reg::R9, 0);
    program.filter(false)?;
    program.begin(CONNECTED)?;
    program.identify();
    program.ends((RECEIVER, RECEIVER_INODE), (SENDER, SENDER_INODE))?;
    program.output();
    Ok(program.finish())
}

/// Leaves unless a call peeked, returned nothing or an error, or unless the message did not name
/// its receiver: of datagrams, and if the peer was closed.
fn worth_reporting(program: &mut Builder<'_>, hook: Hook) -> Result<(), BtfError> {
    let layout = program.setting.layout;
    let (report, positive) = (program.code.label(), program.code.label());
    hook.load_result(&mut program.code, Reg::R1);
    program.code.jump_if_signed_above(Reg::R1, 0, positive);
    program.code.jump_if(Reg::R1, -EAGAIN, program.out);
    program.code.jump_to(report);
    program.code.place(positive);
    hook.load_flags(&mut program.code, Reg::R1);
    program.code.and(Reg::R1, PEEK);
    program.code.jump_unless(Reg::R1, 0, report);
    program.step(Reg::R1, Reg::R7, layout.kind)?;
    program.code.jump_if(Reg::R1, SOCK_DGRAM, report);
    program.step(Reg::R1, Reg::R7, layout.shutdown)?;
    program.code.jump_if(Reg::R1, 0, program.out);
    program.code.place(report);
    Ok(())
}
