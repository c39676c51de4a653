//! pcapng files: written for Wireshark, and read back.
//!
//! A connection is written as TCP over IPv4 (link type `RAW`): each end gets an address from
//! 127.0.0.0/8 and a port by which Wireshark knows the protocol. Messages of datagram and seqpacket
//! sockets are written as UDP. D-Bus connections are written as `DBUS` messages.
//!
//! [`Reader`] finds everything again that [`Writer`] was given, except for the authentication of
//! D-Bus connections, which has no link type. For this, each connection begins with a name
//! resolution block, whose comment has its number, its type and what is known of its ends. Losses
//! are in interface statistics blocks; what else has no place in a packet is in its comment.

mod block;
mod contents;
mod label;
mod packet;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use label::Label;
pub use reader::{Reader, Tail};
pub use writer::Writer;

/// The types of blocks.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const NAMES: u32 = 4;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;

const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const LINK_RAW: u16 = 101;
const LINK_DBUS: u16 = 231;

/// The codes of options.
const COMMENT: u16 = 1;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const HARDWARE_OS: u16 = 3;
const APPLICATION: u16 = 4;
const IF_DROP: u16 = 5;
/// What the kernel did not let pass: here, that it skipped a program.
const OS_DROP: u16 = 7;

const TCP: u8 = 6;
const UDP: u8 = 17;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;
