//! The kernel fields that the counting programs read: by name, and with BTF as offsets. Pure.

use crate::btf::{Btf, BtfError, Field, Kind};
use crate::hook::{self, Happening, Hook};

const WANTED: &[(Kind, &str)] =
    &[(Kind::STRUCT, "file"), (Kind::STRUCT, "inode"), (Kind::STRUCT, "unix_sock")];

/// The offsets of everything that the programs need.
#[derive(Clone, Debug)]
pub(super) struct CounterLayout {
    pub(super) send: Vec<Hook>,
    pub(super) receive: Vec<Hook>,
    pub(super) ready: Vec<Hook>,
    pub(super) family: Field,
    pub(super) state: Field,
    pub(super) kind: Field,
    pub(super) cookie: Field,
    /// How many messages are in the receive queue.
    pub(super) queued: Field,
    pub(super) peer: Field,
    pub(super) name: Field,
    /// From a socket to its inode number: one field if the kernel has it, else through the file.
    pub(super) inode: Vec<Field>,
}

impl CounterLayout {
    /// # Errors
    /// Returns an error that names what the kernel lacks.
    pub(super) fn of(blob: &[u8]) -> Result<CounterLayout, BtfError> {
        let wanted = [WANTED, hook::WANTED].concat();
        let btf = &Btf::scan(blob, &wanted)?;
        Ok(CounterLayout {
            send: Happening::Sent.hooks(btf)?,
            receive: Happening::Received.hooks(btf)?,
            ready: Happening::Ready.hooks(btf)?,
            family: btf.field("sock", "__sk_common.skc_family")?,
            state: btf.field("sock", "__sk_common.skc_state")?,
            kind: btf.field("sock", "sk_type")?,
            cookie: btf.field("sock", "__sk_common.skc_cookie.counter")?,
            queued: btf.field("sock", "sk_receive_queue.qlen")?,
            peer: btf.field("unix_sock", "peer")?,
            name: btf.field("unix_sock", "addr")?,
            inode: btf.inode_of_socket()?,
        })
    }
}
